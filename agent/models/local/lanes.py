"""Keys and values of the sequences in flight, kept so that rows can join and leave a running batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers.cache_utils import Cache

_COLUMNS = 512
_ROWS = 4
_USEFUL_PREFIX = 16
"""Tokens below which copying a stored prefix is not worth the look-up."""


@dataclass(frozen=True, slots=True)
class LaneShape:
    """What the cache of a model looks like."""

    layers: int
    heads: int
    """Key/value heads."""
    head_dim: int
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True)
class _Window:
    """The rows and columns that the next forward pass writes."""

    first_row: int
    end_row: int
    first_column: int
    end_column: int


class Lanes(Cache):
    """One buffer `(layer, key|value, row, head, column, dim)`; every row's newest token is in the last one.

    Rows are left-padded: row i occupies columns `_starts[i]..end`, `_live` tells which of them hold a token.
    A row joins by writing its last tokens up to the shared end and leaves by swapping with the last row, so
    neither moves the others. Rotary positions are passed to the model and do not depend on columns.
    """

    def __init__(self, shape: LaneShape) -> None:
        super().__init__(layers=[])
        self.rows = 0
        self._shape = shape
        self._end = 0
        self._starts: list[int] = []
        self._window = _Window(0, 0, 0, 0)
        self._kv, self._live = self._allocate(_ROWS, _COLUMNS)

    def admit(self, prefixes: Sequence[torch.Tensor | None], n_new: Sequence[int]) -> None:
        """Open a row per entry: a stored prefix `(layer, 2, head, n, dim)`, then room for `n_new` tokens."""
        width = max(n_new)
        reused = [0 if prefix is None else prefix.shape[3] for prefix in prefixes]
        self._make_room(self.rows + len(n_new), max(reused) + width)
        first = self._end - width
        for offset, (prefix, new) in enumerate(zip(prefixes, n_new, strict=True)):
            row = self.rows + offset
            begin = first - reused[offset]
            self._live[row] = False
            self._live[row, self._end - new : self._end] = True
            if prefix is not None:
                self._kv[:, :, row, :, begin:first] = prefix
                self._live[row, begin:first] = True
            self._starts.append(begin)
        self._window = _Window(self.rows, self.rows + len(n_new), first, self._end)
        self.rows += len(n_new)

    def advance(self) -> None:
        """Open one column: the next pass writes one token to every row."""
        self._make_column()
        self._live[: self.rows, self._end] = True
        self._end += 1
        self._window = _Window(0, self.rows, self._end - 1, self._end)

    def mask(self) -> torch.Tensor:
        """Which columns each new token may see, `(row, 1, new, column) bool`.

        Padding sees itself, because a softmax over nothing is NaN and NaN would reach the values.
        """
        window = self._window
        n_new = window.end_column - window.first_column
        live = self._live[window.first_row : window.end_row, self._first_column() : window.end_column]
        if n_new == 1:
            return live[:, None, None, :]
        n_seen = live.shape[1] - n_new
        causal = torch.ones(n_new, live.shape[1], dtype=torch.bool, device=live.device).tril(n_seen)
        itself = torch.zeros_like(causal)
        itself[:, n_seen:].fill_diagonal_(True)  # (new, column)
        return (live[:, None, None, :] & causal) | itself

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new keys and values `(row, head, new, dim)`; return all that the window may see."""
        window = self._window
        kv = self._kv[layer_idx, :, window.first_row : window.end_row]
        kv[0, :, :, window.first_column : window.end_column] = key_states
        kv[1, :, :, window.first_column : window.end_column] = value_states
        seen = kv[:, :, :, self._first_column() : window.end_column]
        return seen[0], seen[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns before the new tokens."""
        del layer_idx
        return self._window.first_column - self._first_column()

    def take(self, row: int) -> torch.Tensor:
        """A copy of one row without its padding, `(layer, 2, head, n, dim)`."""
        begin = self._starts[row]
        columns = self._live[row, begin : self._end].nonzero().squeeze(1) + begin
        return self._kv[:, :, row].index_select(3, columns)

    def drop(self, row: int) -> None:
        """Close a row; the last row takes its number."""
        last = self.rows - 1
        if row != last:
            begin = self._starts[last]
            self._kv[:, :, row, :, begin : self._end] = self._kv[:, :, last, :, begin : self._end]
            self._live[row] = self._live[last]
            self._starts[row] = begin
        self._starts.pop()
        self.rows = last
        if last == 0:
            self._end = 0

    def _first_column(self) -> int:
        return min(self._starts[self._window.first_row : self._window.end_row], default=0)

    def _allocate(self, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        shape = self._shape
        size = (shape.layers, 2, rows, shape.heads, columns, shape.head_dim)
        kv = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        return kv, torch.zeros(rows, columns, dtype=torch.bool, device=shape.device)

    def _make_room(self, rows: int, length: int) -> None:
        """At least so many rows, and a shared end at which a sequence of this length fits."""
        n_rows, n_columns = self._live.shape
        end = max(self._end, length)
        if rows > n_rows or end > n_columns:
            self._move(end, max(rows, 2 * n_rows) if rows > n_rows else n_rows, _grown(n_columns, end))
        elif end != self._end:
            self._move(end, n_rows, n_columns)

    def _make_column(self) -> None:
        n_rows, n_columns = self._live.shape
        if self._end < n_columns:
            return
        longest = self._end - min(self._starts)
        if longest <= n_columns // 2:  # the long rows have left: slide the rest to the front
            self._move(longest, n_rows, n_columns)
        else:
            self._move(self._end, n_rows, 2 * n_columns)

    def _move(self, end: int, rows: int, columns: int) -> None:
        """Let the open rows end at `end`, in a buffer of the given size."""
        shift = end - self._end
        begin = min(self._starts, default=self._end)
        source, target = slice(begin, self._end), slice(begin + shift, end)
        kv = self._kv[:, :, : self.rows, :, source].clone()
        live = self._live[: self.rows, source].clone()
        if (rows, columns) == tuple(self._live.shape):
            self._live[: self.rows] = False
        else:
            self._kv, self._live = self._allocate(rows, columns)
        self._kv[:, :, : self.rows, :, target] = kv
        self._live[: self.rows, target] = live
        self._starts = [start + shift for start in self._starts]
        self._end = end


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens whose keys and values are known."""

    tokens: np.ndarray
    """`(n,) int64`."""
    kv: torch.Tensor
    """`(layer, 2, head, n, dim)`."""
    head: bytes
    """The first tokens, for a quick comparison."""

    @property
    def size_bytes(self) -> int:
        """Memory held."""
        return int(self.kv.numel() * self.kv.element_size())


class PrefixStore:
    """The most recently used sequences, so that an episode's next turn computes its new tokens only."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: list[Prefix] = []

    def find(self, tokens: Sequence[int]) -> torch.Tensor | None:
        """Keys and values of the longest known beginning of `tokens`, at most all but the last one."""
        wanted = np.asarray(tokens[:-1], dtype=np.int64)
        best, length = None, _USEFUL_PREFIX - 1
        head = _head(wanted)
        for prefix in self._kept:
            if prefix.head != head:
                continue
            common = _common(wanted, prefix.tokens)
            if common > length:
                best, length = prefix, common
        return None if best is None else best.kv[:, :, :, :length]

    def put(self, tokens: Sequence[int], kv: torch.Tensor) -> None:
        """Keep a sequence; those it continues are superseded, then the oldest go until the limit holds."""
        array = np.asarray(tokens, dtype=np.int64)
        new = Prefix(array, kv, _head(array))
        self._kept = [old for old in self._kept if old.head != new.head or not _begins(old.tokens, array)]
        self._kept.append(new)
        total = sum(prefix.size_bytes for prefix in self._kept)
        while self._kept and total > self._limit_bytes:
            total -= self._kept.pop(0).size_bytes


def _head(tokens: np.ndarray) -> bytes:
    """The first tokens, compared before all others."""
    return tokens[:_USEFUL_PREFIX].tobytes()


def _begins(old: np.ndarray, new: np.ndarray) -> bool:
    return len(old) <= len(new) and old[-1] == new[len(old) - 1] and np.array_equal(old, new[: len(old)])


def _common(left: np.ndarray, right: np.ndarray) -> int:
    n = min(len(left), len(right))
    different = np.flatnonzero(left[:n] != right[:n])
    return int(different[0]) if len(different) else n


def _grown(n_columns: int, needed: int) -> int:
    while n_columns < needed:
        n_columns *= 2
    return n_columns
