"""New segments: from nothing, page by page, or from an old one and what was written since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memory.entry import Matrix
from memory.index import lexicon, table
from memory.index.segment import Content, Segment
from memory.index.shelf import Chunk
from memory.index.vectors import Cells, questions_like


class Builder:
    """Takes in chunks; memory holds the quantised vectors and the words, never the vectors themselves."""

    def __init__(self, sample: Matrix, n: int) -> None:
        """`sample` (m, d): some of the about `n` vectors that will come."""
        # Without any vector there is nothing to lay cells out by: one serves all, until there are some.
        sample = sample if len(sample) else np.eye(1, sample.shape[1], dtype=np.float32)
        self._cells = Cells.train(sample, n)
        self._questions = questions_like(sample)
        self._n_trained = n
        self._tables: list[table.Table] = []
        self._postings: list[lexicon.Postings] = []
        self._offsets = [0]

    def add(self, chunk: Chunk) -> None:
        """The next rows."""
        _add(self._cells, chunk, self._offsets[-1])
        self._tables.append(chunk.table)
        self._postings.append(chunk.postings)
        self._offsets.append(self._offsets[-1] + len(chunk.table))

    def content(self) -> Content:
        """All of it; at least one chunk must have come."""
        self._cells.tune(self._questions)
        return Content(
            table.joined(self._tables),
            lexicon.joined(self._postings, self._offsets[:-1]),
            self._cells,
            self._n_trained,
        )


def merged(segment: Segment, alive: NDArray[np.bool_], chunk: Chunk) -> Content:
    """The rows of a segment that live (n,) and those of a chunk, in cells laid out as they were."""
    places = np.where(alive, np.cumsum(alive) - 1, -1)  # (n,) new row of every old one
    n_kept = int(alive.sum())
    cells = segment.cells.kept(places)
    _add(cells, chunk, n_kept)
    return Content(
        table.joined([table.kept(segment.table, alive), chunk.table]),
        lexicon.joined([lexicon.kept(segment.inverted.postings, places), chunk.postings], [0, n_kept]),
        cells,
        segment.n_trained,
    )


def _add(cells: Cells, chunk: Chunk, offset: int) -> None:
    rows = np.flatnonzero(chunk.table.dense)
    cells.add(chunk.matrix[rows], rows + offset)
