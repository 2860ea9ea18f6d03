"""How one namespace's index comes about: from files, from the database, or from the one there is."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from time import sleep

import numpy as np

from memory.entry import Entry, Matrix
from memory.errors import IndexCorrupt
from memory.index import snapshots
from memory.index.ask import Index
from memory.index.building import Builder, merged
from memory.index.layers import Layers
from memory.index.segment import Content, open_segment, write
from memory.index.shelf import Shelf
from memory.index.snapshots import Loaded, Stamp, Unwanted
from memory.store.engine import Store
from memory.store.feed import PAGE
from memory.store.reader import Reader

log = logging.getLogger(__name__)
AT_ONCE = 1000
"""Vectors asked for in one statement."""
A_MOMENT, PAUSE = 32, 1e-4
"""Entries taken in between two pauses of a long build, and seconds of a pause."""
SAMPLE = 1 << 17
"""Most vectors that cells are laid out by: 192 MiB at 384 numbers."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """When an index changes its shape; all in rows."""

    large: int = 20_000
    """From here on a namespace is quantised and searched approximately; up to here exactly."""
    merge: int = 8_192
    """A tail is merged from here on …"""
    share: float = 1 / 16
    """… and from this share of its segment on; so is a segment of which four times as much is dead."""
    stride: int = 4_096
    """Written until an index follows unasked; a namespace of fewer waits for its first question."""
    outgrown: float = 4.0
    """Cells are laid out anew for this many times the rows they were made for."""


Made = Callable[[], tuple[Content, int]]
"""Makes a segment's content and says at which log position it stands."""


