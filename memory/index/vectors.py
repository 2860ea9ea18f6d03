"""Nearest neighbours with FAISS: all of a few, or the likely cells of many.

FAISS only proposes; cosines are taken again elsewhere, of cells from their 8 bits a number. It crashes when a
search meets an add, so whoever owns one of these keeps the two apart.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import faiss as _typed_faiss
import numpy as np
from numpy.typing import NDArray

from memory.entry import Matrix, Vector

# Its stubs describe the C++ signatures, not the Python ones.
faiss: Any = _typed_faiss

Rows = NDArray[np.int64]
Bits = NDArray[np.uint8]
"""One bit a row, lowest first, as `np.packbits(…, bitorder="little")` makes it."""

PER_CELL = 32
"""Training vectors a cell: FAISS warns below 39, but recall does not change (measured)."""
ROUNDS = 6
"""Of k-means; more change nothing that can be measured."""
N_QUESTIONS = 48
GOOD = 0.98
"""Share of the ten nearest that must be among the proposals when the number of cells is chosen."""
LEAST_PROBES = 8


class Neighbours(Protocol):
    """Vectors of rows 0, 1, 2, … that grow at the end."""

    exact: bool
    """Scores are true inner products, and nothing nearer is passed over."""

    @property
    def matrix(self) -> Matrix:
        """(n, d), not copied; valid until something is added."""
        ...

    def add(self, matrix: Matrix) -> None:
        """Append rows (m, d)."""
        ...

    def propose(self, vector: Vector, bits: Bits, n: int, share: float) -> tuple[NDArray[np.float32], Rows]:
        """Scores and rows of at most `n` of the rows in `bits`, which are a `share` of all, best first."""
        ...


class Flat:
    """Every vector is looked at."""

    exact = True

    def __init__(self, dim: int) -> None:
        self._index = faiss.IndexFlatIP(dim)
        self._matrix: Matrix = np.zeros((0, dim), dtype=np.float32)

    @property
    def matrix(self) -> Matrix:
        """FAISS's own storage."""
        return self._matrix

    def add(self, matrix: Matrix) -> None:
        """Append rows (m, d)."""
        self._index.add(matrix)
        n, dim = self._index.ntotal, self._index.d
        if n:
            self._matrix = faiss.rev_swig_ptr(self._index.get_xb(), n * dim).reshape(n, dim)

    def propose(self, vector: Vector, bits: Bits, n: int, share: float) -> tuple[NDArray[np.float32], Rows]:
        """The `n` best of the rows in `bits`; there must be as many."""
        only = None if share == 1.0 else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        scores, rows = self._index.search(vector.reshape(1, -1), n, params=only)  # (1, n) each
        return scores[0], rows[0]


