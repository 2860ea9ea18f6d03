"""All contenders of one comparison, alive side by side; who fails leaves with a note."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol import Child, ContenderFailed, Seat

BULK = 1_000


class Notes:
    """The raw results of one phase, a JSON object a line, written as they come."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        path.write_text("", encoding="utf-8")

    def add(self, **values: object) -> None:
        values["load"] = os.getloadavg()[0]
        line = json.dumps({key: _rounded(value) for key, value in values.items()})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"{time.strftime('%H:%M:%S')} {line[:200]}", flush=True)


def loaded(
    seats: Sequence[Seat], notes: Notes, *, limit_s: float, exact: Any = None, **about: object
) -> list[Seat]:
    """Those that hold all the material, each loaded by a process that is gone again.

    What is loaded already stays. `exact` are the true answers (questions, k): recall is told before anybody
    writes more.
    """
    ready = []
    for seat in seats:
        if not seat.result.exists():
            shutil.rmtree(seat.folder, ignore_errors=True)
            result = _load(seat, limit_s, exact)
            seat.result.write_text(json.dumps(result), encoding="utf-8")
        result = json.loads(seat.result.read_text(encoding="utf-8"))
        if "why" in result:
            notes.add(what="failed", **about, name=seat.name, do="load", why=result["why"])
            shutil.rmtree(seat.folder, ignore_errors=True)
        else:
            notes.add(what="loaded", **about, name=seat.name, **result)
            ready.append(seat)
    return ready


def _load(seat: Seat, limit_s: float, exact: Any) -> dict[str, Any]:
    try:
        with Child(seat) as child:
            child.call("open")
            result = child.call("load", within_s=3.0 * limit_s, size=BULK, limit_s=limit_s)
            if not result["complete"]:
                share = f"{result['loaded']:,} items in {result['seconds']:.0f} s"
                return {"why": f"not done within {limit_s:.0f} s: {share}"}
            if exact is not None:
                found = child.call("answers", k=exact.shape[1], served=False)["rows"]
                pairs = zip(found, exact, strict=True)
                result["recall"] = (
                    sum(len(set(rows) & set(true.tolist())) for rows, true in pairs) / exact.size
                )
            child.close()
            return {"seconds": result["seconds"], "recall": result.get("recall")}
    except ContenderFailed as error:
        return {"why": str(error)}


class Field:
    """Starts and opens its contenders on entering and kills them on leaving."""

    def __init__(self, seats: Sequence[Seat], notes: Notes, **about: object) -> None:
        self._seats = seats
        self._notes = notes
        self._about = about
        self._stack = ExitStack()
        self.children: dict[str, Child] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        """Seconds of imports and of opening."""

    def __enter__(self) -> Self:
        for seat in self._seats:
            self.children[seat.name] = self._stack.enter_context(Child(seat))
        for name, opened in self.each("open"):
            self.opened[name] = opened
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def note(self, what: str, **values: object) -> None:
        self._notes.add(what=what, **self._about, **values)

    def each(
        self, do: str, *, turn: int = 0, within_s: float = 600.0, **arguments: Any
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The answers of those still in the field; `turn` rotates who comes first."""
        names = list(self.children)
        turn %= max(len(names), 1)
        for name in names[turn:] + names[:turn]:
            try:
                yield name, self.children[name].call(do, within_s=within_s, **arguments)
            except ContenderFailed as error:
                self.drop(name, do, str(error))

    def drop(self, name: str, do: str, why: str) -> None:
        self.note("failed", name=name, do=do, why=why)
        self.children.pop(name).kill()

    def close(self) -> None:
        for name, child in list(self.children.items()):
            try:
                child.close()
            except ContenderFailed as error:
                self.drop(name, "close", str(error))


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value
