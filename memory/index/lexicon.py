"""Words and the rows that have them, in memory, growing; and the same as sorted arrays."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from memory.index.bm25 import Corpus, Scores, bm25

Mask = NDArray[np.bool_]
MOST = 255
"""A count above it is kept as this: no text is about one word that much."""


@dataclass(frozen=True, slots=True)
class Postings:
    """Rows by term: those of `terms[i]` are `rows[starts[i]:starts[i + 1]]`, rising."""

    terms: NDArray[np.uint64]
    """(t,) hashes of words, rising."""
    starts: NDArray[np.int64]
    """(t + 1,)."""
    rows: NDArray[np.int32]
    """(p,)."""
    counts: NDArray[np.uint8]
    """(p,) times the row has the term."""


class Lexicon:
    """An inverted index that is added to. Not thread-safe."""

    def __init__(self) -> None:
        self._postings: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, row: int, said: Sequence[str]) -> None:
        """Take in a row; rows come in rising order."""
        for word, count in Counter(said).items():
            rows, counts = self._postings.setdefault(word, (array("i"), array("i")))
            rows.append(row)
            counts.append(count)

    def holding(self, word: str) -> int:
        """Rows that have a word, dead ones included."""
        return len(self._postings[word][0]) if word in self._postings else 0

    def seen(self, words: Sequence[str], mask: Mask | None) -> dict[str, int]:
        """For each word the rows of the mask that have it; without a mask all rows."""
        if mask is None:
            return {word: self.holding(word) for word in words}
        return {word: int(np.count_nonzero(mask[self._rows(word)[0]])) for word in words}

    def scores(
        self, words: Sequence[str], mask: Mask | None, lengths: NDArray[np.int32], corpus: Corpus
    ) -> tuple[Scores, Scores]:
        """BM25 and idf-weighted coverage (n,) of the rows of the mask (n,), without one of all rows.

        Words are sorted, each once.
        """
        scores, covered = np.zeros(len(lengths)), np.zeros(len(lengths))
        total = 0.0
        for word in words:
            weight = corpus.idf(word)
            total += weight
            rows, counts = self._rows(word)
            if mask is not None:
                seen = mask[rows]
                rows, counts = rows[seen], counts[seen]
            if len(rows):
                scores[rows] += bm25(weight, counts, lengths[rows], corpus.mean)
                covered[rows] += weight
        return scores, covered / total if total else covered

    def postings(self) -> Postings:
        """All of it as arrays."""
        terms = np.array([hash_of(word) for word in self._postings], dtype=np.uint64)
        parts = list(self._postings.values())
        order = np.argsort(terms)
        sizes = np.array([len(rows) for rows, _ in parts], dtype=np.int64)[order]
        rows, counts = array("i"), array("i")
        for place in order.tolist():
            rows.extend(parts[place][0])
            counts.extend(parts[place][1])
        return Postings(
            terms[order],
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            np.array(rows, dtype=np.int32),
            np.minimum(np.array(counts, dtype=np.int32), MOST).astype(np.uint8),
        )

    def _rows(self, word: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        rows, counts = self._postings.get(word, (array("i"), array("i")))
        return np.asarray(rows), np.asarray(counts)


def hash_of(text: str) -> int:
    """64 bits that stand for a word or an id."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def kept(postings: Postings, places: NDArray[np.int64]) -> Postings:
    """The postings with every row moved to `places[row]`, which rises; those of place -1 are left out."""
    moved = places[postings.rows]
    stays = moved >= 0
    sums = np.concatenate(([0], np.cumsum(stays)))
    starts = sums[postings.starts]
    filled = np.diff(starts) > 0
    return Postings(
        postings.terms[filled],
        np.concatenate((starts[:-1][filled], starts[-1:])),
        moved[stays].astype(np.int32),
        postings.counts[stays],
    )


def joined(parts: Sequence[Postings], offsets: Sequence[int]) -> Postings:
    """Several as one; the rows of each part start at its offset, and offsets rise."""
    terms = np.unique(np.concatenate([part.terms for part in parts]))
    places = [np.searchsorted(terms, part.terms) for part in parts]
    sizes = np.zeros(len(terms), dtype=np.int64)
    for part, place in zip(parts, places, strict=True):
        sizes[place] += np.diff(part.starts)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    rows, counts = np.empty(starts[-1], dtype=np.int32), np.empty(starts[-1], dtype=np.uint8)
    following = starts[:-1].copy()  # where the next part's rows of each term go
    for part, place, offset in zip(parts, places, offsets, strict=True):
        own = np.diff(part.starts)
        to = np.repeat(following[place] - part.starts[:-1], own) + np.arange(len(part.rows))
        rows[to] = part.rows + np.int32(offset)
        counts[to] = part.counts
        following[place] += own
    return Postings(terms, starts, rows, counts)
