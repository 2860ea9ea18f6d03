"""A model that thinks twice: any agent or route deliberates by being given it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

from agent.deliberate.asking import Counted
from agent.deliberate.presets import Preset
from agent.types import ANSWER_TOOL, Delta, Finish, Model, Reply, Request, Style
from agent.window import Window
from memory.types import Message

Scope = Literal["answers", "words", "turns", "all"]
"""What is deliberated: the answers of runs; whatever is said in words and calls nothing, as in a chat; every
turn of runs; questions beside or without them, too."""


class Deliberating:
    """A model whose replies are deliberated; its name stays, what that costs is on its replies.

    What it passes through: questions that the preset does not take, several answers at once, everything of a
    `plain` model, whose acts are words, and what `scope` leaves out: by default all but answers, for a debate
    before each step costs much, and the answer is where a mistake stays. Forced choices are always in.
    """

    def __init__(self, model: Model, preset: Preset, *, scope: Scope = "answers") -> None:
        self._model, self._preset, self._scope = model, preset, scope

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    @property
    def style(self) -> Style:
        """The model's own."""
        return self._model.style

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """The model's first answer, deliberated. Raises what the model raises."""
        if not self._takes(request):
            return await self._model.complete(request)
        counted = Counted(self._model.complete)
        given: tuple[Message, ...] = ()
        if not request.choices:
            (first,) = await counted(request)
            if _acts(first) and self._scope in {"answers", "words"}:
                return (first,)
            given = (first.message,)
        found = await self._preset.on(request, counted, given)
        message = found.chosen[0].message if found.chosen else given[0]
        choice = request.choices.index(message.text) if request.choices else None
        finish: Finish = "tool_calls" if message.tool_calls else "stop"
        return (Reply(message, counted.usage, finish, self.name, choice),)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The deliberated answer, in one piece."""
        (reply,) = await self.complete(replace(request, n=1))
        yield Delta(text=reply.message.text)
        yield Delta(reply=reply)

    def count_tokens(self, text: str) -> int:
        """The model's own."""
        return self._model.count_tokens(text)

    def overflow(self, request: Request) -> int:
        """The model's own; 0 where it does not know."""
        return self._model.overflow(request) if isinstance(self._model, Window) else 0

    def _takes(self, request: Request) -> bool:
        if self.style == "plain" or request.n > 1 or not self._preset.takes(request):
            return False
        if request.choices or self._scope in {"words", "all"}:
            return True
        # Words end a run only where the tool that answers is offered.
        return any(self._scope == "turns" or tool.name == ANSWER_TOOL for tool in request.tools)


def _acts(reply: Reply) -> bool:
    return any(call.name != ANSWER_TOOL for call in reply.message.tool_calls)
