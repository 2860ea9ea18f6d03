"""Wakes readers of jobs within one process; a hint only, the file is the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator


class Signals:
    """Who waits for which job."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Signal]] = defaultdict(set)
        self._ending: set[str] = set()

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
                self._ending.discard(key)

    def notify(self, key: str) -> None:
        """The job has news."""
        for signal in self._listeners.get(key, ()):
            signal.set()

    def ending(self, key: str) -> None:
        """The job's body has returned; its end will be recorded in a moment."""
        if key in self._listeners:
            self._ending.add(key)
            self.notify(key)

    def is_ending(self, key: str) -> bool:
        """Is the end of the job about to be recorded?"""
        return key in self._ending


class Signal:
    """An event that resets itself."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until set, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
        self._event.clear()
