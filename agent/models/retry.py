"""Trying again: how often, and how long to wait in between. Pure but for the sleeping it is handed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from memory.errors import ModelError

Result = TypeVar("Result")


class Transient(Exception):  # control flow inside this room, never seen outside
    """The call may succeed when it is made again."""

    def __init__(self, error: ModelError, *, wait_s: float | None = None) -> None:
        """`error` is what is raised once patience ends; `wait_s` is what the server asked for."""
        super().__init__(str(error))
        self.error, self.wait_s = error, wait_s


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with full jitter between half and the whole of each step."""

    retries: int = 4
    first_s: float = 0.5
    longest_s: float = 30.0

    def wait_s(self, attempt: int, asked_s: float | None, chance: float) -> float:
        """Seconds before try `attempt + 1` (from 0); `chance` in 0..1 spreads the callers.

        >>> Backoff().wait_s(2, None, 1.0)
        2.0
        """
        step = min(self.longest_s, self.first_s * 2.0**attempt)
        jittered = step * (0.5 + 0.5 * chance)
        return jittered if asked_s is None else min(self.longest_s, max(jittered, asked_s))

    async def run(
        self,
        call: Callable[[], Awaitable[Result]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float] = random.random,
    ) -> Result:
        """The first result. Raises the error inside the last Transient when every try failed."""
        attempt = 0
        while True:
            try:
                return await call()
            except Transient as failure:
                if attempt >= self.retries:
                    raise failure.error from failure.__cause__
                await sleep(self.wait_s(attempt, failure.wait_s, chance()))
                attempt += 1
