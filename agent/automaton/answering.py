"""A model whose answers keep a protocol: any agent speaks it by being given the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from agent.automaton.speaking import Protocol, Segment, speak
from agent.deliberate.asking import Counted
from agent.types import ANSWER_TOOL, Delta, Model, Reply, Request, Style
from agent.window import Window
from memory.errors import BadInput
from memory.types import Message


class Speaking:
    """A model whose answers are laid out as the protocol has it; its name stays, costs are on the replies.

    An answer that keeps it is left as it is; any other is said again, segment by segment. What passes
    through: calls of other tools, questions beside a run, several answers at once, everything of a `plain`
    model, whose acts are words.
    """

    def __init__(self, model: Model, protocol: Protocol) -> None:
        """Raises BadInput where the world would have to write: within an answer nobody does."""
        if protocol.of_world:
            raise BadInput(f"an answer is the model's alone: take {sorted(protocol.of_world)} out of it")
        self._model, self._protocol = model, protocol

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    @property
    def style(self) -> Style:
        """The model's own."""
        return self._model.style

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """The model's answer, as the protocol has it. Raises what the model raises."""
        replies = await self._model.complete(request)
        said = _answer(replies[0]) if self._takes(request) else None
        if said is None or self._keeps(said):
            return replies
        counted = Counted(self._model.complete, replies[0].usage)
        text = self._protocol.written(await speak(request, self._protocol, counted, _nobody))
        return (Reply(Message("assistant", text), counted.usage, "stop", self.name),)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The answer in one piece."""
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
        if self.style == "plain" or request.n > 1 or request.choices or request.schema is not None:
            return False
        # Words end a run only where the tool that answers is offered.
        return any(tool.name == ANSWER_TOOL for tool in request.tools)

    def _keeps(self, text: str) -> bool:
        segments = self._protocol.read(text)
        is_all = text.strip().startswith(tuple(self._protocol.markers.values()))
        labels = [one.label for one in segments]
        return (
            is_all and len(labels) <= self._protocol.most and self._protocol.order.automaton.accepts(labels)
        )


def _answer(reply: Reply) -> str | None:
    """What it answers, in words or by the tool for it; None where it acts."""
    calls = reply.message.tool_calls
    if not calls:
        return reply.message.text
    if len(calls) > 1 or calls[0].name != ANSWER_TOOL:
        return None
    return str(calls[0].arguments.get("answer", ""))


async def _nobody(label: str, _: Sequence[Segment]) -> str:
    raise BadInput(f"nobody writes {label!r} within an answer")
