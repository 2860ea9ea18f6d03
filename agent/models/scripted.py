"""Models without weights, for tests and examples: a script of replies, or a Python function."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from agent.models.schema import Unreadable, read_choice
from agent.types import Delta, Finish, Reply, Request, Style
from memory.errors import ModelError
from memory.types import Message, Usage

Answer = str | Message | Reply
"""What a script or function may say; a string is the text of an assistant message."""


class FunctionModel:
    """A model that is a function of the messages; `history` keeps every request.

    Tokens are words. A text longer than `Request.max_tokens` is cut, as a real model would be.
    """

    def __init__(
        self,
        function: Callable[[tuple[Message, ...]], Answer | Awaitable[Answer]],
        *,
        name: str = "function",
        style: Style = "full",
    ) -> None:
        self._function = function
        self._name, self._style = name, style
        self.history: list[Request] = []

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    @property
    def style(self) -> Style:
        """As given."""
        return self._style

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """One call of the function per answer.

        Raises ModelError when the answer to a forced choice is none of the choices.
        """
        self.history.append(request)
        return tuple([await self._one(request) for _ in range(request.n)])

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The answer word by word, then the whole reply."""
        self.history.append(request)
        reply = await self._one(request)
        for index, word in enumerate(reply.message.text.split(" ")):
            yield Delta(text=word if index == 0 else f" {word}")
        yield Delta(reply=reply)

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())

    async def _one(self, request: Request) -> Reply:
        said = self._function(request.messages)
        answer = await said if inspect.isawaitable(said) else said
        if isinstance(answer, Reply):
            return answer
        message = Message("assistant", answer) if isinstance(answer, str) else answer
        return self._reply(message, request)

    def _reply(self, message: Message, request: Request) -> Reply:
        words = message.text.split(" ")
        cut = request.max_tokens is not None and self.count_tokens(message.text) > request.max_tokens
        if cut and request.max_tokens is not None:
            message = replace(message, content=" ".join(words[: request.max_tokens]))
        prompt = sum(self.count_tokens(m.text) for m in request.messages)
        usage = Usage(prompt, self.count_tokens(message.text), 0.0, 1)
        choice = self._choice(message.text, request) if request.choices else None
        finish: Finish = "length" if cut else "tool_calls" if message.tool_calls else "stop"
        return Reply(message, usage, finish, self._name, choice)

    def _choice(self, text: str, request: Request) -> int:
        try:
            return read_choice(text, request.choices)
        except Unreadable as error:
            raise ModelError(f"{self._name!r}: {error}") from error


class ScriptedModel(FunctionModel):
    """A model that says its replies in order; an exception in the script is raised at its turn."""

    def __init__(
        self, replies: Sequence[Answer | Exception], *, name: str = "scripted", style: Style = "full"
    ) -> None:
        super().__init__(self._next, name=name, style=style)
        self._replies = list(replies)

    @property
    def left(self) -> int:
        """Replies not said yet."""
        return len(self._replies)

    def _next(self, messages: tuple[Message, ...]) -> Answer:
        if not self._replies:
            raise ModelError(f"the script of {self._name!r} has no reply left for {messages[-1:]!r}")
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply
