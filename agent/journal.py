"""A journal in memory: durable only as far as its record is kept, exact in what it replays."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from memory.types import Json


class MemoryJournal:
    """Keeps the result of every step by name; given an earlier record, it answers from that.

    Results go through JSON text, so that a replay sees exactly what a durable journal would give.
    """

    def __init__(self, record: Mapping[str, Json] | None = None) -> None:
        """`record` is the `record` of an earlier journal."""
        self.record: dict[str, Json] = dict(record or {})
        self.events: list[tuple[str, Json]] = []

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """Run `do` unless a result is recorded under this name. What it raises is not recorded."""
        if name not in self.record:
            self.record[name] = json.loads(json.dumps(await do()))
        return self.record[name]

    async def event(self, name: str, data: Json) -> None:
        """Keep an event."""
        self.events.append((name, data))
