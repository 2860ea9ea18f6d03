"""Who runs next where places are few: namespaces take turns, however much work one of them has waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable

Share = Callable[[str], int | None]
"""Most places that a namespace may have at once; None is no bound of its own."""


class Places:
    """Places of one kind of job in this process. For the event loop's thread.

    A place that comes free goes to the namespace that holds fewest; of those that hold the same, to the one
    that was served longest ago. Within a namespace the first to wait is first.
    """

    def __init__(self, places: int, share: Share | None = None) -> None:
        self._free = places
        self._share = share
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By namespace, the one served longest ago first."""

    def held(self, namespace: str) -> int:
        """Places that it holds now."""
        return self._held[namespace]

    async def take(self, namespace: str) -> None:
        """Wait for a place."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(namespace, turn)
            raise

    def give_back(self, namespace: str) -> None:
        """It is free for others."""
        self._free += 1
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
        self._serve()

    def _leave(self, namespace: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            # It was served in the same moment.
            self.give_back(namespace)
            return
        with contextlib.suppress(KeyError, ValueError):
            self._waiting[namespace].remove(turn)
            if not self._waiting[namespace]:
                del self._waiting[namespace]

    def _serve(self) -> None:
        while self._free and (namespace := self._next()) is not None:
            turns = self._waiting[namespace]
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(namespace)
            else:
                del self._waiting[namespace]
            if not turn.done():
                self._free -= 1
                self._held[namespace] += 1
                turn.set_result(None)

    def _next(self) -> str | None:
        may = [name for name in self._waiting if self._is_below_share(name)]
        # The order of waiting decides between equals: `min` takes the first.
        return min(may, key=lambda name: self._held[name], default=None)

    def _is_below_share(self, namespace: str) -> bool:
        share = None if self._share is None else self._share(namespace)
        return share is None or self._held[namespace] < share


class Turn:
    """A job's place among those of its kind that run at the same time."""

    def __init__(self, places: Places, namespace: str) -> None:
        self._places = places
        self._namespace = namespace
        self._is_held = False

    async def __aenter__(self) -> Turn:
        await self._places.take(self._namespace)
        self._is_held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_up()

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Others take it meanwhile; a job that goes on waits for its turn again."""
        self._give_up()
        yield
        await self.__aenter__()

    def _give_up(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.give_back(self._namespace)
