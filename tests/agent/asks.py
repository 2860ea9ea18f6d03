"""A way to ask a model that is a function of the request, for tests of deliberation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.models.schema import read_choice
from agent.types import Reply, Request
from memory.types import Message, Usage


@dataclass(slots=True)
class Asked:
    """Says what `function` makes of a request, once for each answer, and keeps what it heard."""

    function: Callable[[Request], str]
    heard: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> tuple[Reply, ...]:
        self.heard.append(request)
        return tuple([self._reply(self.function(request), request) for _ in range(request.n)])

    def _reply(self, text: str, request: Request) -> Reply:
        choice = read_choice(text, request.choices) if request.choices else None
        return Reply(Message("assistant", text), Usage(10, 5, 0.0, 1), choice=choice)


def question(text: str) -> Request:
    return Request((Message("user", text),))


def last(request: Request) -> str:
    """What was said last."""
    return request.messages[-1].text
