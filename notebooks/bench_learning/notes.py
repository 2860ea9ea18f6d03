"""Results as they come, one JSON object a line: what is there already is not run again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]


class Notes:
    """The results of one phase in one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._known = list(read(path)) if path.exists() else []
        if path.exists():
            # A line that a kill cut off would spoil the next.
            path.write_text("".join(json.dumps(one) + "\n" for one in self._known), encoding="utf-8")

    def has(self, what: str, **equal: object) -> bool:
        """Is there a result of these properties already?"""
        return any(
            one["what"] == what and all(one.get(key) == value for key, value in equal.items())
            for one in self._known
        )

    def add(self, what: str, **fields: object) -> None:
        """Keep a result."""
        record = {"what": what, **fields}
        self._known.append(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class Records:
    """All results of all phases."""

    def __init__(self, records: list[Record]) -> None:
        self._records = records

    @classmethod
    def of(cls, folder: Path, bench: str = "learning") -> Records:
        """Those of a bench under a folder."""
        return cls([one for path in sorted(folder.glob(f"{bench}-*.jsonl")) for one in read(path)])

    def where(self, what: str, **equal: object) -> list[Record]:
        """Those of these properties."""
        return [
            one
            for one in self._records
            if one["what"] == what and all(one.get(key) == value for key, value in equal.items())
        ]


def read(path: Path) -> Iterator[Record]:
    """The lines of a file; a last one that was cut off is none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
