"""The database on a PostgreSQL server that several processes share.

Every write transaction first takes one advisory lock and keeps it until its commit is visible. So log
positions are given out in the order of commits and without gaps, each row is chained to the one truly before
it, and a replica that asks for everything after the last position it applied misses nothing. Numbers drawn
from a sequence would not do: they are not in the order of commits. The price, one writing transaction at a
time, is shared by the operations of a group commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, QueuePool

from memory.errors import BadInput, DiskFull, StoreError, StoreLocked
from memory.store.backend import Undone
from memory.store.schema import migrate

T = TypeVar("T")

N_READERS, N_MORE_READERS = 8, 24
"""Connections kept open for reading, and how many more may come and go."""
LOCK_NAME = "apprentice memory"
LOCK_WAIT_S = 30
"""How long a write waits for other processes before it is told to come again."""
GROWTH = 200
"""Log rows before the planner is told about the tables for the first time; then whenever they have doubled.
Until autovacuum comes round it would take every namespace for small and read all of it to find one row."""
STALL_S = 60
"""How long a process may stand still inside a transaction before the server ends it for the others' sake."""
PAUSES_S = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0)
"""Waits before a transaction that the server undid is run again."""

SCHEMA = "apprentice"
"""Where our tables are: pgvector's type and our table of vectors, both `vector`, cannot share one."""

# Ours first, then whatever else, pgvector wherever it was put.
_PATH = f"""SELECT set_config('search_path', concat_ws(', ', '{SCHEMA}', 'public', (
    SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
    WHERE extname = 'vector')), false)"""
# Questions are short: compiling them or calling other processes in costs more than they do.
_READING = ("SET jit = off", "SET max_parallel_workers_per_gather = 0")
_WRITING = (
    f"SET lock_timeout = '{LOCK_WAIT_S}s'",
    f"SET idle_in_transaction_session_timeout = '{STALL_S}s'",
    # Acknowledged means on disk, whatever the server's default.
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'",
)
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || :name, 0)), "
    "CAST(pg_current_xact_id() AS text)"
)
_ANALYZE = "ANALYZE item, item_fts, vector, link, log, episode, credit"
_SIZE = text("SELECT coalesce(max(seq), 0) FROM log")
_FATE = text("SELECT pg_xact_status(CAST(:xid AS xid8))")
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_DISK_FULL, _LOCK_NOT_AVAILABLE, _TOO_MANY, _READ_ONLY = "53100", "55P03", "53300", "25006"
_PASSING = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "25P03"})
"""Serialization failure, deadlock, server going down or coming up, stalled: the same again may succeed."""


