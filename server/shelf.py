"""What callers and operators set up, e.g. webhooks and schedules: JSON documents by namespace, kind and id.

A file of its own beside the job engine's, or a table in the database that several servers share. Documents
are few and small; a change reads and writes one in a transaction, so that two servers cannot undo each
other's.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from memory.errors import Conflict, NotFound, StoreError
from memory.types import Json

Document = Mapping[str, Json]
T = TypeVar("T")

_TABLE = Table(
    "apprentice_shelf",
    MetaData(),
    Column("namespace", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("body", Text, nullable=False),
)


class Shelf:
    """Documents in a file or a database. Opened at first use; its calls wait in threads."""

    def __init__(self, where: Path | str) -> None:
        """`where`: a file, made for its owner alone as it holds secrets, or the URL of PostgreSQL."""
        self._where = where
        self._opened: Engine | None = None
        self._opening = asyncio.Lock()

    async def put(self, namespace: str, kind: str, name: str, document: Document) -> None:
        """Put a new document. Raises Conflict where there is one, StoreError."""
        row = (namespace, kind, name)

        def do(connection: Connection) -> None:
            if not _add(connection, row, document):
                raise Conflict(f"there is a {kind} {name!r} already")

        await self._do(do)

    async def get(self, namespace: str, kind: str, name: str) -> Document:
        """Raises NotFound, StoreError."""
        found = await self.find(namespace, kind, name)
        if found is None:
            raise NotFound(f"there is no {kind} {name!r} here")
        return found

    async def find(self, namespace: str, kind: str, name: str) -> Document | None:
        """None where there is none. Raises StoreError."""
        row = (namespace, kind, name)
        return await self._do(lambda connection: _read(connection, row, lock=False), reads=True)

    async def all(self, kind: str, namespace: str | None = None) -> list[tuple[str, str, Document]]:
        """Namespace, id and document, in one namespace or in all, oldest first. Raises StoreError."""
        query = select(_TABLE.c.namespace, _TABLE.c.id, _TABLE.c.body).where(_TABLE.c.kind == kind)
        if namespace is not None:
            query = query.where(_TABLE.c.namespace == namespace)
        query = query.order_by(_TABLE.c.created_at, _TABLE.c.id)

        def do(connection: Connection) -> list[tuple[str, str, Document]]:
            return [(row[0], row[1], json.loads(row[2])) for row in connection.execute(query)]

        return await self._do(do, reads=True)

    async def change(
        self,
        namespace: str,
        kind: str,
        name: str,
        how: Callable[[Document], Document],
        *,
        new: Document | None = None,
    ) -> Document:
        """Read, change and write in one transaction; `new` is what a missing one begins as.

        Raises NotFound where there is none and no `new`, what `how` raises, StoreError.
        """
        row = (namespace, kind, name)

        def do(connection: Connection) -> Document:
            # Somebody else may add it in between: then theirs is changed.
            if new is not None:
                _add(connection, row, new)
            found = _read(connection, row, lock=True)
            if found is None:
                raise NotFound(f"there is no {kind} {name!r} here")
            changed = how(found)
            body = json.dumps(dict(changed))
            connection.execute(update(_TABLE).where(*_at(row)).values(body=body))
            return changed

        return await self._do(do)

    async def remove(self, namespace: str, kind: str, name: str) -> None:
        """Raises NotFound, StoreError."""

        def do(connection: Connection) -> int:
            return connection.execute(delete(_TABLE).where(*_at((namespace, kind, name)))).rowcount

        if not await self._do(do):
            raise NotFound(f"there is no {kind} {name!r} here")

    async def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            await asyncio.to_thread(self._opened.dispose)
            self._opened = None

    async def _do(self, work: Callable[[Connection], T], *, reads: bool = False) -> T:
        async with self._opening:
            if self._opened is None:
                self._opened = await asyncio.to_thread(_told, lambda: _open(self._where))
        engine = self._opened

        def run() -> T:
            with engine.connect().execution_options(reads=reads) as connection, connection.begin():
                return work(connection)

        return await asyncio.to_thread(_told, run)


def _told(do: Callable[[], T]) -> T:
    try:
        return do()
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"what callers set up cannot be read or written: {error}") from error


def _open(where: Path | str) -> Engine:
    if isinstance(where, Path):
        where.parent.mkdir(parents=True, exist_ok=True)
        # The log and the index of SQLite beside it get the same mode.
        os.close(os.open(where, os.O_CREAT | os.O_RDWR, 0o600))
        engine = create_engine(f"sqlite:///{where}", connect_args={"timeout": 10.0})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    else:
        engine = create_engine(where, pool_pre_ping=True)
    # Two servers may begin at the same time: whoever is second finds the table there.
    with suppress(SQLAlchemyError):
        _TABLE.metadata.create_all(engine)
    return engine


def _prepare(connection: object, _record: object) -> None:
    # SQLite's driver would begin transactions of its own, without the lock for writing.
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    # A reader that would write later could meet another's lock in between.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _at(row: tuple[str, str, str]) -> tuple[ColumnElement[bool], ...]:
    namespace, kind, name = row
    return (_TABLE.c.namespace == namespace, _TABLE.c.kind == kind, _TABLE.c.id == name)


def _read(connection: Connection, row: tuple[str, str, str], *, lock: bool) -> Document | None:
    query = select(_TABLE.c.body).where(*_at(row))
    body = connection.execute(query.with_for_update() if lock else query).scalar()
    return None if body is None else json.loads(body)


def _add(connection: Connection, row: tuple[str, str, str], document: Document) -> bool:
    namespace, kind, name = row
    values = {"namespace": namespace, "kind": kind, "id": name, "created_at": time.time()}
    try:
        with connection.begin_nested():
            connection.execute(insert(_TABLE).values(**values, body=json.dumps(dict(document))))
    except IntegrityError:
        return False
    return True
