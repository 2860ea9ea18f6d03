"""What a model cannot read any more is left out of what it is shown, the oldest turns first. Pure.

The episode keeps all of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from agent.types import Request
from memory.types import Message


@runtime_checkable
class Window(Protocol):
    """A model that knows how much it can read."""

    def overflow(self, request: Request) -> int:
        """Tokens that a request is too long by; 0 or less where it can be answered."""
        ...


def fitted(request: Request, overflow: Callable[[Request], int]) -> Request:
    """The request without as many of its oldest turns as do not fit.

    A turn is a message of the model and the answers to it, kept or left out together; opening, plans and the
    latest turn stay, so the request may still be too long.
    """
    if overflow(request) <= 0:
        return request
    starts = [place for place, one in enumerate(request.messages) if one.role == "assistant"]
    left_out = range(1, len(starts))

    def without(n: int) -> Request:
        return replace(request, messages=_without(request.messages, starts[0], starts[n]))

    if not left_out:
        return request
    least = bisect_left(left_out, True, key=lambda n: overflow(without(n)) <= 0)
    return without(left_out[min(least, len(left_out) - 1)])


def halved(request: Request) -> Request | None:
    """The request without the older half of its turns, for hosts that tell only that it was too long; None
    when there is one turn or none.
    """
    starts = [place for place, one in enumerate(request.messages) if one.role == "assistant"]
    if len(starts) < 2:
        return None
    return replace(request, messages=_without(request.messages, starts[0], starts[(len(starts) + 1) // 2]))


def _without(messages: Sequence[Message], begin: int, end: int) -> tuple[Message, ...]:
    kept = (one for one in messages[begin:end] if one.kind == "plan")
    return (*messages[:begin], *kept, *messages[end:])
