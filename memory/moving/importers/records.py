"""What every importer reads from and returns: numbered JSON records, attempts at tasks, drafts of items."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from memory.errors import BadInput
from memory.moving.intake import Refused
from memory.types import Draft, Json, Message, Outcome, Usage

MAX_ACTION = 300
"""Characters of one action of a plan."""
MAX_ACTIONS = 40
"""Actions of a plan; of longer attempts the first ones are kept."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one task, as a log has it."""

    task: str
    messages: tuple[Message, ...]
    actions: tuple[str, ...]
    """What was done, in order, as its world understood it."""
    world: str
    task_key: str = ""
    """Names the task within its world; empty: the task's words do."""
    trial: str = ""
    """Tells attempts of equal messages apart."""
    outcome: Outcome = "unknown"
    """`unknown` where the log does not say."""
    reward: float | None = None
    model: str = ""
    error: str | None = None
    usage: Usage = field(default_factory=Usage)


Thing: TypeAlias = Attempt | Draft


@dataclass(frozen=True, slots=True)
class Found:
    """Something that could be read, and the line or element (from 1) it stood in."""

    line: int
    thing: Thing


Importer: TypeAlias = Callable[[bytes], Iterator[Found | Refused]]
"""Raises BadInput when the file as a whole is of another format."""


def rows(data: bytes) -> Iterator[tuple[int, Json | BadInput]]:
    r"""The records of JSON Lines, or of one JSON array, numbered from 1; an unreadable line is a BadInput.

    >>> list(rows(b'{"a": 1}\n\n{"a": 2}'))
    [(1, {'a': 1}), (3, {'a': 2})]
    """
    if data.lstrip()[:1] == b"[":
        array = document(data)
        yield from enumerate(array if isinstance(array, list) else [], 1)
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                yield number, document(line)
            except BadInput as error:
                yield number, error


def document(data: bytes) -> Json:
    """One JSON text. Raises BadInput."""
    try:
        found: Json = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from error
    return found


def read_each(
    records: Iterable[tuple[int, Json | BadInput]], read: Callable[[dict[str, Json]], Iterable[Thing]]
) -> Iterator[Found | Refused]:
    """What `read` makes of every record; a record it raises BadInput on is refused, the others go on."""
    for number, record in records:
        try:
            if isinstance(record, BadInput):
                raise record
            found = tuple(read(as_object(record, "the record")))
        except BadInput as error:
            yield Refused("", number, str(error))
            continue
        for thing in found:
            yield Found(number, thing)


def as_object(value: Json, what: str) -> dict[str, Json]:
    """The value as an object. Raises BadInput naming what it is."""
    if not isinstance(value, dict):
        raise BadInput(f"{what} is no JSON object")
    return value


def as_list(value: Json, what: str) -> list[Json]:
    """The value as an array. Raises BadInput naming what it is."""
    if not isinstance(value, list):
        raise BadInput(f"{what} is no JSON array")
    return value


def as_text(value: Json, what: str) -> str:
    """The value as text. Raises BadInput naming what it is."""
    if not isinstance(value, str):
        raise BadInput(f"{what} is no text")
    return value


def as_number(value: Json) -> float | None:
    """A number as such, anything else as None; true and false are 1 and 0."""
    return float(value) if isinstance(value, (int, float)) else None


def plan(actions: Iterable[str]) -> tuple[str, ...]:
    """Actions as a case keeps them: without empty ones, each and all of bounded length."""
    kept = (action.strip() for action in actions)
    return tuple(_shortened(action) for action in kept if action)[:MAX_ACTIONS]


def _shortened(action: str) -> str:
    return action if len(action) <= MAX_ACTION else action[: MAX_ACTION - 1] + "…"
