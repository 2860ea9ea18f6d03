"""Flips: what each round of a deliberation mends and what it breaks, where truth is known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flips:
    """How answers went from one round to the next; the four add up to the number of questions."""

    kept: int
    """Right before and after."""
    lost: int
    """Right before, wrong after."""
    won: int
    """Wrong before, right after."""
    missed: int
    """Wrong before and after."""

    @property
    def n(self) -> int:
        """Questions."""
        return self.kept + self.lost + self.won + self.missed

    @property
    def accuracy(self) -> float:
        """Share of right answers after the round."""
        return (self.kept + self.won) / self.n if self.n else 0.0


def flips(courses: Sequence[Sequence[bool]]) -> tuple[Flips, ...]:
    """By round, over questions, each with its course; one that stopped earlier keeps its last answer.

    >>> flips([[True, False], [False, True, True]])
    (Flips(kept=0, lost=1, won=1, missed=0), Flips(kept=1, lost=0, won=0, missed=1))
    """
    courses = [course for course in courses if course]
    longest = max(map(len, courses), default=0)
    return tuple(_step(courses, place) for place in range(1, longest))


def overall(courses: Sequence[Sequence[bool]]) -> Flips:
    """From the first answers to the last ones."""
    return _step([(course[0], course[-1]) for course in courses if course], 1)


def _step(courses: Sequence[Sequence[bool]], place: int) -> Flips:
    pairs = [(_at(course, place - 1), _at(course, place)) for course in courses]
    counts = [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    return Flips(*counts)


def _at(course: Sequence[bool], place: int) -> bool:
    return course[min(place, len(course) - 1)]
