"""Kills the process it is set in, at the n-th thing that happens; or counts what happens.

Counted are every line of `memory/` that any thread runs, every SQL statement as SQLite starts it, stretches
of SQLite's own virtual machine, and every call that changes the file system, before and after it. A SIGKILL
leaves the page cache alone: this shows what a dead process leaves behind, not what a power cut does.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import memory

ROOM = str(Path(str(memory.__file__)).parent)
CALLS = ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir", "truncate", "ftruncate")
"""Functions of `os` that change files; what the standard library does to files goes through them."""
STEPS = 400
"""Instructions of SQLite's virtual machine between two counts."""
UNNAMED = {"line", "vm", "sql SELECT", "sql --"}
"""Counted, but too many to be points with a name."""

Trace = Callable[[FrameType, str, Any], Any]


@dataclass
class Tripwire:
    """Kills at event number `at`, or at the `nth` event of a name; with neither it only counts."""

    at: int | None = None
    name: str | None = None
    nth: int = 1
    seen: Counter[str] = field(default_factory=Counter)
    _all: count[int] = field(default_factory=lambda: count(1))
    _of_name: dict[str, count[int]] = field(default_factory=lambda: defaultdict(lambda: count(1)))

    def hit(self, name: str) -> None:
        """Something happens. Counting is `next`, which no other thread can come between."""
        n, nth = next(self._all), next(self._of_name[name])
        if n == self.at or (name == self.name and nth == self.nth):
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen[name] = max(self.seen[name], nth)

    def set(self) -> None:
        """From here on, in this thread and in those started later."""
        for call in CALLS:
            setattr(os, call, self._told(call, getattr(os, call)))
        sqlite3.connect = self._connect(sqlite3.connect)
        if self.name is None:
            # Lines are slow to follow, and none of them has a name.
            threading.settrace(self._enter)
            sys.settrace(self._enter)

    def unset(self) -> None:
        """Stop following lines."""
        threading.settrace(None)  # type: ignore[arg-type]
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Trace | None:
        return self._line if frame.f_code.co_filename.startswith(ROOM) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Trace:
        if event == "line":
            self.hit("line")
        return self._line

    def _told(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def told(*args: Any, **rest: Any) -> Any:
            self.hit(f"before {name}")
            result = call(*args, **rest)
            self.hit(f"after {name}")
            return result

        return told

    def _connect(self, connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        hit = self.hit

        class Watched(sqlite3.Connection):
            def commit(self) -> None:
                super().commit()
                hit("after commit")

        def connected(*args: Any, **rest: Any) -> sqlite3.Connection:
            connection = connect(*args, factory=Watched, **rest)
            connection.set_trace_callback(lambda sql: hit(f"sql {sql.lstrip().split(None, 1)[0].upper()}"))
            connection.set_progress_handler(lambda: hit("vm"), STEPS)
            return connection

        return connected
