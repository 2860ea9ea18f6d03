"""Keeps every namespace's index level with the log: no reader sees it behind or ahead of its own moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from memory import snapshots
from memory.entry import Entry, Vector
from memory.index.shelf import Shelf
from memory.locks import ReadWriteLock
from memory.store.engine import Store
from memory.store.reader import Reader

T = TypeVar("T")
log = logging.getLogger(__name__)
TRIES = 4
"""Times that writers may overtake a question to several namespaces before it holds them up."""


@dataclass(slots=True)
class _Guarded:
    """A shelf, its lock, and the log position it stands at; -1 before it was ever filled."""

    shelf: Shelf
    lock: ReadWriteLock = field(default_factory=ReadWriteLock)
    applied_seq: int = -1
    saved_seq: int = -1


class Shelves:
    """One shelf per namespace, filled at its first use. Thread-safe."""

    def __init__(self, store: Store, encoder: str, dim: int, folder: Path) -> None:
        self._store = store
        self._encoder = encoder
        self._dim = dim
        self._folder = folder
        self._guarded: dict[str, _Guarded] = {}
        self._lock = Lock()
        loaded = snapshots.load(folder, encoder)
        self._origin, self._note = loaded.origin, loaded.note
        # What was read back waits here until its namespace is first used.
        self._waiting = dict(loaded.vectors)
        if loaded.note:
            log.warning("index %s: %s", loaded.origin, loaded.note)

    @property
    def origin(self) -> snapshots.Origin:
        """Where the index came from when it was opened."""
        return self._origin

    @property
    def note(self) -> str:
        """What was wrong with snapshots that were not used; empty when nothing was."""
        return self._note

    @property
    def applied_seq(self) -> int:
        """Newest log position that any shelf stands at."""
        with self._lock:
            return max((one.applied_seq for one in self._guarded.values()), default=0)

    def look(self, namespace: str, use: Callable[[Shelf, Reader, int], T]) -> T:
        """Call `use(shelf, reader, seq)` with the shelf exactly at the reader's moment, log position seq."""
        guarded = self._of(namespace)
        with guarded.lock.reading(), self._store.read() as reader:
            seq = reader.head(namespace)
            if guarded.applied_seq == seq:
                return use(guarded.shelf, reader, seq)
        with guarded.lock.writing(), self._store.read() as reader:
            seq = reader.head(namespace)
            self._catch_up(namespace, guarded, reader, seq)
            return use(guarded.shelf, reader, seq)

    def look_at(self, namespaces: Sequence[str], use: Callable[[Mapping[str, Shelf], Reader, int], T]) -> T:
        """Call `use(shelves, reader, seq)` with each shelf exactly at the reader's one moment.

        `seq` is the newest log position of any of the namespaces.
        """
        # One order for everybody, or two questions could wait for each other.
        ordered = sorted(set(namespaces))
        for _ in range(TRIES):
            with ExitStack() as held:
                for namespace in ordered:
                    held.enter_context(self._of(namespace).lock.reading())
                reader = held.enter_context(self._store.read())
                heads = {namespace: reader.head(namespace) for namespace in ordered}
                if all(self._of(namespace).applied_seq == head for namespace, head in heads.items()):
                    shelves = {namespace: self._of(namespace).shelf for namespace in ordered}
                    return use(shelves, reader, max(heads.values()))
            # Each is brought up by itself, so that filling one does not hold up those who read another.
            for namespace in ordered:
                self.look(namespace, lambda *_: None)
        with ExitStack() as held:
            for namespace in ordered:
                held.enter_context(self._of(namespace).lock.writing())
            reader = held.enter_context(self._store.read())
            heads = {namespace: reader.head(namespace) for namespace in ordered}
            for namespace, head in heads.items():
                self._catch_up(namespace, self._of(namespace), reader, head)
            return use({name: self._of(name).shelf for name in ordered}, reader, max(heads.values()))

    def save(self) -> None:
        """Write a snapshot when anything moved since the last; namespaces not in use are carried over."""
        with self._lock:
            used = dict(self._guarded)
        if all(one.applied_seq == one.saved_seq for one in used.values()):
            return
        contents = [self._content(namespace, one) for namespace, one in used.items()]
        for namespace, vectors in list(self._waiting.items()):
            if namespace not in used and vectors:
                contents.append(_content_of(namespace, 0, vectors))
        snapshots.write(self._folder, self._encoder, self._dim, contents)

    def _of(self, namespace: str) -> _Guarded:
        with self._lock:
            return self._guarded.setdefault(namespace, _Guarded(Shelf(self._dim)))

    def _catch_up(self, namespace: str, guarded: _Guarded, reader: Reader, seq: int) -> None:
        if guarded.applied_seq == seq:
            return
        ids, is_reencoded = reader.changed(namespace, guarded.applied_seq)
        if guarded.applied_seq < 0 or is_reencoded:
            guarded.shelf = Shelf(self._dim)
            guarded.shelf.put(self._with_vectors(reader, namespace, reader.outlines(namespace)))
        elif ids:
            entries = reader.outlines(namespace, ids)
            guarded.shelf.drop(ids - {entry.id for entry in entries})
            guarded.shelf.put(self._with_vectors(reader, namespace, entries))
        guarded.applied_seq = seq

    def _with_vectors(self, reader: Reader, namespace: str, entries: list[Entry]) -> list[Entry]:
        known = self._waiting.pop(namespace, {})
        missing = [entry.digest for entry in entries if entry.digest not in known]
        found = reader.vectors(namespace, self._encoder, digests=missing) if missing else {}
        return [replace(entry, vector=known.get(entry.digest, found.get(entry.digest))) for entry in entries]

    def _content(self, namespace: str, guarded: _Guarded) -> snapshots.Content:
        with guarded.lock.reading():
            digests, matrix = guarded.shelf.known_vectors()
            guarded.saved_seq = guarded.applied_seq
            return snapshots.Content(namespace, guarded.applied_seq, digests, matrix)


def _content_of(namespace: str, seq: int, vectors: Mapping[str, Vector]) -> snapshots.Content:
    return snapshots.Content(namespace, seq, list(vectors), np.stack(list(vectors.values())))
