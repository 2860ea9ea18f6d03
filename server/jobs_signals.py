"""Wakes readers of jobs within one process; a hint only, the file is the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

FIRST_LOOK_S = 0.02
LAST_LOOK_S = 2.0


class Signals:
    """Who waits for which job."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Signal]] = defaultdict(set)

    @contextlib.contextmanager
    def listen(self, key: str) -> Iterator[Signal]:
        """A signal that is set whenever the job has news."""
        signal = Signal()
        self._listeners[key].add(signal)
        try:
            yield signal
        finally:
            self._listeners[key].discard(signal)
            if not self._listeners[key]:
                del self._listeners[key]

    def notify(self, key: str) -> None:
        """The job has news."""
        for signal in self._listeners.get(key, ()):
            signal.set()


class Signal:
    """Something to wait for before looking again.

    A job's end is recorded a moment after its body has returned, and other processes give no signal: so the
    wait is short after every signal and grows while nothing comes.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._pause_s = FIRST_LOOK_S

    def set(self) -> None:
        """Wake the waiter."""
        self._event.set()

    async def wait(self, limit_s: float = LAST_LOOK_S) -> None:
        """Until set, or until it is time to look again."""
        try:
            await asyncio.wait_for(self._event.wait(), min(limit_s, self._pause_s))
            self._pause_s = FIRST_LOOK_S
        except TimeoutError:
            self._pause_s = min(LAST_LOOK_S, 2 * self._pause_s)
        self._event.clear()
