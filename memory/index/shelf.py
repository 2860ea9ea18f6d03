"""The items of one namespace in memory: nearest neighbours and BM25. Not thread-safe.

By itself it is exact, and scores never depend on the order in which items came: the same items give the same
candidates bit for bit, which makes an old recall replayable. So FAISS only proposes; cosines are taken again
one row at a time, and the proposal is widened until it provably holds the best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memory.entry import Entry, Found, Matrix, Vector, cosines, found_as
from memory.index.ask import Ask, Searched
from memory.index.bm25 import Corpus, Scores
from memory.index.lexicon import Lexicon, Mask, Postings, kept
from memory.index.table import KINDS, Table, table_of
from memory.index.vectors import Bits, Flat, Neighbours, Rows
from memory.types import ItemKind
from memory.words import content_words

MARGIN = 1e-4
"""More than float32 inner products of unit vectors can differ between two ways of adding them up."""
DEAD = 1024
"""Dead rows that are worth a rebuild once they are half of all."""
_COLUMNS = np.dtype([("alive", "?"), ("dense", "?"), ("kind", "i2"), ("reach", "i4"), ("length", "i4")])


KEPT = 16
"""Views that are remembered until something changes."""


@dataclass(frozen=True, slots=True)
class _View:
    """What a question may see."""

    mask: Mask | None
    """(n,); None is every row."""
    n: int
    n_words: int
    bits: Bits
    """Those of them that have a vector, and how many they are."""
    n_dense: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows with their words and vectors, to become part of a segment."""

    table: Table
    postings: Postings
    matrix: Matrix
    """(n, d); a row without a vector is zero."""


