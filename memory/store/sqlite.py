"""The database as one SQLite file: one connection that writes, a pool that reads, one process.

Two measured facts shape it: a read-modify-write outside `BEGIN IMMEDIATE` loses updates; a checkpoint that
races a commit on another connection can corrupt the log in SQLite 3.7.0 to 3.51.2, so one connection does
both.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from memory.errors import ApprenticeError, DiskFull, StoreError, StoreLocked
from memory.store.erasure import SCRUB
from memory.store.lock import FileLock
from memory.store.schema import migrate

T = TypeVar("T")
log = logging.getLogger(__name__)

N_READERS = 8
"""Connections kept open; more come and go with the threads that read."""
READER_KIB, WRITER_KIB = 4096, 65536
"""Cached pages of a connection: a writer meets every index at random places."""
WAL_PAGES = 8000
"""Length of the write-ahead log (32 MB) from which it is copied back, an often changed page once."""
SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL = 5, 6, 13
FIRST_AFFECTED, FIRST_FIXED = (3, 7, 0), (3, 51, 3)


class Sqlite:
    """An open file, with its process lock."""

    def __init__(self, path: Path, lock: FileLock, max_pages: int | None) -> None:
        self.name = str(path)
        self._lock = lock
        self._readers = _engine(path, READER_KIB, is_reader=True)
        self._idle: list[Connection] = []
        self._writers = _engine(path, WRITER_KIB, is_reader=False)
        event.listen(self._writers, "begin", _begin_to_write)
        self._writer = self._writers.connect()
        with self._writer.begin():
            migrate(self._writer)
        if max_pages is not None:
            _raw(self._writer).execute(f"PRAGMA max_page_count={max_pages:d}")

    @classmethod
    def open(cls, path: Path, *, max_pages: int | None = None) -> Sqlite:
        """Open or create the file, bring its schema up to date, take its process lock.

        `max_pages` bounds the file, in pages of 4096 bytes. Raises StoreLocked when another process has it,
        DiskFull without space, StoreError when it is not a database of ours.
        """
        _warn_of_affected_version()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of {str(path)!r} cannot be made: {error.strerror}") from error
        lock = FileLock.take(path)
        try:
            return cls(path, lock, max_pages)
        except (DBAPIError, sqlite3.Error) as error:
            lock.release()
            raise _translated(error) from error
        except BaseException:
            lock.release()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection on which everything belongs to one moment.

        The newest idle one, by the driver alone: a pool and its transactions are a tenth of a recall.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._readers.connect()
        raw = _raw(connection)
        try:
            raw.execute("BEGIN")
            yield connection
        finally:
            if connection.in_transaction():
                connection.rollback()
            raw.rollback()
            if len(self._idle) < N_READERS:
                self._idle.append(connection)
            else:
                connection.close()

    def transact(self, run: Callable[[Connection], T]) -> T:
        """Run between BEGIN IMMEDIATE and COMMIT."""
        with self._writer.begin():
            result = run(self._writer)
        if self._writer.info.pop(SCRUB, False):
            self._scrub()
        return result

    def _scrub(self) -> None:
        """Write the file anew and empty the write-ahead log: deleted rows leave their bytes in both."""
        raw = _raw(self._writer)
        try:
            raw.execute("VACUUM")
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            # The erasure itself is committed; raising here would have it done again.
            log.warning("the file may still hold bytes of what was erased (%s): erase again", error)
            return
        if busy:
            log.warning("the write-ahead log holds bytes of what was erased until the next checkpoint")

    def is_undone(self, connection: Connection, error: Exception) -> bool:  # noqa: ARG002 - SQLite tells itself
        """SQLite rolls all back on some errors, a full disk among them."""
        return not _raw(connection).in_transaction

    def translated(self, error: BaseException) -> BaseException:
        """Busy, full, or failed."""
        return _translated(error)

    def backup(self, target: Path) -> None:
        """Copy by SQLite's own backup; any other way of reading the file drops its locks."""
        with self.reading() as connection, sqlite3.connect(target) as copy:
            _raw(connection).backup(copy)
        copy.close()

    def close(self) -> None:
        """Check-point, let the file go."""
        while self._idle:
            self._idle.pop().close()
        try:
            _raw(self._writer).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._writer.close()
            self._writers.dispose()
            self._lock.release()


def _translated(error: BaseException) -> BaseException:
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return error if isinstance(error, ApprenticeError) or original is error else StoreError(str(error))
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if code == SQLITE_FULL:
        return DiskFull("no space left for the database; nothing acknowledged was lost: free space and retry")
    if code in {SQLITE_BUSY, SQLITE_LOCKED}:
        return StoreLocked(f"the database is busy: {original}; retry")
    return StoreError(f"the database failed: {original}")


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _engine(path: Path, kib: int, *, is_reader: bool) -> Engine:
    pragmas = ["journal_mode=WAL", "synchronous=FULL", f"query_only={is_reader:d}"]
    pragmas += [f"cache_size=-{kib}", f"wal_autocheckpoint={WAL_PAGES}"]

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _begin_to_write(connection: Connection) -> None:
    # The driver's own BEGIN is deferred and late; ours is where the transaction starts.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _warn_of_affected_version() -> None:
    if FIRST_AFFECTED <= sqlite3.sqlite_version_info < FIRST_FIXED:
        log.warning(
            "SQLite %s can corrupt its write-ahead log when a checkpoint races a commit; this store does "
            "both on one connection, which avoids it. Upgrade to SQLite 3.51.3 or later.",
            sqlite3.sqlite_version,
        )
