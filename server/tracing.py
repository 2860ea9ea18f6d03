"""The port to traces: what the server tells of a request's way. No library is named here; off costs nothing.

Spans nest by where they are begun; `current` says where that is, so that a durable job can go on from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

SpanKind = Literal["internal", "server", "client", "consumer"]
Value = str | int | float | bool | Sequence[str]


class Span(Protocol):
    """One stretch of the way."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """What is known of it by now."""
        ...

    def rename(self, name: str) -> None:
        """Call it otherwise."""
        ...


class Tracer(Protocol):
    """Begins spans."""

    is_on: bool
    """Is anything kept? Attributes that cost something to find are left out where not."""
    shows_content: bool
    """May spans hold what was said?"""

    def span(
        self, name: str, kind: SpanKind = "internal", *, parent: str | None = None, holds: bool = True
    ) -> AbstractContextManager[Span]:
        """A span as long as the block; what is begun inside is below it where it `holds`.

        `parent` is a W3C traceparent; the span around where none is given. What the block raises is told by
        its name alone.
        """
        ...

    def current(self) -> str | None:
        """The W3C traceparent of the span around; None where there is none."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class _Nothing:
    def note(self, attributes: Mapping[str, Value]) -> None:
        pass

    def rename(self, name: str) -> None:
        pass


class NoTracer:
    """Keeps nothing."""

    is_on = shows_content = False

    def __init__(self) -> None:
        self._span = _Nothing()

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        kind: SpanKind = "internal",  # noqa: ARG002
        *,
        parent: str | None = None,  # noqa: ARG002
        holds: bool = True,  # noqa: ARG002
    ) -> Iterator[Span]:
        """Nothing is begun."""
        yield self._span

    def current(self) -> str | None:
        """There is none."""
        return None

    def close(self) -> None:
        """Nothing is left."""
