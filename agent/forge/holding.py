"""What a process holds on disk, seen from outside: files in its folder, and those it removed but keeps.

The system's limits know one file's size alone, so somebody has to look; between two looks a process holds
more, as much as it can write in that time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MAPS = 1 << 20
"""Bytes of a process's list of mappings that are read; a script has some 20 000."""
_GONE = b" (deleted)"


@dataclass(frozen=True, slots=True)
class Holding:
    """What was found at one look."""

    files: int
    """Names in the folder, counted to one more than are allowed."""
    disk: int
    """Bytes."""
    hidden: bool
    """Has it a file in memory that it removed, or more mappings than anybody reads? Nobody but the
    superuser can tell how big such a file is."""


def held(folder: Path, pid: int, most: int) -> Holding:
    """One look; what ended meanwhile holds nothing. `most`: files that are allowed."""
    files = disk = 0
    for entry in _entries(folder):
        files += 1
        if files > most:
            break
        with suppress(OSError):
            disk += entry.stat(follow_symlinks=False).st_blocks * 512
    for entry in _entries(Path(f"/proc/{pid}/fd")):
        with suppress(OSError):
            open_file = entry.stat()
            disk += open_file.st_blocks * 512 if open_file.st_nlink == 0 else 0
    return Holding(files, disk, _hides(folder, pid))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as found:
        yield from found


def _hides(folder: Path, pid: int) -> bool:
    maps = b""
    with suppress(OSError), Path(f"/proc/{pid}/maps").open("rb") as file:
        maps = file.read(_MAPS)
    own = b" " + os.fsencode(folder.resolve()) + b"/"
    return len(maps) == _MAPS or any(own in line and line.endswith(_GONE) for line in maps.split(b"\n"))
