"""All contenders of one comparison, alive side by side; who fails leaves with a note."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol import Child, ContenderFailed, Seat


class Notes:
    """The raw results of one phase, a JSON object a line, written as they come."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        path.write_text("", encoding="utf-8")

    def add(self, **values: object) -> None:
        line = json.dumps({key: _rounded(value) for key, value in values.items()})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"{time.strftime('%H:%M:%S')} {line[:200]}", flush=True)


class Field:
    """Starts its contenders on entering and kills them on leaving."""

    def __init__(self, seats: Sequence[Seat], notes: Notes, **about: object) -> None:
        self._seats = seats
        self._notes = notes
        self._about = about
        self._stack = ExitStack()
        self.children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        for seat in self._seats:
            self.children[seat.name] = self._stack.enter_context(Child(seat))
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

    def load(self, size: int, limit_s: float) -> None:
        """Open and load everybody, one after the other; who is not done at the limit leaves."""
        for name, opened in self.each("open"):
            self.note("opened", name=name, **opened)
        for name, loaded in self.each("load", within_s=3.0 * limit_s, size=size, limit_s=limit_s):
            self.note("loaded", name=name, **loaded)
            if not loaded["complete"]:
                share = f"{loaded['loaded']:,} items in {loaded['seconds']:.0f} s"
                self.drop(name, "load", f"not done within {limit_s:.0f} s: {share}")

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