class Cells:
    """An inverted file: vectors in 8 bits a number, in cells round centroids, of which few are looked at.

    Source: Jégou et al. 2011, Product Quantization for Nearest Neighbor Search, §4 (the inverted file), with
    FAISS's scalar quantiser. Rows carry their number, so cells may be filled in any order.
    """

    def __init__(self, index: Any, n_probe: int, keeps: object = None) -> None:
        self._index = index
        self.n_probe = n_probe
        # The centroids belong to the index they were trained in.
        self._keeps = keeps

    @classmethod
    def train(cls, sample: Matrix, n: int) -> Cells:
        """Empty cells for about `n` vectors like those of the sample (m, d)."""
        n_cells = max(1, min(cells_for(n), len(sample)))
        index = _ivf(faiss.IndexFlatIP(sample.shape[1]), n_cells)
        index.cp.niter = ROUNDS
        index.cp.spherical = True
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = PER_CELL
        index.train(sample)
        return cls(index, LEAST_PROBES)

    @classmethod
    def open(cls, path: Path, n_probe: int) -> Cells:
        """Mapped, not read. Raises RuntimeError on a file FAISS cannot read."""
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        _locate(index)
        return cls(index, n_probe)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def write(self, path: Path) -> None:
        """As a file."""
        faiss.write_index(self._index, str(path))

    def fresh(self) -> Cells:
        """The same cells, empty and in memory."""
        index = _ivf(self._index.quantizer, self._index.nlist)
        index.sq = self._index.sq
        index.is_trained = True
        return Cells(index, self.n_probe, keeps=self)

    def add(self, matrix: Matrix, rows: Rows) -> None:
        """Take in vectors (m, d) of rows (m,)."""
        if len(rows):
            self._index.add_with_ids(np.ascontiguousarray(matrix), rows)

    def kept(self, places: Rows) -> Cells:
        """A copy in memory with every row moved to `places[row]`; those of place -1 are left out."""
        copy = self.fresh()
        old, new = self._index.invlists, copy._index.invlists
        for cell in range(self._index.nlist):
            size = old.list_size(cell)
            if not size:
                continue
            ids = faiss.rev_swig_ptr(old.get_ids(cell), size)
            codes = faiss.rev_swig_ptr(old.get_codes(cell), size * old.code_size).reshape(size, -1)
            moved = places[ids]
            stays = moved >= 0
            moved, codes = np.ascontiguousarray(moved[stays]), np.ascontiguousarray(codes[stays])
            if len(moved):
                new.add_entries(cell, len(moved), faiss.swig_ptr(moved), faiss.swig_ptr(codes))
        copy._index.ntotal = sum(new.list_size(cell) for cell in range(self._index.nlist))
        return copy

    def search(
        self, vector: Vector, n: int, bits: Bits | None, share: float
    ) -> tuple[NDArray[np.float32], Rows]:
        """Scores and rows of about the `n` best, or of those in `bits`, which are a `share` of all.

        The rarer they are, and the more of them are wanted, the more cells are looked at: whoever asks for
        all gets all.
        """
        n_cells = int(self._index.nlist)
        least = max(self.n_probe, n * n_cells / max(1, len(self)))
        n_probe = min(n_cells, math.ceil(least / max(share, 1e-9)))
        options: dict[str, Any] = {"nprobe": n_probe}
        if bits is not None:
            options["sel"] = faiss.IDSelectorBitmap(bits)
        params = faiss.SearchParametersIVF(**options)
        scores, rows = self._index.search(vector.reshape(1, -1), n, params=params)  # (1, n) each
        found = rows[0] >= 0
        return scores[0][found], rows[0][found]

    def vectors(self, rows: Rows) -> Matrix:
        """What is kept of the vectors (m, d) of rows (m,), in 8 bits a number; of opened cells only."""
        matrix: Matrix = self._index.reconstruct_batch(rows)
        return matrix

    def tune(self, questions: Matrix) -> None:
        """Choose how many cells are looked at: the fewest that find what looking at all of them finds."""
        truth = self._nearest(questions, int(self._index.nlist))
        self.n_probe = LEAST_PROBES
        while self.n_probe < self._index.nlist:
            got = self._nearest(questions, self.n_probe)
            shared = sum(len(set(a) & set(b)) for a, b in zip(truth.tolist(), got.tolist(), strict=True))
            if shared >= GOOD * truth.size:
                return
            self.n_probe *= 2

    def _nearest(self, questions: Matrix, n_probe: int) -> Rows:
        rows: Rows = self._index.search(questions, 10, params=faiss.SearchParametersIVF(nprobe=n_probe))[1]
        return rows


class Growing:
    """Cells in memory beside the vectors themselves: what was written after a segment was."""

    exact = False

    def __init__(self, cells: Cells, dim: int) -> None:
        self._cells = cells
        self._n = 0
        self._room = np.zeros((64, dim), dtype=np.float32)

    @property
    def matrix(self) -> Matrix:
        """The vectors as they came."""
        return self._room[: self._n]

    def add(self, matrix: Matrix) -> None:
        """Append rows (m, d)."""
        end = self._n + len(matrix)
        if end > len(self._room):
            wider = np.zeros((max(end, 2 * len(self._room)), matrix.shape[1]), dtype=np.float32)
            wider[: self._n] = self.matrix
            self._room = wider
        self._room[self._n : end] = matrix
        self._cells.add(matrix, np.arange(self._n, end))
        self._n = end

    def propose(self, vector: Vector, bits: Bits, n: int, share: float) -> tuple[NDArray[np.float32], Rows]:
        """About the `n` best of the rows in `bits`."""
        return self._cells.search(vector, n, bits, share)


def cells_for(n: int) -> int:
    """How many cells serve `n` vectors best."""
    return max(1, round(4 * math.sqrt(n)))


def sample_size(n: int) -> int:
    """How many vectors train the cells for `n`."""
    return PER_CELL * cells_for(n)


def questions_like(sample: Matrix) -> Matrix:
    """A few vectors (m, d) that lie near some of the sample (n, d), as a question does, but not upon them."""
    rng = np.random.default_rng(0)
    picked = sample[rng.choice(len(sample), min(N_QUESTIONS, len(sample)), replace=False)]
    near = picked + rng.normal(size=picked.shape) * (0.6 / math.sqrt(picked.shape[1]))
    made: Matrix = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    return made


def _locate(index: Any) -> None:
    """Let it find the code of a row; FAISS does so itself only where every row has one."""
    lists, found = index.invlists, []
    for cell in range(index.nlist):
        size = lists.list_size(cell)
        if size:
            rows = faiss.rev_swig_ptr(lists.get_ids(cell), size)
            found.append(np.stack((rows, (cell << 32) + np.arange(size))))  # (2, size)
    if found:
        rows, codes = np.concatenate(found, axis=1)
        places = np.full(rows.max() + 1, -1)
        places[rows] = codes
        faiss.copy_array_to_vector(places, index.direct_map.array)
        index.direct_map.type = faiss.DirectMap.Array


def _ivf(quantizer: Any, n_cells: int) -> Any:
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, quantizer.d, n_cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.own_fields = False
    # Python keeps what C++ does not own.
    index.referenced_objects = [quantizer]
    return index
