"""One pool of attempts: a chooser says what is done with which, and what comes of it goes back in.

Sources: SE-Agent (arXiv 2508.02085): revise, recombine, refine, by a schedule; ARIES (arXiv 2502.21208):
split, solve, refine, aggregate, keep the best, by a model that votes. Operators and chooser alone differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from agent.types import Judgement
from memory.errors import BadInput

T = TypeVar("T")
"""What an attempt is."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One attempt, or a part of one."""

    id: int
    """Its place in the pool."""
    content: T
    operator: str = ""
    """What it was made by."""
    parents: tuple[int, ...] = ()
    """What it was made from."""
    judgement: Judgement | None = None
    """None where there is nothing to judge yet."""
    is_dropped: bool = False
    """Something better took its place."""

    @property
    def score(self) -> float:
        """0..1; -1 where nobody judged it."""
        return -1.0 if self.judgement is None else self.judgement.score

    @property
    def is_right(self) -> bool:
        """Was it found to be right?"""
        return self.judgement is not None and self.judgement.ok is True


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be done next."""

    operator: str
    on: tuple[int, ...] = ()
    """Ids of entries."""


@dataclass(frozen=True, slots=True)
class Pool(Generic[T]):
    """All attempts so far, and what was done for them."""

    entries: tuple[Entry[T], ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def best(self) -> Entry[T] | None:
        """The entry that was judged best, the first of equals."""
        judged = [one for one in self.entries if one.judgement is not None and not one.is_dropped]
        return max(judged, key=lambda one: one.score, default=None)

    def of(self, ids: Sequence[int]) -> tuple[Entry[T], ...]:
        """Entries by their ids. Raises BadInput on one that is not there."""
        if any(not 0 <= one < len(self.entries) for one in ids):
            raise BadInput(f"the pool has {len(self.entries)} entries, of which {list(ids)} are not some")
        return tuple(self.entries[one] for one in ids)


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What an operator made."""

    content: T
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What an operator does to the pool."""

    made: tuple[Made[T], ...] = ()
    dropped: tuple[int, ...] = ()
    """Ids of entries, those of `made` too: they are numbered on."""


Operator = Callable[["Pool[T]", "tuple[Entry[T], ...]"], Awaitable["Change[T]"]]
"""Works on the entries of a move, with the pool in sight; no change where it cannot."""
Choose = Callable[["Pool[T]"], Awaitable[Move | None]]
"""The next move; None is the end."""


async def evolve(
    pool: Pool[T],
    operators: Mapping[str, Operator[T]],
    choose: Choose[T],
    *,
    most: int,
    is_enough: Callable[[Pool[T]], bool] = lambda pool: pool.best is not None and pool.best.is_right,
) -> Pool[T]:
    """Move after move until it is enough, the chooser has none, or `most` were made.

    One at a time, so that a journal replays it. Raises what operators and chooser raise, BadInput on a move
    that is none.
    """
    for _ in range(most):
        if is_enough(pool) or (move := await choose(pool)) is None:
            break
        if move.operator not in operators:
            raise BadInput(f"there is no operator {move.operator!r}; there are: {', '.join(operators)}")
        change = await operators[move.operator](pool, pool.of(move.on))
        pool = _changed(pool, move, change)
    return pool


def _changed(pool: Pool[T], move: Move, change: Change[T]) -> Pool[T]:
    begun = len(pool.entries)
    made = [
        Entry(begun + n, one.content, move.operator, move.on, one.judgement)
        for n, one in enumerate(change.made)
    ]
    entries = [
        replace(one, is_dropped=one.is_dropped or one.id in change.dropped) for one in (*pool.entries, *made)
    ]
    return Pool(tuple(entries), (*pool.moves, move))


def scheduled(moves: Sequence[Callable[[Pool[T]], Move | None]]) -> Choose[T]:
    """A fixed schedule: each in turn, by how many moves there were; one that cannot be made ends it."""

    async def choose(pool: Pool[T]) -> Move | None:
        place = len(pool.moves)
        return moves[place](pool) if place < len(moves) else None

    return choose
