"""The derived index of one namespace: exact nearest neighbours (FAISS) and BM25. Not thread-safe.

Scores never depend on the order in which items came: the same items give the same candidates bit for bit,
which makes an old recall replayable. So FAISS only proposes; cosines are taken again one row at a time, and
the proposal is widened until it provably holds the best.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import faiss as _typed_faiss
import numpy as np
from numpy.typing import NDArray

from memory.entry import Entry, Found, Matrix, Vector, cosines
from memory.index.ask import Ask, Searched
from memory.types import ItemKind
from memory.words import content_words

# Its stubs describe the C++ signatures, not the Python ones.
faiss: Any = _typed_faiss

K1, B = 1.2, 0.75
MARGIN = 1e-4
"""More than float32 inner products of unit vectors can differ between two ways of adding them up."""
DEAD = 1024
"""Dead rows that are worth a rebuild once they are half of all."""
_KINDS: dict[ItemKind, int] = {kind: code for code, kind in enumerate(get_args(ItemKind))}
_COLUMNS = np.dtype([("alive", "?"), ("dense", "?"), ("kind", "i2"), ("reach", "i4"), ("length", "i4")])

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Shelf:
    """The findable items of one namespace under one encoder generation."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._clear()

    def _clear(self) -> None:
        self._vectors = faiss.IndexFlatIP(self._dim)
        self._columns = np.zeros(64, dtype=_COLUMNS)
        self._entries: list[Entry] = []
        self._rows: dict[str, int] = {}
        self._reaches: dict[str, int] = {}
        self._postings: dict[str, tuple[array[int], array[int]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

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
        n_dead = len(self._entries) - len(self._rows)
        if n_dead > DEAD and n_dead > len(self._rows):
            living = [self._entries[row] for row in self._rows.values()]
            self._clear()
            self.put(living)

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker, in no order."""
        mask = self._visible(ask.kinds, ask.reaches)
        lexical, coverage = self._bm25(content_words(ask.text), mask)
        rows = set(self._best(np.flatnonzero(lexical > 0.0), lexical[lexical > 0.0], ask.n))
        rows.update(self._best_by_vector(ask.vector, mask, ask.n))
        order = np.array(sorted(rows), dtype=np.int64)
        cosines = self._cosines(order, ask.vector)
        dense = self._columns["dense"][order]
        found = (
            Found(
                id=self._entries[row].id,
                dense=float(cosines[place]) if dense[place] else None,
                lexical=float(lexical[row]) if lexical[row] > 0.0 else None,
                coverage=float(coverage[row]),
                vector=self._matrix()[row].copy() if dense[place] else None,
            )
            for place, row in enumerate(order)
        )
        return Searched(tuple(found), exact=True)

    def near(
        self, vector: Vector, kind: ItemKind, reaches: frozenset[str], *, least: float, n: int
    ) -> list[str]:
        """Ids of at most `n` items of a kind with a cosine of about `least` or more, nearest first."""
        mask = self._visible((kind,), reaches) & self._columns["dense"][: len(self._entries)]
        n = min(n, int(mask.sum()))
        if not n:
            return []
        scores, rows = self._proposed(vector, mask, n)
        return [self._entries[row].id for row, score in zip(rows, scores, strict=True) if score >= least]

    def known_vectors(self) -> tuple[list[str], Matrix]:
        """Text digests and their vectors (n, d), of living rows."""
        rows = np.array(list(self._rows.values()), dtype=np.int64)
        rows = rows[self._columns["dense"][rows]]
        return [self._entries[row].digest for row in rows], self._matrix()[rows]

    def _append(self, entry: Entry) -> None:
        row = len(self._entries)
        said = content_words(entry.text)
        reach = -1
        if entry.reach is not None:
            reach = self._reaches.setdefault(entry.reach, len(self._reaches))
        self._columns[row] = (True, entry.vector is not None, _KINDS[entry.kind], reach, len(said))
        self._entries.append(entry)
        self._rows[entry.id] = row
        for word, count in Counter(said).items():
            rows, counts = self._postings.setdefault(word, (array("i"), array("i")))
            rows.append(row)
            counts.append(count)

    def _reserve(self, n: int) -> None:
        if n > len(self._columns):
            wider = np.zeros(max(n, 2 * len(self._columns)), dtype=_COLUMNS)
            wider[: len(self._columns)] = self._columns
            self._columns = wider

    def _visible(self, kinds: Iterable[ItemKind], reaches: frozenset[str]) -> Mask:
        columns = self._columns[: len(self._entries)]
        wanted = np.zeros(len(_KINDS), dtype=np.bool_)
        wanted[[_KINDS[kind] for kind in kinds]] = True
        near = columns["reach"] == -1
        for code in {self._reaches[reach] for reach in reaches if reach in self._reaches}:
            near |= columns["reach"] == code
        mask: Mask = columns["alive"] & wanted[columns["kind"]] & near
        return mask

    def _bm25(self, words: Sequence[str], mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """BM25 and idf-weighted coverage (n,) over what the question may see.

        Source: Robertson & Zaragoza 2009, The Probabilistic Relevance Framework, §3; idf as in Lucene.
        SQLite's own bm25() counts the words of other namespaces and cannot be asked about the past.
        """
        scores, covered = np.zeros(len(mask)), np.zeros(len(mask))
        n = int(mask.sum())
        lengths = self._columns["length"][: len(mask)]
        mean = float(lengths[mask].sum()) / n if n else 0.0
        total = 0.0
        for word in sorted(set(words)):
            rows, counts = (np.asarray(part) for part in self._postings.get(word, (array("i"), array("i"))))
            seen = mask[rows] if len(rows) else np.zeros(0, dtype=np.bool_)
            rows, counts = rows[seen], counts[seen]
            idf = math.log(1.0 + (n - len(rows) + 0.5) / (len(rows) + 0.5))
            total += idf
            if len(rows):
                damp = K1 * (1.0 - B + B * lengths[rows] / mean)
                scores[rows] += idf * counts * (K1 + 1.0) / (counts + damp)
                covered[rows] += idf
        return scores, covered / total if total else covered

    def _best(self, rows: Rows, scores: NDArray[np.float64], n: int) -> list[int]:
        """The `n` rows of highest score, ties by id: the order of rows must not decide."""
        if len(rows) > n:
            enough = scores >= np.partition(scores, -n)[-n]
            rows, scores = rows[enough], scores[enough]
        ranked = sorted(zip((-scores).tolist(), rows.tolist(), strict=True), key=self._by_score_and_id)
        return [row for _, row in ranked[:n]]

    def _by_score_and_id(self, pair: tuple[float, int]) -> tuple[float, str]:
        return pair[0], self._entries[pair[1]].id

    def _best_by_vector(self, vector: Vector, mask: Mask, n: int) -> list[int]:
        wanted = mask & self._columns["dense"][: len(mask)]
        n_wanted = int(wanted.sum())
        n_asked = min(n_wanted, 2 * n)
        while n_asked:
            near, rows = self._proposed(vector, wanted, n_asked)
            exact = self._cosines(rows, vector)
            if n_asked == n_wanted or np.partition(exact, -n)[-n] > float(near[-1]) + MARGIN:
                return self._best(rows, exact, n)
            n_asked = min(n_wanted, 4 * n_asked)
        return []

    def _proposed(self, vector: Vector, mask: Mask, n: int) -> tuple[NDArray[np.float32], Rows]:
        only = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
        scores, rows = self._vectors.search(vector.reshape(1, -1), n, params=only)  # (1, n) each
        return scores[0], rows[0]

    def _cosines(self, rows: Rows, vector: Vector) -> NDArray[np.float64]:
        return cosines(self._matrix()[rows], vector)

    def _matrix(self) -> Matrix:
        """FAISS's own storage (n, d), not copied; valid until something is added."""
        n = self._vectors.ntotal
        if not n:
            return np.zeros((0, self._dim), dtype=np.float32)
        matrix: Matrix = faiss.rev_swig_ptr(self._vectors.get_xb(), n * self._dim).reshape(n, self._dim)
        return matrix


def write_vectors(path: Path, matrix: Matrix) -> None:
    """Vectors (n, d) as a FAISS file."""
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(matrix)
    faiss.write_index(index, str(path))


def read_vectors(path: Path) -> Matrix:
    """Vectors (n, d) of a FAISS file. Raises RuntimeError on one that FAISS cannot read."""
    index = faiss.read_index(str(path))
    matrix: Matrix = index.reconstruct_n(0, index.ntotal)
    return matrix