class Shelf:
    """The findable items of one namespace under one encoder generation."""

    def __init__(self, dim: int, neighbours: Callable[[], Neighbours] | None = None) -> None:
        self._dim = dim
        self._neighbours = neighbours or (lambda: Flat(dim))
        self._clear()

    def _clear(self) -> None:
        self._vectors = self._neighbours()
        self._columns = np.zeros(64, dtype=_COLUMNS)
        self._entries: list[Entry] = []
        self._rows: dict[str, int] = {}
        self._reaches: dict[str, int] = {}
        self._lexicon = Lexicon()
        self._n_words = 0
        self._views: dict[tuple[tuple[ItemKind, ...], frozenset[str]], _View] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_rows(self) -> int:
        """Rows, dead ones included."""
        return len(self._entries)

    @property
    def n_words(self) -> int:
        """Words of all rows together, dead ones included."""
        return self._n_words

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries, or replace those of the same id."""
        fresh = list({entry.id: entry for entry in entries}.values())
        self.drop(entry.id for entry in fresh)
        if not fresh:
            return
        matrix = np.zeros((len(fresh), self._dim), dtype=np.float32)  # (n, d)
        self._reserve(len(self._entries) + len(fresh))
        for row, entry in zip(matrix, fresh, strict=True):
            if entry.vector is not None:
                row[:] = entry.vector
            self._append(entry)
        self._vectors.add(matrix)

    def drop(self, ids: Iterable[str]) -> None:
        """Remove entries; unknown ids are none of its business."""
        for id_ in ids:
            row = self._rows.pop(id_, None)
            if row is not None:
                self._columns["alive"][row] = False
                self._views = {}
        n_dead = len(self._entries) - len(self._rows)
        if n_dead > DEAD and n_dead > len(self._rows):
            living = [self._entry(row) for row in self._rows.values()]
            self._clear()
            self.put(living)

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker, in no order, weighed against what the question may see."""
        if not self._rows:
            return Searched((), exact=self._vectors.exact)
        view = self._visible(ask)
        words = sorted(set(content_words(ask.text)))
        corpus = Corpus(view.n, view.n_words, self._lexicon.seen(words, view.mask))
        found = self._search(ask, words, view, corpus)
        return Searched(tuple(found), exact=self._vectors.exact)

    def search_in(self, ask: Ask, words: Sequence[str], corpus: Corpus) -> list[Found]:
        """The same, weighed against a corpus of which it is a part."""
        return self._search(ask, words, self._visible(ask), corpus)

    def holding(self, word: str) -> int:
        """Rows that have a word, dead ones included."""
        return self._lexicon.holding(word)

    def chunk(self) -> Chunk:
        """The living rows, copied."""
        alive = self._columns["alive"][: len(self._entries)]
        rows = np.flatnonzero(alive)
        places = np.where(alive, np.cumsum(alive) - 1, -1)
        table = table_of([self._entry(row) for row in rows.tolist()], self._columns["length"][rows])
        return Chunk(table, kept(self._lexicon.postings(), places), self._vectors.matrix[rows])

    def _search(self, ask: Ask, words: Sequence[str], view: _View, corpus: Corpus) -> list[Found]:
        lengths = self._columns["length"][: len(self._entries)]
        lexical, coverage = self._lexicon.scores(words, view.mask, lengths, corpus)
        alike = np.flatnonzero(lexical > 0.0)
        rows = set(self._best(alike, lexical[alike], ask.n))
        rows.update(self._best_by_vector(ask.vector, view, ask.n))
        order = np.array(sorted(rows), dtype=np.int64)
        vectors = self._vectors.matrix[order]  # (m, d), a copy
        dense = self._columns["dense"][order].tolist()
        near = cosines(vectors, ask.vector).tolist()
        entries = [self._entries[row] for row in order.tolist()]
        parts = (lexical[order].tolist(), coverage[order].tolist(), vectors)
        return [
            found_as(
                entry.id,
                cosine if has_vector else None,
                score if score > 0.0 else None,
                share,
                vector if has_vector else None,
                entry.key,
            )
            for entry, has_vector, cosine, score, share, vector in zip(
                entries, dense, near, *parts, strict=True
            )
        ]

    def _append(self, entry: Entry) -> None:
        self._views = {}
        row = len(self._entries)
        said = content_words(entry.text)
        reach = -1
        if entry.reach is not None:
            reach = self._reaches.setdefault(entry.reach, len(self._reaches))
        self._columns[row] = (True, entry.vector is not None, KINDS[entry.kind], reach, len(said))
        # The vector is kept once, with the others.
        self._entries.append(replace(entry, vector=None))
        self._rows[entry.id] = row
        self._n_words += len(said)
        self._lexicon.add(row, said)

    def _entry(self, row: int) -> Entry:
        entry = self._entries[row]
        # A copy: the storage goes when the shelf is cleared.
        vector = self._vectors.matrix[row].copy() if self._columns["dense"][row] else None
        return replace(entry, vector=vector)

    def _reserve(self, n: int) -> None:
        if n > len(self._columns):
            wider = np.zeros(max(n, 2 * len(self._columns)), dtype=_COLUMNS)
            wider[: len(self._columns)] = self._columns
            self._columns = wider

    def _visible(self, ask: Ask) -> _View:
        asked = (ask.kinds, ask.reaches)
        known = self._views.get(asked)
        if known is None:
            # Others may ask at the same time: the same is then made twice.
            known = _view(self._mask(ask), self._columns[: len(self._entries)])
            self._views = {**self._views, asked: known} if len(self._views) < KEPT else {asked: known}
        return known

    def _mask(self, ask: Ask) -> Mask:
        columns = self._columns[: len(self._entries)]
        wanted = np.zeros(len(KINDS), dtype=np.bool_)
        wanted[[KINDS[kind] for kind in ask.kinds]] = True
        near = columns["reach"] == -1
        for code in {self._reaches[reach] for reach in ask.reaches if reach in self._reaches}:
            near |= columns["reach"] == code
        mask: Mask = columns["alive"] & wanted[columns["kind"]] & near
        return mask

    def _best(self, rows: Rows, scores: Scores, n: int) -> list[int]:
        """The `n` rows of highest score, ties by id: the order of rows must not decide."""
        if len(rows) > n:
            enough = scores >= np.partition(scores, -n)[-n]
            rows, scores = rows[enough], scores[enough]
        ranked = sorted(zip((-scores).tolist(), rows.tolist(), strict=True), key=self._by_score_and_id)
        return [row for _, row in ranked[:n]]

    def _by_score_and_id(self, pair: tuple[float, int]) -> tuple[float, str]:
        return pair[0], self._entries[pair[1]].id

    def _best_by_vector(self, vector: Vector, view: _View, n: int) -> list[int]:
        n_wanted = view.n_dense
        n_asked = min(n_wanted, 2 * n)
        while n_asked:
            near, rows = self._vectors.propose(vector, view.bits, n_asked, n_wanted / len(self._entries))
            exact = self._cosines(rows, vector)
            if (
                not self._vectors.exact
                or n_asked == n_wanted
                or np.partition(exact, -n)[-n] > float(near[-1]) + MARGIN
            ):
                return self._best(rows, exact, n)
            n_asked = min(n_wanted, 4 * n_asked)
        return []

    def _cosines(self, rows: Rows, vector: Vector) -> NDArray[np.float64]:
        return cosines(self._vectors.matrix[rows], vector)


def _view(mask: Mask, columns: NDArray[np.void]) -> _View:
    wanted = mask & columns["dense"]
    n = int(np.count_nonzero(mask))
    return _View(
        mask if n < len(mask) else None,
        n,
        int(columns["length"][mask].sum(dtype=np.int64)),
        np.packbits(wanted, bitorder="little"),
        int(np.count_nonzero(wanted)),
    )
