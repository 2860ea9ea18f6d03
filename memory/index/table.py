"""What an index keeps of each row beside words and vectors, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from memory.entry import Entry
from memory.index.lexicon import hash_of
from memory.types import ItemKind

KINDS: dict[ItemKind, int] = {kind: code for code, kind in enumerate(get_args(ItemKind))}
DIGEST = 32
"""Bytes of a text's digest."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of n rows, in memory or mapped from files."""

    ids: NDArray[np.uint8]
    """UTF-8 of all ids, one after the other."""
    id_starts: NDArray[np.int64]
    """(n + 1,) where each begins."""
    id_hashes: NDArray[np.uint64]
    """(n,)."""
    digests: NDArray[np.uint8]
    """(n, 32)."""
    keys: NDArray[np.int64]
    """(n,) rows of the database."""
    kinds: NDArray[np.int8]
    reaches: NDArray[np.int32]
    """(n,) places in `reach_names`; -1 is any."""
    lengths: NDArray[np.int32]
    """(n,) words of the text."""
    dense: NDArray[np.bool_]
    """(n,) has it a vector?"""
    reach_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def id(self, row: int) -> str:
        """Id of a row."""
        return self.ids_of(np.array([row]))[0]

    def ids_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Ids of rows (m,)."""
        spans = zip(self.id_starts[rows].tolist(), self.id_starts[rows + 1].tolist(), strict=True)
        # By the buffer: an array is slow to slice.
        ids = self.ids.data
        return [str(ids[start:end], "utf-8", "surrogatepass") for start, end in spans]

    def digests_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Digests of the texts of rows (m,)."""
        text = self.digests[rows].tobytes().hex()
        return [text[start : start + 2 * DIGEST] for start in range(0, len(text), 2 * DIGEST)]


def table_of(entries: Sequence[Entry], lengths: NDArray[np.int32]) -> Table:
    """The columns of entries; `lengths` (n,) are those of their texts in words."""
    ids = [entry.id.encode("utf-8", "surrogatepass") for entry in entries]
    names: dict[str, int] = {}
    reaches = [-1 if entry.reach is None else names.setdefault(entry.reach, len(names)) for entry in entries]
    digests = b"".join(bytes.fromhex(entry.digest) for entry in entries)
    return Table(
        ids=np.frombuffer(b"".join(ids), dtype=np.uint8),
        id_starts=np.concatenate(([0], np.cumsum([len(id_) for id_ in ids]))).astype(np.int64),
        id_hashes=np.array([hash_of(entry.id) for entry in entries], dtype=np.uint64),
        digests=np.frombuffer(digests, dtype=np.uint8).reshape(len(entries), DIGEST),
        keys=np.array([entry.key for entry in entries], dtype=np.int64),
        kinds=np.array([KINDS[entry.kind] for entry in entries], dtype=np.int8),
        reaches=np.array(reaches, dtype=np.int32),
        lengths=lengths.astype(np.int32),
        dense=np.array([entry.vector is not None for entry in entries], dtype=np.bool_),
        reach_names=tuple(names),
    )


def kept(table: Table, alive: NDArray[np.bool_]) -> Table:
    """The rows of the mask (n,), in order."""
    sizes = np.diff(table.id_starts)
    return Table(
        ids=table.ids[np.repeat(alive, sizes)],
        id_starts=np.concatenate(([0], np.cumsum(sizes[alive]))).astype(np.int64),
        id_hashes=table.id_hashes[alive],
        digests=table.digests[alive],
        keys=table.keys[alive],
        kinds=table.kinds[alive],
        reaches=table.reaches[alive],
        lengths=table.lengths[alive],
        dense=table.dense[alive],
        reach_names=table.reach_names,
    )


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several, one after the other; at least one."""
    names: dict[str, int] = {}
    reaches = []
    for table in tables:
        codes = [names.setdefault(name, len(names)) for name in table.reach_names]
        # The code -1 picks the last entry, which is itself.
        reaches.append(np.array([*codes, -1], dtype=np.int32)[table.reaches])
    starts = np.cumsum([0, *(len(table.ids) for table in tables)])
    return Table(
        ids=np.concatenate([table.ids for table in tables]),
        id_starts=np.concatenate(
            [[0], *(table.id_starts[1:] + start for table, start in zip(tables, starts, strict=False))]
        ).astype(np.int64),
        id_hashes=np.concatenate([table.id_hashes for table in tables]),
        digests=np.concatenate([table.digests for table in tables]),
        keys=np.concatenate([table.keys for table in tables]),
        kinds=np.concatenate([table.kinds for table in tables]),
        reaches=np.concatenate(reaches),
        lengths=np.concatenate([table.lengths for table in tables]),
        dense=np.concatenate([table.dense for table in tables]),
        reach_names=tuple(names),
    )
