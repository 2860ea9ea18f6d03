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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import faiss as _typed_faiss
import numpy as np
from numpy.typing import NDArray

from memory.entry import Entry, Found, Vector, cosine
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
_COLUMNS = np.dtype([("alive", "?"), ("dense", "?"), ("kind", "i2"), ("family", "i4"), ("length", "i4")])

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a shelf."""

    vector: Vector | None
    """(d,) float32, unit length; None asks by words alone."""
    text: str
    kinds: tuple[ItemKind, ...]
    family: str | None
    n: int
    """Candidates wanted from each ranker."""


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
        self._families: dict[str, int] = {}
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

    def search(self, ask: Ask) -> list[Found]:
        """The best of each ranker, in no order."""
        mask = self._visible(ask)
        lexical, coverage = self._bm25(content_words(ask.text), mask)
        rows = set(self._best_by_words(lexical, ask.n))
        if ask.vector is not None:
            rows.update(self._best_by_vector(ask.vector, mask, ask.n))
        return [
            Found(
                id=self._entries[row].id,
                dense=self._cosine(row, ask.vector),
                lexical=float(lexical[row]) if lexical[row] > 0.0 else None,
                coverage=float(coverage[row]),
                vector=self._vector(row),
            )
            for row in sorted(rows)
        ]

    def known_vectors(self) -> tuple[list[str], NDArray[np.float32]]:
        """Text digests and their vectors (n, d), of living rows."""
        rows = [row for row in self._rows.values() if self._columns["dense"][row]]
        matrix = np.zeros((len(rows), self._dim), dtype=np.float32)
        for place, row in enumerate(rows):
            matrix[place] = self._vectors.reconstruct(row)
        return [self._entries[row].digest for row in rows], matrix

    def _append(self, entry: Entry) -> None:
        row = len(self._entries)
        said = content_words(entry.text)
        family = -1
        if entry.only_family is not None:
            family = self._families.setdefault(entry.only_family, len(self._families))
        self._columns[row] = (True, entry.vector is not None, _KINDS[entry.kind], family, len(said))
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

    def _visible(self, ask: Ask) -> Mask:
        columns = self._columns[: len(self._entries)]
        kinds = np.isin(columns["kind"], [_KINDS[kind] for kind in ask.kinds])
        family = self._families.get(ask.family, -1) if ask.family is not None else -1
        near = (columns["family"] == -1) | (columns["family"] == family)
        mask: Mask = columns["alive"] & kinds & near
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

    def _best_by_words(self, scores: NDArray[np.float64], n: int) -> list[int]:
        matching = np.flatnonzero(scores > 0.0)
        if len(matching) > n:
            least = np.partition(scores[matching], -n)[-n]
            matching = matching[scores[matching] >= least]
        return sorted((int(row) for row in matching), key=lambda row: (-scores[row], self._entries[row].id))[
            :n
        ]

    def _best_by_vector(self, vector: Vector, mask: Mask, n: int) -> list[int]:
        wanted = mask & self._columns["dense"][: len(mask)]
        n_wanted = int(wanted.sum())
        n_asked = min(n_wanted, n + 16)
        bits = np.packbits(wanted, bitorder="little")
        while n_asked:
            only = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
            near, rows = self._vectors.search(
                vector.reshape(1, -1), n_asked, params=only
            )  # (1, n_asked) each
            exact = {int(row): self._cosine(int(row), vector) or 0.0 for row in rows[0] if row >= 0}
            best = sorted(exact, key=lambda row: (-exact[row], self._entries[row].id))[:n]
            if n_asked == n_wanted or exact[best[-1]] > float(near[0, -1]) + MARGIN:
                return best
            n_asked = min(n_wanted, 4 * n_asked)
        return []

    def _cosine(self, row: int, vector: Vector | None) -> float | None:
        own = self._vector(row)
        return None if own is None or vector is None else cosine(own, vector)

    def _vector(self, row: int) -> Vector | None:
        if not self._columns["dense"][row]:
            return None
        vector: Vector = self._vectors.reconstruct(row)
        return vector


def write_vectors(path: Path, matrix: NDArray[np.float32]) -> None:
    """Vectors (n, d) as a FAISS file."""
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(matrix)
    faiss.write_index(index, str(path))


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Vectors (n, d) of a FAISS file. Raises RuntimeError on one that FAISS cannot read."""
    index = faiss.read_index(str(path))
    matrix: NDArray[np.float32] = index.reconstruct_n(0, index.ntotal)
    return matrix
