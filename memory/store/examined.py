"""A database file seen from outside, while a server has it or not: by SQLite alone, reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from memory.errors import StoreError
from memory.store.health import problems
from memory.store.reader import Reader
from memory.store.rows import LOG, VECTOR
from memory.store.schema import HEAD, version


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found."""

    problems: tuple[str, ...]
    """Empty when all is well."""
    schema: str | None
    newest_schema: str
    encoders: tuple[str, ...]
    """Generations that there are vectors of."""
    last_write_at: float | None


def examined(path: Path) -> Examined:
    """Reads the whole file: pages, counts, full text, the chain of the log, items against it.

    Raises StoreError on a file that cannot be read at all.
    """
    with reading(path) as raw:
        pages = [str(row[0]) for row in raw.execute("PRAGMA quick_check") if row[0] != "ok"]
    if pages:
        return Examined(tuple(pages), None, HEAD, (), None)
    engine = create_engine("sqlite://", creator=lambda: _opened(path), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return _examined(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error}") from error
    finally:
        engine.dispose()


def schema_of(path: Path) -> str | None:
    """The schema a file has; None where there is none. Raises StoreError."""
    if not path.is_file():
        return None
    with reading(path) as raw:
        found = raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = None if found is None else raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def quick_check(path: Path) -> tuple[str, ...]:
    """What is wrong with the pages of any SQLite file of ours. Raises StoreError."""
    with reading(path) as raw:
        return tuple(str(row[0]) for row in raw.execute("PRAGMA quick_check") if row[0] != "ok")


def copied(path: Path, target: Path) -> None:
    """Copy a SQLite file as it is at one moment, while others write to it. Raises StoreError."""
    with reading(path) as raw, closing(sqlite3.connect(target)) as copy:
        raw.backup(copy)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write; what fails inside is a StoreError."""
    try:
        with closing(_opened(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    # Read-only, so that the end of it check-points nothing under whoever has the file.
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=5.0)


def _examined(connection: Connection) -> Examined:
    schema = version(connection)
    if schema != HEAD:
        return Examined((), schema, HEAD, (), None)
    found = problems(Reader(connection), connection)
    encoders = connection.execute(select(VECTOR.c.encoder).distinct()).scalars().all()
    last = connection.execute(select(func.max(LOG.c.at))).scalar()
    return Examined(found, schema, HEAD, tuple(sorted(map(str, encoders))), last)
