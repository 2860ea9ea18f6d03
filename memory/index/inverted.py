"""Words to rows, mapped from files: the best by BM25 without looking at every row that has a common word.

Source: Turtle & Flood 1995, Query Evaluation: Strategies and Optimizations (MaxScore). Deviation: whole terms
at a time, in numpy: once the n best so far are above all that the remaining, more common words could give,
those words add to rows already found and bring no new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from memory.index.bm25 import Corpus, Scores, bm25
from memory.index.lexicon import Mask, Postings, hash_of
from memory.index.vectors import Bits

SCAN = 1 << 15
"""Rows read to find new candidates, over all words of a question. Beyond them, of a word that is in more rows
than are left, only the newest rows are read: a question made of very common words alone is answered from
these. Rare words come first, so the limit costs them nothing."""
LOOKED_UP = 1 << 11
"""Most rows to which the words beyond are added; the best so far, and what ties with the last."""
WORTH = 4096
"""A word in fewer rows is read without asking whether it must be."""
Places = NDArray[np.int64]
LONG = 0xFFFF
"""A length above it counts as this."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question as this segment has it."""

    word: str
    start: int
    end: int
    idf: float
    most: float
    """No row gets more from it."""


@dataclass(frozen=True, slots=True)
class Inverted:
    """Postings with the lengths of their rows beside them, and bounds for every term."""

    postings: Postings
    lengths: NDArray[np.uint16]
    """(p,) words of the row, beside each posting: reading them there is much faster than by row."""
    most_counts: NDArray[np.uint8]
    """(t,)."""
    least_lengths: NDArray[np.uint16]
    """(t,)."""

    def places(self, words: Sequence[str]) -> Places:
        """Where each word is among the terms; -1 where nothing has it."""
        if not len(self.postings.terms):
            return np.full(len(words), -1)
        wanted = np.array([hash_of(word) for word in words], dtype=np.uint64)
        places = np.searchsorted(self.postings.terms, wanted)
        last = len(self.postings.terms) - 1
        return np.where(self.postings.terms[np.minimum(places, last)] == wanted, places, -1)

    def holding(self, places: Places) -> list[int]:
        """How many rows have the words at these places."""
        sizes = self.postings.starts[places + 1] - self.postings.starts[places]
        found: list[int] = np.where(places >= 0, sizes, 0).tolist()
        return found

    def terms(self, words: Sequence[str], places: Places, corpus: Corpus) -> list[Term]:
        """The words that occur, the rarest first."""
        known = np.flatnonzero(places >= 0)
        places = places[known]
        starts, ends = self.postings.starts[places].tolist(), self.postings.starts[places + 1].tolist()
        counts, lengths = self.most_counts[places], self.least_lengths[places]
        most = bm25(1.0, counts.astype(np.float64), lengths.astype(np.float64), corpus.mean).tolist()
        found = [
            Term(words[word], start, end, idf := corpus.idf(words[word]), idf * bound)
            for word, start, end, bound in zip(known.tolist(), starts, ends, most, strict=True)
            if end > start
        ]
        return sorted(found, key=lambda term: (term.end - term.start, term.word))

    def best(
        self, terms: Sequence[Term], corpus: Corpus, room: Scores, bits: Bits | None, n: int
    ) -> NDArray[np.int64]:
        """About the `n` best rows, of those in `bits`, of equal ones the newest; exact below `SCAN`
        and `LOOKED_UP`.

        `room` is (rows,) of zeros, and is again when this returns.
        """
        touched: list[NDArray[np.int64]] = []
        try:
            rest = self._scan(terms, corpus, room, bits, n, touched)
            rows = np.concatenate(touched) if touched else np.zeros(0, dtype=np.int64)
            scores = room.take(rows)
            for place, term in enumerate(rest):
                rows, scores = _at_least(rows, scores, n, sum(one.most for one in rest[place:]))
                rows, scores = _at_least(rows, scores, LOOKED_UP, 0.0)
                if not place:
                    # In rising order they are found twice as fast.
                    rows = np.sort(rows)
                    scores = room.take(rows)
                here, places = self._lookup(term, rows)
                scores[here] += self._given(term.idf, places, corpus)
            return _newest_of_equals(rows, scores, n)
        finally:
            for part in touched:
                room[part] = 0.0

    def scores(self, terms: Sequence[Term], corpus: Corpus, rows: NDArray[np.int64]) -> tuple[Scores, Scores]:
        """BM25 and idf-weighted coverage of rows (m,), rising."""
        if not len(terms):
            return np.zeros(len(rows)), np.zeros(len(rows))
        by_word, wanted = sorted(terms, key=lambda term: term.word), rows.astype(np.int32)
        found = [self._lookup(term, wanted) for term in by_word]
        here = np.concatenate([own for own, _ in found])
        idfs = np.repeat([term.idf for term in by_word], [len(own) for own, _ in found])
        given = self._given(idfs, np.concatenate([places for _, places in found]), corpus)
        # One after the other, so that the order of words alone decides how sums are rounded.
        scores: Scores = np.bincount(here, given, len(rows)).astype(np.float64)
        covered: Scores = np.bincount(here, idfs, len(rows)).astype(np.float64)
        total = corpus.total
        return scores, covered / total if total else covered

    def _scan(
        self,
        terms: Sequence[Term],
        corpus: Corpus,
        room: Scores,
        bits: Bits | None,
        n: int,
        touched: list[NDArray[np.int64]],
    ) -> Sequence[Term]:
        """Read words until the rest can bring no new row among the best; returns the rest."""
        n_rare = sum(term.end - term.start <= WORTH for term in terms)
        left = SCAN - self._take_in(terms[:n_rare], corpus, room, bits, touched)
        if n_rare == len(terms):
            return []
        threshold = _threshold(touched, room, n)
        possible = list(accumulate((term.most for term in reversed(terms)), initial=0.0))[::-1]
        for place, term in enumerate(terms[n_rare:], n_rare):
            if left <= 0 or threshold > possible[place]:
                return terms[place:]
            start = max(term.start, term.end - left)
            left -= term.end - term.start
            rows = self.postings.rows[start : term.end].astype(np.int64)
            given = self._given(term.idf, slice(start, term.end), corpus)
            if bits is not None:
                seen = _seen(bits, rows).nonzero()[0]
                rows, given = rows[seen], given[seen]
            before = room.take(rows)
            hopeful = ((before > 0.0) | (given + possible[place + 1] >= threshold)).nonzero()[0]
            rows, before, given = rows.take(hopeful), before.take(hopeful), given.take(hopeful)
            room[rows] = after = before + given
            touched.append(rows[before == 0.0])
            if start > term.start:
                self._add(term, corpus, room, np.concatenate(touched), until=start)
            # Of these rows alone: no more than the n-th best of all, so never too strict.
            after = after[after >= threshold]
            if len(after) >= n:
                threshold = float(np.partition(after, -n)[-n])
        return []

    def _take_in(
        self,
        terms: Sequence[Term],
        corpus: Corpus,
        room: Scores,
        bits: Bits | None,
        touched: list[NDArray[np.int64]],
    ) -> int:
        """Read rare words whole, all at once: each is too short to be worth a dozen operations of its own."""
        if not terms:
            return 0
        sizes = [term.end - term.start for term in terms]
        rows, counts, lengths = (
            np.concatenate([column[term.start : term.end] for term in terms])
            for column in (self.postings.rows, self.postings.counts, self.lengths)
        )
        idfs = np.repeat([term.idf for term in terms], sizes)
        given = bm25(idfs, counts.astype(np.float64), lengths.astype(np.float64), corpus.mean)
        rows = rows.astype(np.int64)
        if bits is not None:
            seen = _seen(bits, rows)
            rows, given = rows[seen], given[seen]
        # Each row once: of its places the one that is written last stays.
        places = np.arange(1.0, len(rows) + 1.0)
        room[rows] = places
        once = rows[room.take(rows) == places]
        room[once] = 0.0
        np.add.at(room, rows, given)
        touched.append(once)
        return sum(sizes)

    def _add(
        self,
        term: Term,
        corpus: Corpus,
        room: Scores,
        rows: NDArray[np.int64],
        until: int | None = None,
    ) -> None:
        """Give rows (m,) what a word not read for new ones is worth to them, from its postings up to one."""
        here, places = self._lookup(term, rows, until)
        room[rows[here]] += self._given(term.idf, places, corpus)

    def _lookup(
        self, term: Term, rows: NDArray[np.int64] | NDArray[np.int32], until: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of rows (m,) have a word, and where their postings are."""
        own = self.postings.rows[term.start : term.end if until is None else until]
        if not len(own) or not len(rows):
            nothing = np.zeros(0, dtype=np.int64)
            return nothing, nothing
        rows = rows.astype(np.int32, copy=False)
        places = own.searchsorted(rows)
        here = (own.take(places, mode="clip") == rows).nonzero()[0]
        return here, places[here] + term.start

    def _given(self, weight: float | Scores, places: slice | NDArray[np.int64], corpus: Corpus) -> Scores:
        counts = self.postings.counts[places].astype(np.float64)
        return bm25(weight, counts, self.lengths[places].astype(np.float64), corpus.mean)


def invert(postings: Postings, lengths: NDArray[np.int32]) -> Inverted:
    """Postings with lengths (n,) by row and bounds by term, ready to be written."""
    beside = np.minimum(lengths, LONG).astype(np.uint16)[postings.rows]
    starts = postings.starts[:-1]
    filled = postings.starts[1:] > starts
    most = np.zeros(len(starts), dtype=np.uint8)
    least = np.ones(len(starts), dtype=np.uint16)
    if len(beside):
        # reduceat takes the element itself where a stretch is empty, so only filled ones are asked.
        most[filled] = np.maximum.reduceat(postings.counts, starts[filled])
        least[filled] = np.minimum.reduceat(beside, starts[filled])
    return Inverted(postings, beside, most, least)


def _seen(bits: Bits, rows: NDArray[np.int64]) -> Mask:
    """Which of rows (m,) are in the bits."""
    return (bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1 > 0


def _threshold(touched: Sequence[NDArray[np.int64]], room: Scores, n: int) -> float:
    """The `n`-th best score so far; 0 where there are fewer."""
    rows = np.concatenate(touched) if touched else np.zeros(0, dtype=np.int64)
    return float(np.partition(room[rows], -n)[-n]) if len(rows) >= n else 0.0


def _at_least(
    rows: NDArray[np.int64], scores: Scores, n: int, possible: float
) -> tuple[NDArray[np.int64], Scores]:
    """Rows that are among the `n` best, or may be if they get all that is still possible."""
    if len(rows) <= n:
        return rows, scores
    hopeful = (scores + possible >= np.partition(scores, -n)[-n]).nonzero()[0]
    return rows.take(hopeful), scores.take(hopeful)


def _newest_of_equals(rows: NDArray[np.int64], scores: Scores, n: int) -> NDArray[np.int64]:
    """The `n` best rows; a question of one word is answered equally well by thousands."""
    if len(rows) <= n:
        return rows
    last = np.partition(scores, -n)[-n]
    better = rows[scores > last]
    return np.concatenate((better, np.sort(rows[scores == last])[len(better) - n :]))
