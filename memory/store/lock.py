"""One process per database file; one writer at a time for small files that several processes share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memory.errors import StoreError, StoreLocked


@dataclass(frozen=True, slots=True)
class FileLock:
    """Held on a file beside the database: opening the database file itself would drop SQLite's own locks."""

    descriptor: int

    @classmethod
    def take(cls, path: Path) -> FileLock:
        """Take it or raise StoreLocked at once. The system lets it go when the process dies."""
        beside = path.with_name(path.name + ".lock")
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock file {str(beside)!r} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(
                f"{str(path)!r} is in use by process {owner}; stop it, or open another data folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let go; the file stays, for removing it would race with the next owner."""
        os.close(self.descriptor)


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    """Wait until nobody else, of whatever process or thread, has their turn by this file. Raises StoreError.

    The system ends the turn of a process that dies. Whoever writes reads first, within the turn.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the lock file {str(lock)!r} cannot be opened: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
