"""The database file: one writer thread with group commit, a pool of readers, one process.

Three measured facts shape it: a commit costs an fsync, so commits are grouped; a read-modify-write outside
`BEGIN IMMEDIATE` loses updates; a checkpoint that races a commit on another connection can corrupt the log in
SQLite 3.7.0 to 3.51.2, so one connection does both.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from memory.errors import ApprenticeError, DiskFull, StoreError, StoreLocked
from memory.store.lock import FileLock
from memory.store.reader import Reader
from memory.store.schema import migrate
from memory.store.writer import Writer

T = TypeVar("T")
log = logging.getLogger(__name__)

GROUP = 256
"""Most operations that share one commit."""
N_READERS = 8
"""Connections kept open; more come and go with the threads that read."""
SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL = 5, 6, 13
FIRST_AFFECTED, FIRST_FIXED = (3, 7, 0), (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """An operation waiting for the writer; its future resolves after the commit."""

    run: Callable[[Writer], T]
    done: Future[T]


class _Aborted(Exception):
    """SQLite itself rolled the whole transaction back; the cause says why."""


class Store:
    """An open database. Thread-safe."""

    def __init__(self, path: Path, lock: FileLock, max_pages: int | None) -> None:
        self._path = path
        self._lock = lock
        self._readers = _engine(path, "BEGIN", QueuePool)
        self._writers = _engine(path, "BEGIN IMMEDIATE", NullPool)
        self._writer = self._writers.connect()
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        with self._writer.begin():
            migrate(self._writer)
        if max_pages is not None:
            self._raw().execute(f"PRAGMA max_page_count={max_pages:d}")
        self._thread = Thread(target=self._work, name="memory-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, *, max_pages: int | None = None) -> Store:
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
            raise translated(error) from error
        except BaseException:
            lock.release()
            raise

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A consistent view: everything read inside belongs to one moment."""
        if self._closed:
            raise StoreError(f"{str(self._path)!r} is closed")
        try:
            with self._readers.connect() as connection, connection.begin():
                yield Reader(connection)
        except DBAPIError as error:
            raise translated(error) from error

    def write(self, run: Callable[[Writer], T]) -> T:
        """Run one operation in a transaction and return once it is on disk.

        Operations of other threads may share the commit; each has its own savepoint. `run` may be called
        twice, so it touches nothing but its writer. Raises what `run` raises, DiskFull, StoreError.
        """
        job: Job[T] = Job(run, Future())
        with self._closing:
            if self._closed:
                raise StoreError(f"{str(self._path)!r} is closed")
            self._jobs.put(job)
        return job.done.result()

    def check(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file and its full-text rows; empty when all is well."""

        def run(writer: Writer) -> tuple[str, ...]:
            return writer.integrity()

        return self.write(run)

    def backup(self, target: Path) -> None:
        """Copy the live database by SQLite's own backup; any other way of reading it drops its locks."""
        with self.read() as reader:
            reader.backup(target)

    def close(self) -> None:
        """Finish what is waiting, check-point, let the file go. Safe to call twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._readers.dispose()
        try:
            self._raw().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._writer.close()
            self._writers.dispose()
            self._lock.release()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, more = self._gather(first)
            self._commit(batch)
            if not more:
                return

    def _gather(self, first: Job[Any]) -> tuple[list[Job[Any]], bool]:
        batch = [first]
        while len(batch) < GROUP:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return batch, True
            if job is None:
                return batch, False
            batch.append(job)
        return batch, True

    def _commit(self, batch: list[Job[Any]]) -> None:
        try:
            outcomes = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - told to those who wait, or they wait for ever
            if len(batch) == 1:
                cause = error.__cause__ if isinstance(error, _Aborted) else error
                batch[0].done.set_exception(translated(cause or error))
                return
            # One operation spoilt the transaction for all: each gets its own.
            for job in batch:
                self._commit([job])
            return
        for job, (result, failure) in zip(batch, outcomes, strict=True):
            if failure is not None:
                job.done.set_exception(translated(failure))
            else:
                job.done.set_result(result)

    def _transact(self, batch: list[Job[Any]]) -> list[tuple[Any, Exception | None]]:
        with self._writer.begin():
            return [self._attempt(job) for job in batch]

    def _attempt(self, job: Job[Any]) -> tuple[Any, Exception | None]:
        connection = self._writer
        connection.exec_driver_sql("SAVEPOINT job")
        try:
            result = job.run(Writer(connection))
        except Exception as error:  # whatever it is belongs to the caller, who gets it from the future
            if not self._raw().in_transaction:
                raise _Aborted from error
            connection.exec_driver_sql("ROLLBACK TO job")
            connection.exec_driver_sql("RELEASE job")
            return None, error
        connection.exec_driver_sql("RELEASE job")
        return result, None

    def _raw(self) -> sqlite3.Connection:
        raw = self._writer.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw


def translated(error: BaseException) -> BaseException:
    """The error a caller meets for one of the database's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return error if isinstance(error, ApprenticeError) or original is error else StoreError(str(error))
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if code == SQLITE_FULL:
        return DiskFull("no space left for the database; nothing acknowledged was lost: free space and retry")
    if code in {SQLITE_BUSY, SQLITE_LOCKED}:
        return StoreLocked(f"the database is busy: {original}; retry")
    return StoreError(f"the database failed: {original}")


def _engine(path: Path, begin: str, pool: type[QueuePool] | type[NullPool]) -> Engine:
    is_reader = pool is QueuePool
    pragmas = ["journal_mode=WAL", "synchronous=FULL", f"query_only={is_reader:d}"]

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    options = {"pool_size": N_READERS, "max_overflow": -1} if is_reader else {}
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, **options)

    # The driver's own BEGIN is deferred and late; ours is where the transaction starts.
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", start)
    return engine


def _warn_of_affected_version() -> None:
    if FIRST_AFFECTED <= sqlite3.sqlite_version_info < FIRST_FIXED:
        log.warning(
            "SQLite %s can corrupt its write-ahead log when a checkpoint races a commit; this store does "
            "both on one connection, which avoids it. Upgrade to SQLite 3.51.3 or later.",
            sqlite3.sqlite_version,
        )
