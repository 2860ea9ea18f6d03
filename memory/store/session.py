"""One transaction, as the halves of a reader share it."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select

from memory.errors import NotFound


class Session:
    """A connection inside a transaction. Not thread-safe; short-lived."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _key(self, table: Table, namespace: str, wanted: str) -> int:
        query = select(table.c.key).where(table.c.namespace == namespace, table.c.id == wanted)
        found = self._connection.execute(query).scalar()
        if found is None:
            raise NotFound(f"there is no {wanted!r} in this namespace to continue after")
        return int(found)
