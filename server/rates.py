"""How often and how much at once, in this process: token buckets and places. For the event loop's thread."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.errors import Limited

MOST_BUCKETS = 10_000
"""Callers remembered; the one that called longest ago is forgotten first, with a full bucket."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands after a request."""

    limit: int
    """Requests a minute."""
    remaining: int
    reset_s: float
    """Until it is full again."""

    @property
    def headers(self) -> dict[str, str]:
        """As clients of OpenAI's API read them."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.reset_s:.3f}s",
        }


class Buckets:
    """Token buckets by name, each of which holds one minute's requests and fills steadily."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._limit = per_minute
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What is left, and when that was so."""

    def __len__(self) -> int:
        return len(self._left)

    def wait_s(self, name: str) -> float:
        """Seconds until there is room for one request; 0 when there is."""
        return max(0.0, (1.0 - self._now(name)) * 60.0 / self._limit)

    def take(self, name: str) -> Standing:
        """Count one request that there is room for."""
        left = self._now(name) - 1.0
        self._left[name] = (left, self._clock())
        self._left.move_to_end(name)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)
        return Standing(self._limit, math.floor(left), (self._limit - left) * 60.0 / self._limit)

    def _now(self, name: str) -> float:
        left, then = self._left.get(name, (float(self._limit), self._clock()))
        return min(float(self._limit), left + max(0.0, self._clock() - then) * self._limit / 60.0)


class Rates:
    """Requests a minute by key and by namespace; None is no limit."""

    def __init__(self, by_key: int | None, by_namespace: int | None, clock: Callable[[], float]) -> None:
        self._by_key = None if by_key is None else Buckets(by_key, clock)
        self._by_namespace = None if by_namespace is None else Buckets(by_namespace, clock)

    def take(self, namespace: str, principal: str) -> Standing | None:
        """Count a request; how the tighter bucket stands, None without limits. Raises Limited."""
        both = [
            (self._by_key, f"{namespace} {principal}", "this key"),
            (self._by_namespace, namespace, f"the namespace {namespace!r}"),
        ]
        held = [(buckets, name, who) for buckets, name, who in both if buckets is not None]
        for buckets, name, who in held:
            # Looked at before any is taken from: what is refused counts nowhere.
            if wait := buckets.wait_s(name):
                raise Limited(f"{who} sends too many requests: wait {math.ceil(wait)} s", wait)
        standings = [buckets.take(name) for buckets, name, _ in held]
        return min(standings, key=lambda one: one.remaining, default=None)


class Places:
    """How many conversations of a namespace may be answered at once; None is no limit."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, namespace: str) -> Iterator[None]:
        """Hold a place. Raises Limited."""
        if self._most is not None and self._taken[namespace] >= self._most:
            raise Limited(
                f"{self._most} conversations of the namespace {namespace!r} are being answered already", 1.0
            )
        self._taken[namespace] += 1
        try:
            yield
        finally:
            self._taken[namespace] -= 1
            if not self._taken[namespace]:
                del self._taken[namespace]
