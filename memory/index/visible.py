"""Which rows of a segment a question may see, as bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory.index.table import KINDS, Table
from memory.index.vectors import Bits
from memory.types import ItemKind

KEPT = 64
"""Bit sets that are remembered; at 10^6 rows each takes 122 KiB."""


@dataclass(slots=True)
class _Set:
    bits: Bits
    n: int


class Visible:
    """Living rows by kind and reach. Questions may come at once; `kill` must come alone."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._alive = np.ones(len(table), dtype=np.bool_)
        self._codes = {name: code for code, name in enumerate(table.reach_names)}
        self._sets: dict[tuple[tuple[ItemKind, ...], int], _Set] = {}

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(n,)."""
        return self._alive

    def kill(self, row: int) -> None:
        """Nobody sees the row any more."""
        self._alive[row] = False
        bit = np.uint8(1 << (row & 7))
        for one in self._sets.values():
            if one.bits[row >> 3] & bit:
                one.bits[row >> 3] ^= bit
                one.n -= 1

    def rows(self, kinds: tuple[ItemKind, ...], reaches: Iterable[str]) -> tuple[Bits, int]:
        """The bits of what may be seen, not to be changed, and how many rows that is."""
        codes = [-1, *sorted(self._codes[reach] for reach in reaches if reach in self._codes)]
        sets = [self._set(kinds, code) for code in codes]
        bits = sets[0].bits
        for one in sets[1:]:
            bits = bits | one.bits
        # A row has one reach, so nothing is counted twice.
        return bits, sum(one.n for one in sets)

    def _set(self, kinds: tuple[ItemKind, ...], code: int) -> _Set:
        known = self._sets.get((kinds, code))
        if known is not None:
            return known
        wanted = np.zeros(len(KINDS), dtype=np.bool_)
        wanted[[KINDS[kind] for kind in kinds]] = True
        rows = np.flatnonzero(self._table.reaches == code)
        rows = rows[wanted[self._table.kinds[rows]] & self._alive[rows]]
        mask = np.zeros(len(self._alive), dtype=np.bool_)
        mask[rows] = True
        made = _Set(np.packbits(mask, bitorder="little"), len(rows))
        if len(self._sets) >= KEPT:
            self._sets = {}
        self._sets[kinds, code] = made
        return made