class Segments:
    """Opens, fills and improves indexes of one encoder generation. Thread-safe."""

    def __init__(self, store: Store, encoder: str, dim: int, folder: Path, sizes: Sizes) -> None:
        self._store = store
        self._encoder = encoder
        self._dim = dim
        self._folder = folder
        self._sizes = sizes
        self.stopping = Event()
        """Set to end what is being built at the next page."""

    @property
    def is_any(self) -> bool:
        """Is there a segment of any namespace on disk?"""
        return any(self._own().glob(f"*/{snapshots.POINTER}"))

    def folders(self, namespace: str) -> list[Path]:
        """Where segments of a namespace are, of all generations."""
        return list(self._folder.glob(f"*/{_name(namespace)}"))

    def sweep(self) -> None:
        """What a crash may have left: half a segment, and segments of before an erasure."""
        for left in self._folder.glob("*/*/.building-*"):
            shutil.rmtree(left, ignore_errors=True)
        if any(self._folder.glob("*/*/segment-*")):
            with self._store.read() as reader:
                namespaces = list(reader.tallies())
            for namespace in namespaces:
                self._drop_erased(namespace)

    def _drop_erased(self, namespace: str) -> None:
        """Delete what still holds the vectors and words of things that the log says are erased."""
        for folder in self.folders(namespace):
            seq = min(snapshots.positions(folder), default=None)
            if seq is None:
                continue
            with self._store.read() as reader:
                is_old = reader.has_erased(namespace, seq)
            if is_old:
                log.warning("index rebuilt: something was erased since log position %d, where it stands", seq)
                shutil.rmtree(folder, ignore_errors=True)

    def opened(self, namespace: str, *, at_once: bool) -> tuple[Index, int, bool, Loaded]:
        """The namespace's index, the log position it stands at, is it in part, and where it came from.

        A large one that is not on disk takes minutes; `at_once` it is the newest items alone, in memory.
        """
        self._drop_erased(namespace)
        loaded = snapshots.load(
            self._own() / _name(namespace), lambda stamp: self._objection(namespace, stamp)
        )
        if loaded.note:
            log.warning("index %s: %s", loaded.origin, loaded.note)
        if loaded.path is not None and loaded.stamp is not None:
            try:
                return self._layers(loaded.path, loaded.stamp), loaded.stamp.seq, False, loaded
            except IndexCorrupt as error:
                log.warning("index rebuilt: %s", error)
                loaded = Loaded(None, None, "rebuilt", str(error))
        return *self._read(namespace, at_once=at_once), loaded

    def level(self, namespace: str, index: Index, reader: Reader, after: int) -> tuple[int, bool]:
        """Bring an index from a log position to the reader's; also says whether vectors were made anew."""
        is_reencoded, is_last = False, False
        while not is_last:
            changes = reader.changes(namespace, after, encoder=self._encoder)
            if changes.ids:
                entries = list(self._with_vectors(reader, namespace, reader.outlines(namespace, changes.ids)))
                index.drop(changes.ids - {entry.id for entry in entries})
                index.put(entries)
            after, is_last = changes.seq, changes.is_last
            is_reencoded |= changes.is_reencoded
        return after, is_reencoded

    def refilled(self, namespace: str, reader: Reader) -> Shelf:
        """Everything the reader sees, in memory."""
        shelf = Shelf(self._dim)
        for page in self._pages(namespace, lambda: nullcontext(reader)):
            shelf.put(page)
        return shelf

    def is_due(self, index: Index, patience: int) -> bool:
        """Has it outgrown its shape? `patience` multiplies what it may grow to."""
        if not isinstance(index, Layers):
            return len(index) >= self._sizes.large * patience
        n_rows = index.segment.n_rows
        n_dead = n_rows - len(index.segment)
        limit = max(self._sizes.merge, n_rows * self._sizes.share) * patience
        return index.tail.n_rows >= limit or n_dead >= 4 * limit

    def is_worth_saving(self, index: Index) -> bool:
        """Would reading it again from the database take more than about a second?"""
        if isinstance(index, Layers):
            return index.tail.n_rows >= self._sizes.merge
        return len(index) >= self._sizes.large

    def plan(self, namespace: str, index: Index, seq: int, *, anew: bool) -> Made:
        """What would bring an index into shape; the index may change once this has returned."""
        if isinstance(index, Shelf) and not anew:
            chunk = index.chunk()

            def promoted() -> tuple[Content, int]:
                builder = Builder(chunk.matrix[chunk.table.dense], len(chunk.table))
                builder.add(chunk)
                return builder.content(), seq

            return promoted
        if not isinstance(index, Layers) or anew or self._is_outgrown(index):
            return lambda: self._from_nothing(namespace)
        segment = index.segment
        alive, tail = segment.visible.alive.copy(), index.tail.chunk()
        return lambda: (merged(segment, alive, tail), seq)

    def build(self, namespace: str, made: Made, is_wanted: Callable[[], bool]) -> tuple[Layers, int]:
        """Carry out a plan, on disk. Raises Unwanted, OSError."""
        content, seq = made()
        with self._store.read() as reader:
            mark = _mark(reader, namespace, seq)
        stamp = Stamp(self._encoder, len(content.table), seq, mark, content.cells.n_probe, content.n_trained)
        folder = self._own() / _name(namespace)
        path = snapshots.write(folder, lambda inside: write(content, inside), stamp, is_wanted)
        return self._layers(path, stamp), seq

    def _layers(self, path: Path, stamp: Stamp) -> Layers:
        segment = open_segment(path, n_probe=stamp.n_probe, n_trained=stamp.n_trained)
        if segment.n_rows != stamp.count:
            raise IndexCorrupt(f"{path.name} has {segment.n_rows} rows, its manifest says {stamp.count}")
        return Layers(segment, self._dim)

    def _objection(self, namespace: str, stamp: Stamp) -> str | None:
        if stamp.encoder != self._encoder:
            return f"was made by encoder {stamp.encoder!r}, not {self._encoder!r}"
        with self._store.read() as reader:
            if _mark(reader, namespace, stamp.seq) != stamp.mark:
                return f"is of another past than the database at log position {stamp.seq}"
        return None

    def _is_outgrown(self, index: Layers) -> bool:
        return len(index) > self._sizes.outgrown * index.segment.n_trained

    def _read(self, namespace: str, *, at_once: bool) -> tuple[Index, int, bool]:
        with self._store.read() as reader:
            seq, is_large = reader.head(namespace), reader.tally(namespace).living >= self._sizes.large
            after = reader.key_before(namespace, self._sizes.large) if is_large else 0
        if is_large and not at_once:
            return *self.build(namespace, lambda: self._from_nothing(namespace), lambda: True), False
        if is_large:
            log.warning("the index of a large namespace is being made: until then the newest items are found")
        shelf = Shelf(self._dim)
        for page in self._pages(namespace, self._store.read, after):
            shelf.put(page)
        return shelf, seq, is_large

    def _from_nothing(self, namespace: str) -> tuple[Content, int]:
        with self._store.read() as reader:
            seq = reader.head(namespace)
        sample, n = self._sample(namespace)
        builder = Builder(sample, n)
        for page in self._pages(namespace, self._store.read):
            shelf = Shelf(self._dim)
            for start in range(0, len(page), A_MOMENT):
                shelf.put(page[start : start + A_MOMENT])
                # Threads that answer wait for the interpreter otherwise, each time for milliseconds.
                sleep(PAUSE)
            builder.add(shelf.chunk())
        return builder.content(), seq

    def _sample(self, namespace: str) -> tuple[Matrix, int]:
        """Vectors (m, d), evenly spread over all, and how many entries there are."""
        kept, step, n = [], 1, 0
        for page in self._pages(namespace, self._store.read):
            for entry in page:
                if n % step == 0 and entry.vector is not None:
                    kept.append(entry.vector)
                n += 1
            if len(kept) >= SAMPLE:
                kept, step = kept[::2], 2 * step
        return np.stack(kept) if kept else np.zeros((0, self._dim), dtype=np.float32), n

    def _pages(
        self, namespace: str, reading: Callable[[], AbstractContextManager[Reader]], after: int = 0
    ) -> Iterator[list[Entry]]:
        """All entries after a key with their vectors, none of the pages empty."""
        is_last = False
        while not is_last:
            if self.stopping.is_set():
                raise Unwanted
            with reading() as reader:
                rows = reader.entries(namespace, self._encoder, after=after)
            is_last = len(rows) < PAGE
            if rows:
                after = rows[-1][0]
                yield [entry for _, entry in rows]

    def _with_vectors(self, reader: Reader, namespace: str, entries: list[Entry]) -> Iterable[Entry]:
        for start in range(0, len(entries), AT_ONCE):
            some = entries[start : start + AT_ONCE]
            vectors = reader.vectors(namespace, self._encoder, digests=[entry.digest for entry in some])
            yield from (replace(entry, vector=vectors.get(entry.digest)) for entry in some)

    def _own(self) -> Path:
        return self._folder / _name(self._encoder)


def _name(of: str) -> str:
    """A namespace or generation as a folder's name: they may hold anything."""
    return sha256(of.encode()).hexdigest()[:24]


def _mark(reader: Reader, namespace: str, seq: int) -> str:
    row = reader.log(namespace, after=seq - 1, limit=1)
    return row[0].hash if row and row[0].seq == seq else ""
