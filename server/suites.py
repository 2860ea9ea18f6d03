"""The gate's suites of each namespace, as operators declared them: what is in them is never learned from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from agent.types import Task
from distill.suites import Suite, frozen_tasks
from memory.codec import from_json, to_json
from memory.core import Memory
from memory.errors import BadInput, Conflict, StoreError
from memory.heldout import check_task
from memory.modes import USES
from memory.store.lock import turn
from memory.types import Mode
from server.auth import write_private


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one namespace's gate always asks."""

    suites: tuple[Suite, ...]
    seeds: tuple[int, ...]
    """Each draws its own tasks for every suite."""
    by: str
    at: float

    def tasks(self) -> tuple[Task, ...]:
        """All of them, each once. Raises BadInput."""
        found = {task.id: task for suite in self.suites for task in frozen_tasks(suite, self.seeds)}
        return tuple(found.values())


class Declared:
    """One file in the data folder, read again when it has changed. Any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, Declaration] = {}
        self._held: dict[str, frozenset[str]] = {}

    def of(self, namespace: str) -> Declaration | None:
        """What a namespace declared; None: nothing."""
        with self._lock:
            self._refresh()
            return self._known.get(namespace)

    def all(self) -> dict[str, Declaration]:
        """By namespace."""
        with self._lock:
            self._refresh()
            return dict(self._known)

    def held(self, namespace: str) -> frozenset[str]:
        """Ids of the tasks of a namespace that nothing may be learned from."""
        with self._lock:
            self._refresh()
            if namespace not in self._held and namespace in self._known:
                self._held[namespace] = frozenset(task.id for task in self._known[namespace].tasks())
            return self._held.get(namespace, frozenset())

    def check(self, namespace: str, task_id: str, mode: Mode) -> None:
        """Raises Denied on a task that would be learned from and must not be."""
        check_task(self.held(namespace), task_id, mode)

    def declare(self, namespace: str, declaration: Declaration, memory: Memory) -> Declaration:
        """From now on nothing of these tasks is learned from. For a thread.

        Raises BadInput on a suite that cannot be drawn, Conflict when memory has learned from one already.
        """
        for task in declaration.tasks():
            for episode in memory.episodes(namespace, task_id=task.id, limit=100):
                if USES[episode.mode].learns:
                    raise Conflict(
                        f"memory has learned from task {task.id!r} (episode {episode.id!r}): declare a suite"
                        " of other tasks"
                    )
        with self._changing():
            self._write({**self._known, namespace: declaration})
        return declaration

    def withdraw(self, namespace: str) -> None:
        """The namespace has no suites any more."""
        with self._changing():
            self._write({name: one for name, one in self._known.items() if name != namespace})

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """With what any server wrote before; nobody else writes meanwhile."""
        with turn(self._path.with_suffix(".lock")), self._lock:
            self._refresh()
            yield

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._known, self._held = None, {}, {}
            return
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp == self._stamp:
            return
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            self._known = {name: from_json(Declaration, row) for name, row in rows.items()}
        except (OSError, ValueError, BadInput) as error:
            raise StoreError(f"the suites {str(self._path)!r} cannot be read: {error}") from error
        self._stamp, self._held = stamp, {}

    def _write(self, known: dict[str, Declaration]) -> None:
        write_private(self._path, json.dumps({name: to_json(one) for name, one in known.items()}, indent=1))
        self._stamp = None
