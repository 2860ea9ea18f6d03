"""What one job tells, looked up once for all who follow it in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from server.jobs import JobEvent
from server.jobs_signals import Signals

KEPT = 256
"""Latest events that are held for those who follow; whoever is further behind reads the file."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a look found."""

    events: tuple[JobEvent, ...]
    is_ended: bool
    """There will be no more events."""


Look = Callable[[str, int], Awaitable[Told]]
"""Events of the job of that key from that number on, as they are in the file now."""


class Feeds:
    """Who follows which job."""

    def __init__(self, look: Look, signals: Signals) -> None:
        self._look = look
        self._signals = signals
        self._feeds: dict[str, _Feed] = {}

    async def follow(self, key: str, start: int) -> AsyncGenerator[JobEvent, None]:
        """Events from number `start` on, then live ones, until the job ends. Raises what a look does."""
        with self._joined(key) as feed:
            told = await self._look(key, start)
            while True:
                for event in told.events:
                    start = event.seq + 1
                    yield event
                if told.is_ended:
                    return
                told = await feed.after(start)

    @contextlib.contextmanager
    def _joined(self, key: str) -> Iterator[_Feed]:
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = _Feed(key, self._look, self._signals)
        feed.n_followers += 1
        try:
            yield feed
        finally:
            feed.n_followers -= 1
            if not feed.n_followers:
                del self._feeds[key]


class _Feed:
    """One job's. A thousand who each looked for themselves took a whole core to see that nothing happens."""

    def __init__(self, key: str, look: Look, signals: Signals) -> None:
        self._key = key
        self._look = look
        self._signals = signals
        self._turn = asyncio.Lock()
        self._next = 0
        self._latest: deque[JobEvent] = deque(maxlen=KEPT)
        self._is_ended = False
        self.n_followers = 0

    async def after(self, start: int) -> Told:
        """Events from number `start` on, once there are any or the job has ended."""
        # Whoever is first looks for all; if it leaves, the next one does.
        while not self._knows(start):
            async with self._turn:
                if not self._knows(start):
                    await self._wait_for_more(start)
        if start >= self._next - len(self._latest):
            return Told(tuple(one for one in self._latest if one.seq >= start), self._is_ended)
        return await self._look(self._key, start)

    def _knows(self, start: int) -> bool:
        return self._is_ended or self._next > start

    async def _wait_for_more(self, start: int) -> None:
        if start > self._next:
            # What it has read itself is not read again.
            self._next = start
            self._latest.clear()
        with self._signals.listen(self._key) as signal:
            while not self._knows(start):
                told = await self._look(self._key, self._next)
                self._latest.extend(told.events)
                self._next += len(told.events)
                self._is_ended = told.is_ended
                if not self._knows(start):
                    await signal.wait()
