"""Raw results read back, and the few statistics the report is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """The middle and both ends."""

    middle: float
    least: float
    greatest: float

    def said(self, digits: int = 2) -> str:
        return f"{self.middle:,.{digits}f} ({self.least:,.{digits}f}–{self.greatest:,.{digits}f})"


class Records:
    """All lines of all phases under a folder."""

    def __init__(self, folder: Path) -> None:
        self._records: list[Record] = []
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                self._records.append({"phase": path.stem, **json.loads(line)})

    def where(self, what: str, **equal: object) -> list[Record]:
        return [
            record
            for record in self._records
            if record["what"] == what and all(record.get(key) == value for key, value in equal.items())
        ]

    def values(self, key: str, what: str, **equal: object) -> list[Any]:
        return [record[key] for record in self.where(what, **equal)]

    def load(self) -> Spread | None:
        """Load averages while times were taken."""
        taken = [*self.where("asked"), *self.where("wrote", phase="writes")]
        return spread([record["load"] for record in taken])

    def names(self, what: str, **equal: object) -> list[str]:
        """In the order they were first measured in, ours first."""
        found = dict.fromkeys(self.values("name", what, **equal))
        return sorted(found, key=lambda name: name != "ours")

    def median(self, key: str, what: str, **equal: object) -> float | None:
        found = self.values(key, what, **equal)
        return float(np.median(found)) if found else None

    def ratio(
        self, of: Callable[[Record], float], ours: str, theirs: str, what: str, **equal: object
    ) -> Spread | None:
        """Ours over theirs within each repeat."""
        mine = {record["repeat"]: of(record) for record in self.where(what, name=ours, **equal)}
        others = {record["repeat"]: of(record) for record in self.where(what, name=theirs, **equal)}
        ratios = [mine[repeat] / others[repeat] for repeat in mine.keys() & others.keys() if others[repeat]]
        return spread(ratios)


def spread(values: Sequence[float]) -> Spread | None:
    return Spread(float(np.median(values)), min(values), max(values)) if values else None


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Mean of paired differences and its 95 % interval, by 2,000 resamplings of the questions."""
    paired = np.asarray(ours) - np.asarray(theirs)
    picked = np.random.default_rng(0).integers(len(paired), size=(2_000, len(paired)))
    means = paired[picked].mean(axis=1)
    return Spread(float(paired.mean()), *(float(end) for end in np.quantile(means, (0.025, 0.975))))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; all columns but the first to the right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ms(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    shown = 1000.0 * seconds
    return f"{shown:.3f}" if shown < 0.1 else f"{shown:.2f}" if shown < 10.0 else f"{shown:,.0f}"


def mib(n_bytes: float | None) -> str:
    return "–" if n_bytes is None else f"{n_bytes / 2**20:,.0f}"
