"""A row as pieces of text with a weight each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from distill.types import Row
from memory.types import Message

Fate = Literal["context", "trains", "against", "memory"]
"""Why a piece has its colour: it is only read, it is learned, it is unlearned (what counts below 0),
or it is what memory told, which never trains."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of one weight."""

    text: str
    weight: float
    fate: Fate


@dataclass(frozen=True, slots=True)
class Line:
    """One message."""

    index: int
    """In the episode; -1 for what the recipe wrote."""
    speaker: str
    pieces: tuple[Piece, ...]
    weight: float
    is_wrong: bool
    """Did the world or a verdict refuse it?"""


def lines_of(row: Row) -> tuple[Line, ...]:
    """Every message of a row; what `prefer` says no to comes last."""
    lines = [_line(index, one) for index, one in zip(row.indices, row.messages, strict=True)]
    if row.rejected is not None:
        worse = Piece(row.rejected.text, -1.0, "against")
        lines.append(Line(-1, "rejected", (worse,), -1.0, is_wrong=True))
    return tuple(lines)


def largest(row: Row) -> float:
    """The largest weight in a row, whatever its sign; 1 where there is none."""
    return max((abs(piece.weight) for line in lines_of(row) for piece in line.pieces), default=0.0) or 1.0


def _line(index: int, message: Message) -> Line:
    weight = float(message.weight or 0.0)
    pieces = tuple(_pieces(message, weight))
    is_wrong = message.role == "assistant" and message.ok is False
    return Line(index, message.role, pieces, weight, is_wrong)


def _pieces(message: Message, weight: float) -> Iterator[Piece]:
    """The text cut where spans begin and end; calls without a text are shown as such."""
    text = message.text or " ".join(f"{call.name} {call.arguments}" for call in message.tool_calls)
    at = 0
    for span in sorted(message.spans, key=lambda one: one.begin):
        if span.begin > at:
            yield _piece(message, text[at : span.begin], weight)
        yield _piece(message, text[max(at, span.begin) : span.end], span.weight if weight else 0.0)
        at = max(at, span.end)
    if at < len(text):
        yield _piece(message, text[at:], weight)


def _piece(message: Message, text: str, weight: float) -> Piece:
    if message.kind == "memory":
        return Piece(text, 0.0, "memory")
    return Piece(text, weight, "trains" if weight > 0 else "against" if weight < 0 else "context")
