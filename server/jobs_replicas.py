"""Servers that share one database of jobs: each shows that it lives, and takes over what a dead one left.

No clock of one is compared with another's: a server counts its beats in a document, and one whose number has
stood still for long enough, by the clock of whoever looks, is dead. A server that was only held up and wakes
again meets its own jobs in others' hands: of two that record the same step the engine lets one go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dbos import DBOS

from memory.errors import ApprenticeError, Conflict, NotFound
from server.jobs_calls import plain
from server.shelf import Document, Shelf

log = logging.getLogger("apprentice.jobs")
_SPACE, _KIND = "system", "replica"


@dataclass(frozen=True, slots=True)
class Seen:
    """A server's number, and since when it stands."""

    beat: int
    since: float


class Replicas:
    """This server among those that share a database."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        beat_s: float = 0.5,
        dead_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._shelf = shelf
        self._beat_s = beat_s
        self._dead_s = dead_s
        self._clock = clock
        self._seen: dict[str, Seen] = {}

    async def beat(self) -> None:
        """Show that this server lives. Raises StoreError."""
        await self._shelf.change(_SPACE, _KIND, self.name, _next, new={"beat": 0})

    async def run(self, running: Mapping[str, asyncio.Task[object]]) -> None:
        """Beat, stop what was cancelled elsewhere, take over what is nobody's; again and again."""
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self.beat()
                await self._stop_cancelled(running)
                for name in await self.dead():
                    await self.take_over(name)
            except Exception as error:  # noqa: BLE001 - the database may be gone for a moment: look again
                log.warning("the servers that share the jobs cannot be looked at: %s", error)

    async def dead(self) -> tuple[str, ...]:
        """Servers whose beat has stood still for too long. Raises StoreError."""
        now = self._clock()
        beats = {name: int(str(row["beat"])) for _, name, row in await self._shelf.all(_KIND, _SPACE)}
        self._seen = {
            name: seen if (seen := self._seen.get(name)) and seen.beat == beat else Seen(beat, now)
            for name, beat in beats.items()
        }
        return tuple(
            name
            for name, seen in self._seen.items()
            if name != self.name and now - seen.since >= self._dead_s
        )

    async def take_over(self, name: str) -> int:
        """Put a dead server's unfinished jobs back into their queues; says how many. Raises StoreError.

        One of those who notice does it: who changes the number first. Should that one die meanwhile, the
        number stands still again.
        """
        seen = self._seen[name].beat

        def claim(row: Document) -> Document:
            if row["beat"] != seen:
                raise Conflict(f"the server {name!r} is taken care of")
            return _next(row)

        with contextlib.suppress(Conflict, NotFound):
            await self._shelf.change(_SPACE, _KIND, name, claim)
            count = await plain(lambda: _requeue(name))
            log.warning("the server %s is gone: %d of its jobs go on here or elsewhere", name, count)
            await self._shelf.remove(_SPACE, _KIND, name)
            return count
        return 0

    async def leave(self) -> None:
        """Stopped in good order: what is left is taken over without waiting."""
        with contextlib.suppress(ApprenticeError):
            await plain(lambda: _requeue(self.name))
            await self._shelf.remove(_SPACE, _KIND, self.name)

    async def _stop_cancelled(self, running: Mapping[str, asyncio.Task[object]]) -> None:
        for key in await plain(lambda: _cancelled(list(running))):
            if task := running.get(key):
                task.cancel()


def _next(row: Document) -> Document:
    return {**row, "beat": int(str(row["beat"])) + 1}


def _requeue(name: str) -> int:
    left = DBOS.list_workflows(executor_id=name, status="PENDING", load_input=False, load_output=False)
    for status in left:
        DBOS.resume_workflow(status.workflow_id, queue_name=status.queue_name)
    return len(left)


def _cancelled(keys: list[str]) -> list[str]:
    if not keys:
        return []
    found = DBOS.list_workflows(workflow_ids=keys, status="CANCELLED", load_input=False, load_output=False)
    return [status.workflow_id for status in found]
