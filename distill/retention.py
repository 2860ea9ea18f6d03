"""What each distillation could do on each suite: R, and what is read off it.

R[i][j] is the success on suite j after distillation i; row 0 is the base model. Suites are the same where
their tasks are. Source: Lopez-Paz and Ranzato 2017 (arXiv 1706.08840) for backward and forward transfer,
Chaudhry et al. 2018 (arXiv 1801.10112) for forgetting. Deviation: what was not measured is left out of means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from distill.suites import Suite


@dataclass(frozen=True, slots=True)
class Score:
    """How one distillation did on one suite, without memory."""

    suite: Suite
    seeds: tuple[int, ...]
    tasks: str
    """Digest of the ids of its tasks."""
    base: float
    """Success of the base model, 0..1."""
    adapter: float


@dataclass(frozen=True, slots=True)
class Learned:
    """One distillation: what it learned from, and what it could do then."""

    id: str
    n_episodes: int
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """R, oldest row first."""

    rows: tuple[str, ...]
    """`base`, then distillations."""
    columns: tuple[str, ...]
    """Names of suites."""
    scores: tuple[tuple[float | None, ...], ...]
    """One tuple a row; None where a suite was not run."""
    learned: tuple[int | None, ...]
    """For each suite the row that was the first to learn it; None: none was meant to."""
    kept: tuple[bool, ...]
    """For each suite whether a distillation was to learn or to keep it."""

    def backward(self) -> float | None:
        """BWT, the mean of R[T][j] - R[j][j]: what later distillations did to what earlier ones learned."""
        last = len(self.rows) - 1
        return _mean(
            self._minus(last, learned, column)
            for column, learned in enumerate(self.learned)
            if learned is not None and learned < last
        )

    def forgetting(self) -> float | None:
        """FGT, the mean of max_i R[i][j] - R[T][j]."""
        return _mean(map(self.lost, range(len(self.columns))))

    def forward(self) -> float | None:
        """FWT, the mean of R[j-1][j] - R[0][j] over suites learned by the second distillation or later."""
        return _mean(
            self._minus(learned - 1, 0, column)
            for column, learned in enumerate(self.learned)
            if learned is not None and learned > 1
        )

    def lost(self, column: int) -> float | None:
        """How much less the last distillation can do on a suite than the best row could."""
        known = [one for row in self.scores if (one := row[column]) is not None]
        now = self.scores[-1][column]
        return None if now is None else max(known) - now

    def curve(self, episodes: Sequence[int]) -> tuple[tuple[int, float], ...]:
        """Episodes learned from and mean success on what was to be learned, a point for each row."""
        wanted = [column for column, learned in enumerate(self.learned) if learned is not None]
        points = []
        for n, row in zip(episodes, self.scores, strict=True):
            mean = _mean(row[column] for column in wanted)
            if mean is not None:
                points.append((n, mean))
        return tuple(points)

    def _minus(self, row: int, other: int, column: int) -> float | None:
        one, two = self.scores[row][column], self.scores[other][column]
        return None if one is None or two is None else one - two


def matrix(history: Sequence[Learned]) -> Matrix:
    """R of these distillations, oldest first."""
    found: dict[str, Score] = {score.tasks: score for one in reversed(history) for score in one.scores}
    columns = sorted(found.values(), key=lambda score: (score.suite.name, score.tasks))
    measured = [{score.tasks: score for score in one.scores} for one in history]
    rows: list[tuple[float | None, ...]] = [tuple(score.base for score in columns)]
    rows += [tuple(_of(row.get(score.tasks)) for score in columns) for row in measured]
    return Matrix(
        ("base", *(one.id for one in history)),
        tuple(score.suite.name for score in columns),
        tuple(rows),
        tuple(_first(score.tasks, measured) for score in columns),
        tuple(_is_kept(score.tasks, measured) for score in columns),
    )


def area(curve: Sequence[tuple[float, float]]) -> float | None:
    """Adaptation: the mean height of success over episodes (trapezoids); None for fewer than two points.

    >>> area([(0, 0.0), (10, 1.0), (20, 1.0)])
    0.75
    """
    points = sorted(curve)
    if len(points) < 2 or points[-1][0] == points[0][0]:
        return None
    covered = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return covered / (points[-1][0] - points[0][0])


def _of(score: Score | None) -> float | None:
    return None if score is None else score.adapter


def _first(tasks: str, measured: Sequence[dict[str, Score]]) -> int | None:
    for number, row in enumerate(measured, 1):
        if tasks in row and row[tasks].suite.role == "adapt":
            return number
    return None


def _is_kept(tasks: str, measured: Sequence[dict[str, Score]]) -> bool:
    return any(tasks in row and row[tasks].suite.role in ("adapt", "retain") for row in measured)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
