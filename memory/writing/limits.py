"""How much a namespace may hold and how fast one principal may write."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from memory.errors import BadInput, OverQuota

MOST_BUCKETS = 10_000
"""Writers remembered; the one that wrote longest ago is forgotten first, with a full bucket."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets; None is no limit."""

    max_living: int | None = None
    """Items of a namespace that recall may find."""
    writes_per_minute: int | None = None
    """Drafts of one principal in one namespace, on average."""

    def __post_init__(self) -> None:
        for name, value in (("max_living", self.max_living), ("writes_per_minute", self.writes_per_minute)):
            if value is not None and value < 1:
                raise BadInput(f"{name} is {value}: a limit is 1 at least, or None")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a namespace holds."""

    items: int
    """All that are kept, retired ones too."""
    living: int
    """Those that recall may find."""
    episodes: int
    max_living: int | None
    """The budget; None is none."""


def check_growth(namespace: str, living: int, limits: Limits) -> None:
    """Raises OverQuota when a namespace has come to hold more than it may."""
    if limits.max_living is not None and living > limits.max_living:
        raise OverQuota(
            f"namespace {namespace!r} would hold {living} living items, {limits.max_living} are allowed: "
            "consolidate it or forget what is of no use"
        )


class Rates:
    """Token buckets, one for each principal and namespace, in this process. Thread-safe.

    A bucket holds one minute's writes. What is more than it holds is let through and owed: a large request
    is not starved by small ones, and the mean still holds.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """What is left, and when that was so."""
        self._lock = Lock()

    def take(self, namespace: str, principal: str, n: int) -> None:
        """Count n writes. Raises OverQuota when earlier ones have used the bucket up."""
        if self._per_minute is None or n == 0:
            return
        now, name = self._clock(), (namespace, principal)
        with self._lock:
            left, then = self._buckets.get(name, (float(self._per_minute), now))
            # A clock that jumps back gives nothing and takes nothing.
            left = min(float(self._per_minute), left + max(0.0, now - then) * self._per_minute / 60)
            is_empty = left < 1.0
            self._buckets[name] = (left if is_empty else left - n, now)
            self._buckets.move_to_end(name)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        if is_empty:
            wait = (1.0 - left) * 60 / self._per_minute
            raise OverQuota(
                f"{principal!r} writes more than {self._per_minute} items a minute in namespace "
                f"{namespace!r}: wait {wait:.0f} s"
            )