class Postgres:
    """An open database: a connection that writes, a pool that reads."""

    def __init__(self, url: URL) -> None:
        self.name = url.render_as_string(hide_password=True)
        # libpq reads the URL itself, with whatever options it knows.
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._readers = _engine(url, self._address, is_reader=True)
        self._writers = _engine(url, self._address, is_reader=False)
        self._writer: Connection | None = None
        self._next_size = GROWTH

    @classmethod
    def open(cls, url: str) -> Postgres:
        """Connect, and bring the schema up to date. Raises BadInput on no URL, StoreError on no server."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise BadInput("the database is no URL: give postgresql://user@host/name") from error
        if parsed.drivername not in {"postgresql", "postgresql+psycopg"}:
            raise BadInput(f"{parsed.drivername!r} is no database we know: give postgresql://user@host/name")
        backend = cls(parsed.set(drivername="postgresql+psycopg"))
        try:
            # Without a server there is nothing to wait for: only `transact` is patient.
            backend._make_schema()
            backend.transact(migrate)
        except BaseException as error:
            backend.close()
            raise backend.translated(error) from error
        return backend

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection on which everything belongs to one moment and nothing can be written."""
        connection = self._moment()
        try:
            yield connection
        finally:
            connection.close()

    def transact(self, run: Callable[[Connection], T]) -> T:
        """Run under the lock of all writers and commit; again where the server undid it or went away."""
        for pause in PAUSES_S:
            time.sleep(pause)
            try:
                return self._once(run)
            except (Undone, DBAPIError) as error:
                cause = error.__cause__ if isinstance(error, Undone) else error
                if not _is_passing(cause):
                    raise
                failure = error
        raise failure

    def is_undone(self, connection: Connection, error: Exception) -> bool:
        """Is the connection gone, or must the whole transaction be run again?"""
        if connection.invalidated or _is_passing(error):
            return True
        return _driver(connection).info.transaction_status is TransactionStatus.UNKNOWN

    def translated(self, error: BaseException) -> BaseException:
        """Full, locked, refused, unreachable, or failed."""
        if isinstance(error, PoolTimeout):
            return StoreLocked(f"all {N_READERS + N_MORE_READERS} connections are in use; retry")
        if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
            return self._told(error.orig, is_passing=_is_passing(error))
        return StoreError(str(error)) if isinstance(error, SQLAlchemyError) else error

    def _told(self, error: psycopg.Error, *, is_passing: bool) -> StoreError | BadInput:
        code, line = error.sqlstate, (str(error).strip() or type(error).__name__).splitlines()[0]
        if code == _DISK_FULL:
            return DiskFull(
                "no space left for the database; nothing acknowledged was lost: free space and retry"
            )
        if code in {_LOCK_NOT_AVAILABLE, _TOO_MANY}:
            return StoreLocked(f"the database is busy: {line}; retry")
        if code == _READ_ONLY:
            return StoreError(f"{self.name!r} takes no writes: give the URL of the primary")
        if code is None and isinstance(error, psycopg.DataError):
            return BadInput(f"PostgreSQL cannot keep this: {line}")
        if is_passing or (code is None and isinstance(error, psycopg.OperationalError)):
            return StoreError(
                f"{self.name!r} cannot be reached; nothing acknowledged was lost: see that it runs and retry "
                f"({line})"
            )
        return StoreError(f"the database failed: {line}")

    @contextmanager
    def apart(self) -> Iterator[psycopg.Connection]:
        """A connection of its own that commits each statement, for work that goes on beside all else."""
        try:
            with psycopg.connect(self._address, autocommit=True, application_name="apprentice") as connection:
                connection.execute(_PATH.encode())
                yield connection
        except psycopg.Error as error:
            raise self._told(error, is_passing=False) from error

    def backup(self, target: Path) -> None:  # noqa: ARG002 - where to does not matter
        """Refused. Raises StoreError that names the tool."""
        raise StoreError(
            f"{self.name!r} is backed up with PostgreSQL's own tools: use pg_dump or pg_basebackup"
        )

    def close(self) -> None:
        """Let all connections go."""
        if self._writer is not None:
            self._writer.close()
        self._writers.dispose()
        self._readers.dispose()

    def _make_schema(self) -> None:
        with self.apart() as connection:
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 2))", (LOCK_NAME,))
            # Asked first: IF NOT EXISTS wants the right to make one even where there is one.
            if connection.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,):
                connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())

    def _moment(self) -> Connection:
        connection = self._readers.connect()
        try:
            connection.exec_driver_sql(_READ)
        except DBAPIError as error:
            connection.close()
            if not error.connection_invalidated:
                raise
            # It died with the server since it was last used, and its whole pool with it: the next is fresh.
            connection = self._readers.connect()
            connection.exec_driver_sql(_READ)
        return connection

    def _once(self, run: Callable[[Connection], T]) -> T:
        connection = self._writing()
        xid = ""
        done: list[T] = []
        try:
            with connection.begin():
                xid = str(connection.execute(_LOCK, {"name": LOCK_NAME}).one()[1])
                done.append(run(connection))
                self._tell_planner(connection)
        except DBAPIError as error:
            if not (done and error.connection_invalidated and self._has_committed(xid)):
                raise
        return done[0]

    def _tell_planner(self, connection: Connection) -> None:
        size = int(connection.execute(_SIZE).scalar_one())
        if size >= self._next_size:
            self._next_size = 2 * size
            connection.exec_driver_sql(_ANALYZE)

    def _writing(self) -> Connection:
        if self._writer is None or self._writer.invalidated or self._writer.closed:
            if self._writer is not None:
                self._writer.close()
            self._writer = self._writers.connect()
        return self._writer

    def _has_committed(self, xid: str) -> bool:
        """What became of a transaction whose connection broke while it was being committed."""
        for pause in PAUSES_S:
            time.sleep(pause)
            try:
                with self._readers.connect() as connection:
                    fate = connection.execute(_FATE, {"xid": xid}).scalar()
            except DBAPIError:
                continue
            if fate != "in progress":
                return bool(fate == "committed")
        raise StoreError(
            f"{self.name!r} went away during a commit and cannot say what became of it: read before retrying"
        )


def _engine(url: URL, address: str, *, is_reader: bool) -> Engine:
    def connect() -> psycopg.Connection:
        connection = psycopg.connect(address, autocommit=is_reader, application_name="apprentice")
        with connection.transaction():
            for setting in (_PATH, *(_READING if is_reader else _WRITING)):
                connection.execute(setting.encode())
        return connection

    if is_reader:
        return create_engine(
            url, creator=connect, poolclass=QueuePool, pool_size=N_READERS, max_overflow=N_MORE_READERS
        )
    return create_engine(url, creator=connect, poolclass=NullPool)


def _driver(connection: Connection) -> psycopg.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _is_passing(error: BaseException | None) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original = error.orig
    if isinstance(original, psycopg.OperationalError) and original.sqlstate is None:
        return True
    return getattr(original, "sqlstate", None) in _PASSING
