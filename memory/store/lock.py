"""One process per database file."""

from __future__ import annotations

import fcntl
import os
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
