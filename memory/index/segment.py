"""An immutable part of a large index, mapped from files; only which of its rows live may change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from memory.entry import Found, cosines, found_as
from memory.errors import IndexCorrupt
from memory.index.ask import Ask
from memory.index.bm25 import Corpus, Scores
from memory.index.inverted import Inverted, Term, invert
from memory.index.lexicon import Postings, hash_of
from memory.index.table import Table
from memory.index.vectors import Cells
from memory.index.visible import Visible

CELLS, REACHES = "cells.faiss", "reaches.json"
MAPPED = 1 << 16
"""Files below are read: an empty one cannot be mapped, and a small one need not."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What a segment is written from."""

    table: Table
    postings: Postings
    cells: Cells
    n_trained: int
    """Vectors the cells were laid out for."""


class Segment:
    """Rows, words and vectors of a large namespace. Questions may come at once; `kill` must come alone."""

    def __init__(self, table: Table, inverted: Inverted, cells: Cells, n_trained: int) -> None:
        self.table = table
        self.inverted = inverted
        self.cells = cells
        self.n_trained = n_trained
        self.visible = Visible(table)
        self._by_hash = np.argsort(table.id_hashes).astype(np.int32)
        self._n_living = len(table)
        self.n_words = int(table.lengths.sum(dtype=np.int64))
        self._spare: list[Scores] = []

    def __len__(self) -> int:
        return self._n_living

    @property
    def n_rows(self) -> int:
        """Rows, dead ones included."""
        return len(self.table)

    def kill(self, id_: str) -> None:
        """Forget a row, if there is one of that id."""
        row = self._row(id_)
        if row is not None and self.visible.alive[row]:
            self.visible.kill(row)
            self._n_living -= 1

    def search(self, ask: Ask, terms: Sequence[Term], corpus: Corpus) -> list[Found]:
        """About the best of each ranker, without vectors; cosines are of the quantised ones, so near ones."""
        bits, n_seen = self.visible.rows(ask.kinds, ask.reaches)
        if not n_seen:
            return []
        only = None if n_seen == self.n_rows else bits
        room = self._take_room()
        alike = self.inverted.best(terms, corpus, room, only, ask.n)
        self._spare.append(room)
        _, near = self.cells.search(ask.vector, ask.n, only, n_seen / self.n_rows)
        rows = np.array(sorted({*alike.tolist(), *near.tolist()}), dtype=np.int64)
        lexical, coverage = self.inverted.scores(terms, corpus, rows)
        is_dense = self.table.dense[rows]
        dense = np.zeros(len(rows))
        dense[is_dense] = cosines(self.cells.vectors(rows[is_dense]), ask.vector)
        scores = (is_dense.tolist(), dense.tolist(), lexical.tolist(), coverage.tolist())
        names = self.table.ids_of(rows), self.table.keys[rows].tolist()
        return [
            found_as(id_, near if has_vector else None, score if score > 0.0 else None, share, None, key)
            for id_, key, has_vector, near, score, share in zip(*names, *scores, strict=True)
        ]

    def _row(self, id_: str) -> int | None:
        wanted, hashes = np.uint64(hash_of(id_)), self.table.id_hashes
        place = int(np.searchsorted(hashes, wanted, sorter=self._by_hash))
        while place < len(hashes) and hashes[self._by_hash[place]] == wanted:
            row = int(self._by_hash[place])
            if self.table.id(row) == id_:
                return row
            place += 1
        return None

    def _take_room(self) -> Scores:
        try:
            return self._spare.pop()
        except IndexError:
            return np.zeros(self.n_rows)


def write(content: Content, folder: Path) -> None:
    """Write a segment's files."""
    inverted = invert(content.postings, content.table.lengths)
    for owner in (content.table, content.postings, inverted):
        for field in fields(owner):
            value = getattr(owner, field.name)
            if isinstance(value, np.ndarray):
                np.save(_file(folder, type(owner), field.name), value)
    (folder / REACHES).write_text(json.dumps(content.table.reach_names), encoding="utf-8")
    content.cells.write(folder / CELLS)


def open_segment(folder: Path, *, n_probe: int, n_trained: int) -> Segment:
    """Map a folder's files. Raises IndexCorrupt when they do not belong together."""
    try:
        names = json.loads((folder / REACHES).read_text(encoding="utf-8"))
        table = _load(folder, Table, reach_names=tuple(names))
        inverted = _load(folder, Inverted, postings=_load(folder, Postings))
        cells = Cells.open(folder / CELLS, n_probe)
    except (OSError, ValueError, RuntimeError) as error:
        raise IndexCorrupt(f"the segment {folder.name} cannot be read: {error}") from error
    if len(cells) != int(table.dense.sum()):
        raise IndexCorrupt(f"the segment {folder.name} has {len(cells)} vectors, not one for each dense row")
    return Segment(table, inverted, cells, n_trained)


def _load(folder: Path, kind: type[T], **rest: Any) -> T:
    names = [field.name for field in fields(kind) if field.name not in rest]  # type: ignore[arg-type]
    return kind(**rest, **{name: _array(_file(folder, kind, name)) for name in names})


def _array(path: Path) -> NDArray[Any]:
    mode: Literal["r"] | None = "r" if path.stat().st_size >= MAPPED else None
    # As a plain array: the class for mapped files is slow to slice.
    return np.asarray(np.load(path, mmap_mode=mode))


def _file(folder: Path, kind: type[Any], name: str) -> Path:
    return folder / f"{kind.__name__.lower()}-{name}.npy"
