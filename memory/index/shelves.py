"""Keeps every namespace's index level with the log: no reader sees it behind or ahead of its own moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeVar

from memory.index.ask import Approximate, Index, Searchable
from memory.index.layers import Layers
from memory.index.locks import ReadWriteLock
from memory.index.segments import Segments, Sizes
from memory.index.shelf import Shelf
from memory.index.snapshots import Loaded, Origin, Unwanted
from memory.index.upkeep import Strides, Upkeep
from memory.store.engine import Store
from memory.store.reader import Reader

T = TypeVar("T")
TRIES = 4
"""Times that writers may overtake a question to several namespaces before it holds them up."""
PART = "until their indexes are made, only the newest items are found"
WORSE: tuple[Origin, ...] = ("none", "snapshot", "previous", "rebuilt")


@dataclass(slots=True)
class _Guarded:
    """An index, its lock, and the log position it stands at; -1 before it was ever filled."""

    index: Index
    lock: ReadWriteLock = field(default_factory=ReadWriteLock)
    applied_seq: int = -1
    building: Lock = field(default_factory=Lock)
    """Held while files are written: one at a time."""
    epoch: int = 0
    """Times it was purged: what was made of an earlier one is thrown away."""
    is_stale: bool = False
    """To be made anew: vectors were since its segment was, or it holds the newest items alone."""
    patience: int = 1
    """Doubled whenever it could not be brought into shape, so that a full disk is not asked all the time."""
    n_due: int = 0
    """Times it was seen to be due; work is asked for at every `patience`th."""


class Shelves:
    """One index per namespace, filled at its first use, brought into shape in the background. Thread-safe.

    While much is written an index follows in the background, so that the next question need not build it.
    """

    def __init__(
        self, store: Store, encoder: str, dim: int, folder: Path, sizes: Sizes | None = None
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._dim = dim
        sizes = sizes or Sizes()
        self._segments = Segments(store, encoder, dim, folder, sizes)
        self._guarded: dict[str, _Guarded] = {}
        self._loaded: dict[str, Loaded] = {}
        self._lock = Lock()
        self._upkeep = Upkeep(self._improve)
        # By itself, for bringing one index into shape takes minutes in which others are written to.
        self._following = Upkeep(self._follow)
        self._strides = Strides(self._following, sizes.stride)
        for left in folder.glob("snapshot-*"):
            # The first release kept vectors here.
            shutil.rmtree(left, ignore_errors=True)
        self._segments.sweep()

    @property
    def origin(self) -> Origin:
        """Where indexes came from when they were opened; the worst of those used so far.

        `none` is from the database, for nothing was on disk: so it is while namespaces are small.
        """
        with self._lock:
            used = [loaded.origin for loaded in self._loaded.values()]
        start: Origin = "snapshot" if not used and self._segments.is_any else "none"
        return max((start, *used), key=WORSE.index)

    @property
    def note(self) -> str:
        """What was wrong with segments that were not used, and what cannot be found yet; empty: nothing."""
        with self._lock:
            notes = [loaded.note for loaded in self._loaded.values() if loaded.note]
            n_part = sum(one.is_stale and isinstance(one.index, Shelf) for one in self._guarded.values())
        if n_part:
            notes.append(f"{PART} of {n_part} namespace(s)")
        return "; ".join(notes)

    @property
    def applied_seq(self) -> int:
        """Newest log position that any index stands at."""
        with self._lock:
            return max((one.applied_seq for one in self._guarded.values()), default=0)

    def look(self, namespace: str, use: Callable[[Searchable, Reader, int], T]) -> T:
        """Call `use(index, reader, seq)` with the index exactly at the reader's moment, log position seq."""
        return self.look_at([namespace], lambda indexes, reader, seq: use(indexes[namespace], reader, seq))

    def look_at(
        self, namespaces: Sequence[str], use: Callable[[Mapping[str, Searchable], Reader, int], T]
    ) -> T:
        """Call `use(indexes, reader, seq)` with each index exactly at the reader's one moment.

        `seq` is the newest log position of any of the namespaces. While a large namespace that is not on
        disk is being put there, which takes minutes, its newest items are found; `complete` waits.
        """
        # One order for everybody, or two questions could wait for each other.
        wanted = {namespace: self._of(namespace) for namespace in sorted(set(namespaces))}
        for _ in range(TRIES):
            with self._held(wanted, ReadWriteLock.reading) as reader:
                if all(one.applied_seq == reader.head(namespace) for namespace, one in wanted.items()):
                    return self._use(wanted, reader, use)
            # Each is brought up by itself, so that filling one does not hold up those who read another.
            for namespace, guarded in wanted.items():
                self._open(namespace, guarded)
                with self._held({namespace: guarded}, ReadWriteLock.writing) as reader:
                    self._level(namespace, guarded, reader)
                    if len(wanted) == 1:
                        return self._use(wanted, reader, use)
        with self._held(wanted, ReadWriteLock.writing) as reader:
            for namespace, guarded in wanted.items():
                self._level(namespace, guarded, reader)
            return self._use(wanted, reader, use)

    def complete(self, namespace: str) -> None:
        """Return once all of a namespace can be found."""
        guarded = self._of(namespace)
        for _ in range(TRIES):
            self._open(namespace, guarded)
            if not guarded.is_stale:
                return
            self._improve(namespace)

    def wrote(self, namespace: str, n: int) -> None:
        """Told after a commit of n texts; takes no time."""
        self._strides.wrote(namespace, n)

    def purge(self, namespace: str) -> None:
        """Forget a namespace's index and delete its files, those of other generations too.

        The next question reads the database again: call it once a transaction has erased something.
        """
        guarded = self._of(namespace)
        with guarded.lock.writing():
            guarded.epoch += 1
            guarded.index, guarded.applied_seq, guarded.is_stale = Shelf(self._dim), -1, False
            for folder in self._segments.folders(namespace):
                # A segment that is being written may appear meanwhile.
                while folder.exists():
                    shutil.rmtree(folder, ignore_errors=True)

    def save(self) -> None:
        """Level what is in use with the log, and bring to disk what it would be slow to read again."""
        with self._lock:
            used = dict(self._guarded)
        for namespace, guarded in used.items():
            with suppress(Unwanted):
                if guarded.applied_seq >= 0:
                    self._follow(namespace)
                    if self._segments.is_worth_saving(guarded.index):
                        self._improve(namespace, even_so=True)

    def close(self) -> None:
        """End what runs in the background. Safe to call twice."""
        self._segments.stopping.set()
        self._following.close()
        self._upkeep.close()

    @contextmanager
    def _held(
        self,
        wanted: Mapping[str, _Guarded],
        how: Callable[[ReadWriteLock], AbstractContextManager[None]],
    ) -> Iterator[Reader]:
        """All of them locked, and then a moment of the database: none can be ahead of it."""
        with ExitStack() as held:
            for guarded in wanted.values():
                held.enter_context(how(guarded.lock))
            yield held.enter_context(self._store.read())

    def _use(
        self,
        wanted: Mapping[str, _Guarded],
        reader: Reader,
        use: Callable[[Mapping[str, Searchable], Reader, int], T],
    ) -> T:
        for namespace, guarded in wanted.items():
            self._ask_if_due(namespace, guarded)
        indexes = {namespace: _askable(guarded) for namespace, guarded in wanted.items()}
        return use(indexes, reader, max(guarded.applied_seq for guarded in wanted.values()))

    def _of(self, namespace: str) -> _Guarded:
        with self._lock:
            if namespace not in self._guarded:
                self._guarded[namespace] = _Guarded(Shelf(self._dim))
            return self._guarded[namespace]

    def _follow(self, namespace: str) -> None:
        """Level with the log, without a question."""
        guarded = self._of(namespace)
        with suppress(Unwanted):
            self._open(namespace, guarded)
            with self._held({namespace: guarded}, ReadWriteLock.writing) as reader:
                self._level(namespace, guarded, reader)
        self._ask_if_due(namespace, guarded)

    def _open(self, namespace: str, guarded: _Guarded) -> None:
        """Fill it for the first time, before anybody is kept waiting by a lock or a long transaction."""
        if guarded.applied_seq >= 0:
            return
        with guarded.building:
            while guarded.applied_seq < 0:
                epoch = guarded.epoch
                can_follow = not self._upkeep.stopping.is_set()
                index, seq, is_part, loaded = self._segments.opened(namespace, at_once=can_follow)
                index, seq, is_stale = self._caught_up(namespace, index, seq, is_stale=is_part)
                with guarded.lock.writing():
                    if guarded.epoch == epoch:
                        guarded.index, guarded.applied_seq, guarded.is_stale = index, seq, is_stale
                        with self._lock:
                            self._loaded[namespace] = loaded

    def _level(self, namespace: str, guarded: _Guarded, reader: Reader) -> None:
        """Bring it to the reader's moment; the lock is held for writing."""
        seq = reader.head(namespace)
        if guarded.applied_seq == seq:
            return
        is_reencoded = guarded.applied_seq < 0
        if not is_reencoded:
            _, is_reencoded = self._segments.level(namespace, guarded.index, reader, guarded.applied_seq)
        if is_reencoded and not guarded.is_stale and not isinstance(guarded.index, Layers):
            guarded.index = self._segments.refilled(namespace, reader)
        guarded.is_stale |= is_reencoded and isinstance(guarded.index, Layers)
        guarded.applied_seq = seq

    def _caught_up(
        self, namespace: str, index: Index, seq: int, *, is_stale: bool = False
    ) -> tuple[Index, int, bool]:
        """An index nobody else has yet, brought so near to the present that the rest is soon done."""
        before = -1
        while seq != before:
            before = seq
            with self._store.read() as reader:
                seq, is_reencoded = self._segments.level(namespace, index, reader, seq)
                if is_reencoded and not is_stale and not isinstance(index, Layers):
                    index = self._segments.refilled(namespace, reader)
            is_stale |= is_reencoded and isinstance(index, Layers)
        return index, seq, is_stale

    def _is_due(self, guarded: _Guarded) -> bool:
        return guarded.is_stale or self._segments.is_due(guarded.index, guarded.patience)

    def _ask_if_due(self, namespace: str, guarded: _Guarded) -> None:
        if self._is_due(guarded):
            guarded.n_due += 1
            if guarded.n_due % guarded.patience == 0:
                self._upkeep.ask(namespace)

    def _improve(self, namespace: str, *, even_so: bool = False) -> None:
        """Bring an index into shape beside the one in use, then swap the two; `even_so`: due or not."""
        guarded = self._of(namespace)
        with guarded.building:
            with guarded.lock.reading():
                epoch, seq = guarded.epoch, guarded.applied_seq
                if seq < 0 or not (even_so or self._is_due(guarded)):
                    return
                made = self._segments.plan(namespace, guarded.index, seq, anew=guarded.is_stale)
            try:
                layers, seq = self._segments.build(namespace, made, lambda: guarded.epoch == epoch)
            except Unwanted:
                return
            except Exception:
                guarded.patience *= 2
                raise
            index, seq, is_stale = self._caught_up(namespace, layers, seq)
            with self._held({namespace: guarded}, ReadWriteLock.writing) as reader:
                if guarded.epoch == epoch:
                    guarded.index, guarded.applied_seq = index, seq
                    guarded.is_stale, guarded.patience = is_stale, 1
                    self._level(namespace, guarded, reader)


def _askable(guarded: _Guarded) -> Searchable:
    return Approximate(guarded.index) if guarded.is_stale else guarded.index
