"""The child's end: holds one contender, does what it is told, times it.

Started as `child.py NAME MODULE FOLDER MATERIAL N_SPACES`; what libraries print goes to the error stream.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from material import Material, Row

OWN_ROWS = 1_000
WRITES_PER_S = 20.0
"""Pace of the writer beside readers; slower contenders write as fast as they can."""


class Child:
    def __init__(self, arguments: list[str], say: Callable[[object], None]) -> None:
        self._name, self._module, folder, material, n_spaces = arguments
        self._folder = Path(folder)
        self._material = Material(Path(material), int(n_spaces))
        self._say = say
        self._lock = threading.Lock()
        self._has_begun = False
        self._fresh = itertools.count()

    def do_open(self) -> dict[str, Any]:
        begun = time.perf_counter()
        made = importlib.import_module(f"contenders.{self._module}")
        imported = time.perf_counter()
        self._contender = made.CONTENDERS[self._name](self._folder)
        return {"import_s": imported - begun, "open_s": time.perf_counter() - imported}

    def do_load(self, size: int, limit_s: float) -> dict[str, Any]:
        """All rows in bulks; stops at the limit."""
        begun = time.perf_counter()
        for start in range(0, self._material.n, size):
            self._contender.load(self._material.rows(start, min(start + size, self._material.n)))
            if time.perf_counter() - begun > limit_s:
                return {"loaded": start + size, "seconds": time.perf_counter() - begun, "complete": False}
        self._contender.finish()
        return {"loaded": self._material.n, "seconds": time.perf_counter() - begun, "complete": True}

    def do_ask(self, count: int, first: int, threads: int, writing: bool, seconds: float) -> dict[str, Any]:
        """Seconds of each question; stops after `seconds`, but asks at least once a thread."""
        questions = self._material.questions
        places = itertools.count(first)
        until = time.perf_counter() + seconds
        done: list[float] = []

        def read() -> None:
            for turn in itertools.count():
                place = next(places)
                if place - first >= count or (turn and time.perf_counter() > until):
                    return
                begun = time.perf_counter()
                self._contender.ask(questions[place % len(questions)], 10)
                done.append(time.perf_counter() - begun)

        stop = threading.Event()
        writer = threading.Thread(target=self._write_slowly, args=(stop,))
        if writing:
            writer.start()
        cpu = time.process_time()
        _in_threads(threads, read)
        cpu = time.process_time() - cpu
        stop.set()
        if writing:
            writer.join()
        return {"times": done, "cpu": cpu}

    def do_answers(self, k: int, served: bool) -> dict[str, Any]:
        """Row numbers found for every question, best first; `served` is as its users get them."""
        ask = self._contender.serve if served else self._contender.ask
        return {"rows": [ask(question, k) for question in self._material.questions]}

    def do_write(self, threads: int, seconds: float, tell: bool = False) -> dict[str, Any]:
        """Acknowledged writes of fresh rows by threads; each waits for its own. `tell` says every one."""
        self._material.texts  # noqa: B018 - read before the clock starts
        until = time.perf_counter() + seconds
        done: list[int] = []

        def write() -> None:
            while time.perf_counter() < until and (row := self._next_row()) is not None:
                self._contender.write(row)
                done.append(row.number)
                if tell:
                    self._say({"ack": row.number})

        begun = time.perf_counter()
        bulk = getattr(self._contender, "write_many", None)
        if bulk is None:
            _in_threads(threads, write)
        else:
            done += bulk(self._next_row, until)
        return {"writes": len(done), "seconds": time.perf_counter() - begun}

    def do_has(self, rows: list[int]) -> dict[str, Any]:
        """Which of these rows cannot be found by their own vector."""
        return {"lost": [number for number in rows if not self._contender.has(self._material.row(number))]}

    def do_memory(self) -> dict[str, Any]:
        """Resident bytes, in all and without files that are mapped."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        named = dict(line.split(":", 1) for line in lines)
        return {"rss": _bytes(named["VmRSS"]), "anonymous": _bytes(named["RssAnon"])}

    def do_close(self) -> dict[str, Any]:
        self._contender.close()
        return {}

    def _write_slowly(self, stop: threading.Event) -> None:
        while not stop.wait(1.0 / WRITES_PER_S) and (row := self._next_row()) is not None:
            self._contender.write(row)

    def _next_row(self) -> Row | None:
        """None when all spare rows are used up."""
        with self._lock:
            if not self._has_begun:
                self._begin()
        number = next(self._fresh)
        return self._material.row(number) if number < self._material.n_rows else None

    def _begin(self) -> None:
        """Every process that writes to a folder takes spare rows of its own."""
        used = self._folder / "processes-that-wrote"
        turn = int(used.read_text(encoding="ascii")) if used.exists() else 0
        used.write_text(str(turn + 1), encoding="ascii")
        self._fresh = itertools.count(self._material.n + turn * OWN_ROWS)
        self._has_begun = True


def _in_threads(n: int, act: Callable[[], None]) -> None:
    if n == 1:
        act()
        return
    with ThreadPoolExecutor(n) as pool:
        for future in [pool.submit(act) for _ in range(n)]:
            future.result()


def _bytes(said: str) -> int:
    return 1024 * int(said.split()[0])


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(what: object) -> None:
        with lock:
            out.write(json.dumps(what) + "\n")
            out.flush()

    child = Child(sys.argv[1:], say)
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        act = getattr(child, f"do_{do}")
        try:
            say(act(**order))
        except Exception as error:  # noqa: BLE001 - the parent decides what a failure means
            say({"error": f"{type(error).__name__}: {error}"[:500]})
        if do == "close":
            break


if __name__ == "__main__":
    main()
