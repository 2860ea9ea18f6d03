"""BM25: one formula for every layer of an index.

Source: Robertson & Zaragoza 2009, The Probabilistic Relevance Framework, §3; idf as in Lucene.
SQLite's own bm25() counts the words of other namespaces and cannot be asked about the past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

K1, B = 1.2, 0.75
Counts = NDArray[np.int32] | NDArray[np.float64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What the words of a question are weighed against."""

    n: int
    """Texts."""
    length: int
    """Words in all of them together."""
    holding: Mapping[str, int]
    """For each word of the question, how many texts have it."""

    @property
    def mean(self) -> float:
        """Mean length of a text."""
        return self.length / self.n if self.n else 0.0

    def idf(self, word: str) -> float:
        """How much a word says by being rare."""
        return idf(self.n, self.holding.get(word, 0))

    @property
    def total(self) -> float:
        """The idf of all words of the question."""
        return math.fsum(map(self.idf, self.holding))


def idf(n: int, holding: int) -> float:
    """Inverse document frequency, never negative."""
    return math.log(1.0 + (n - holding + 0.5) / (holding + 0.5))


def bm25(weight: float | Scores, counts: Counts, lengths: Counts, mean: float) -> Scores:
    """What a word of idf `weight`, one or (n,), gives to texts (n,) that have it `counts` times."""
    # Step by step and in place: at a few thousand texts half the time goes to fresh arrays.
    damp = np.asarray(B * lengths, dtype=np.float64)
    damp /= mean
    damp += 1.0 - B
    damp *= K1
    damp += counts
    scores = np.asarray(weight * counts, dtype=np.float64)
    scores *= K1 + 1.0
    scores /= damp
    return scores
