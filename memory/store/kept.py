"""What was read stays in memory while the log says that it is still so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
ROOM = 48 << 20
"""Most that all which is kept may weigh, about bytes."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What a stretch of a namespace's log may have changed."""

    names: frozenset[str]
    is_all: bool
    """It says of something that it changed, but not of what."""


class Kept(Generic[T]):
    """Things by namespace and name, each namespace's as of one log position. Thread-safe.

    Every change of a thing has a log row that names it, in the order of commits. So what was read at one
    position holds at a later one unless it was named between them. A question at an earlier position gets
    nothing and leaves nothing: nobody is ever given what does not hold at his own moment.
    """

    def __init__(self, most: int = ROOM) -> None:
        self._most = most
        self._seqs: dict[str, int] = {}
        self._things: OrderedDict[tuple[str, str], tuple[T, int]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def get(
        self, namespace: str, seq: int, names: Iterable[str], touched: Callable[[int], Touched]
    ) -> dict[str, T]:
        """Those that are known as of log position `seq`; `touched(after)` is the log between the two."""
        with self._lock:
            before = self._seqs.setdefault(namespace, seq)
        if before < seq:
            self._follow(namespace, before, seq, touched(before))
        with self._lock:
            if self._seqs[namespace] != seq:
                return {}
            things = self._things
            return {name: things[namespace, name][0] for name in names if (namespace, name) in things}

    def put(self, namespace: str, seq: int, things: Mapping[str, tuple[T, int]]) -> None:
        """Keep what was read at log position `seq`, with what it weighs; the oldest make room."""
        with self._lock:
            if self._seqs.get(namespace) != seq:
                return
            for name, (thing, weight) in things.items():
                self._drop((namespace, name))
                self._things[namespace, name] = thing, weight
                self._weight += weight
            while self._weight > self._most:
                _, (_, weight) = self._things.popitem(last=False)
                self._weight -= weight

    def forget(self, namespace: str, seq: int) -> None:
        """Let go of a namespace's; whoever still reads from before log position `seq` leaves nothing."""
        with self._lock:
            self._clear(namespace)
            self._seqs[namespace] = max(seq, self._seqs.get(namespace, seq))

    def _follow(self, namespace: str, before: int, seq: int, touched: Touched) -> None:
        with self._lock:
            if self._seqs[namespace] != before:
                return  # another question was here meanwhile
            if touched.is_all:
                self._clear(namespace)
            for name in touched.names:
                self._drop((namespace, name))
            self._seqs[namespace] = seq

    def _clear(self, namespace: str) -> None:
        for key in [key for key in self._things if key[0] == namespace]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        _, weight = self._things.pop(key, (None, 0))
        self._weight -= weight
