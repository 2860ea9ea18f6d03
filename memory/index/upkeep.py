"""One thread for work that nobody waits for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, Thread

log = logging.getLogger(__name__)


class Upkeep:
    """Runs `work(name)` for every name it is asked for, one after the other. Thread-safe.

    The thread starts with the first name. A failure is logged: what was asked for can be asked again.
    """

    def __init__(self, work: Callable[[str], None]) -> None:
        self._work = work
        self._names: SimpleQueue[str | None] = SimpleQueue()
        self._waiting: set[str] = set()
        self._lock = Lock()
        self._thread: Thread | None = None
        self.stopping = Event()
        """Set when the work should end at the next good moment."""

    def ask(self, name: str) -> None:
        """Have it done soon; once, however often it is asked before it is done."""
        with self._lock:
            if self.stopping.is_set() or name in self._waiting:
                return
            self._waiting.add(name)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="memory-index", daemon=True)
                self._thread.start()
        self._names.put(name)

    def close(self) -> None:
        """Let the work in hand end, drop the rest. Safe to call twice."""
        with self._lock:
            self.stopping.set()
        self._names.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (name := self._names.get()) is not None and not self.stopping.is_set():
            with self._lock:
                # What is asked for from now on may not be seen by the work any more.
                self._waiting.discard(name)
            try:
                self._work(name)
            except Exception:
                log.exception("the index of a namespace could not be brought up; it goes on as it is")


class Strides:
    """Asks an upkeep for a name once so many rows were written to it: not at each, and never for a few.

    Thread-safe.
    """

    def __init__(self, upkeep: Upkeep, stride: int) -> None:
        self._upkeep = upkeep
        self._stride = stride
        self._written: dict[str, int] = {}
        self._lock = Lock()

    def wrote(self, name: str, n: int) -> None:
        """Count n rows more."""
        with self._lock:
            written = self._written.get(name, 0) + n
            is_time = written >= self._stride
            self._written[name] = 0 if is_time else written
        if is_time:
            self._upkeep.ask(name)
