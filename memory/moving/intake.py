"""What came of an import: how much was new, what was there already, what was refused and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
MAX_REFUSED = 1000
"""Refused lines that are named; of more only the number is told."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was left out; the others went in."""

    file: str
    line: int
    """From 1; in a file that is one JSON array or object, the place of the element."""
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    source: str
    """Name by which all of it can be revoked; items that were restored keep their own."""
    added: int
    """Items that were new."""
    present: int
    """Items that were there already, by id or by what they say."""
    episodes: int
    """Episodes that were new."""
    n_refused: int
    refused: tuple[Refused, ...]
    """The first of them."""


@dataclass(slots=True)
class Counting:
    """A report in the making."""

    source: str
    added: int = 0
    present: int = 0
    episodes: int = 0
    n_refused: int = 0
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, file: str, line: int, reason: object) -> None:
        """One more line that was left out."""
        self.n_refused += 1
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(Refused(file, line, str(reason)))

    def report(self) -> ImportReport:
        """As it stands."""
        return ImportReport(
            self.source, self.added, self.present, self.episodes, self.n_refused, tuple(self.refused)
        )


def pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of at most `size`.

    >>> list(pages("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(values)
    while page := list(islice(rest, size)):
        yield page
