"""One transaction, as the halves of a reader share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DBAPIError

from memory.errors import NotFound
from memory.store.prepared import Parameters, Prepared, Values

MOST = 1000
"""Names in one statement."""

AnyRow = tuple[Any, ...]


def batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Names in lists that a statement can take, each once.

    >>> [len(names) for names in batches(str(n) for n in range(1500))]
    [1000, 500]
    """
    every = list(dict.fromkeys(names))
    for start in range(0, len(every), MOST):
        yield every[start : start + MOST]


class Session:
    """A connection inside a transaction. Not thread-safe; short-lived."""

    def __init__(self, connection: Connection) -> None:
        self._held = connection
        self._dialect = connection.dialect
        # SQLite's driver is called directly. Of others the errors say more when SQLAlchemy has seen them.
        self._direct: Any = (
            connection.connection.driver_connection if connection.dialect.name == "sqlite" else None
        )

    @property
    def _connection(self) -> Connection:
        return self._held

    @property
    def connection(self) -> Connection:
        """What it runs on."""
        return self._connection

    def _rows(self, statement: Prepared, values: Values) -> list[AnyRow]:
        """Run a query; its rows as plain tuples."""
        sql, arranged = statement.under(self._dialect)
        return cast(list[AnyRow], self._call("execute", sql, arranged(values)).fetchall())

    def _row(self, statement: Prepared, values: Values) -> AnyRow | None:
        """Run a query; its first row."""
        sql, arranged = statement.under(self._dialect)
        return cast(AnyRow | None, self._call("execute", sql, arranged(values)).fetchone())

    def _run(self, statement: Prepared, rows: Sequence[Values]) -> None:
        """Run a statement that returns nothing, once for each row of values."""
        sql, arranged = statement.under(self._dialect)
        if len(rows) == 1:
            self._call("execute", sql, arranged(rows[0]))
        elif rows and self._direct is not None and sql.startswith("INSERT"):
            for several, parameters in statement.many(self._dialect, rows):
                self._call("execute", several, parameters)
        elif rows:
            self._call("executemany", sql, [arranged(values) for values in rows])

    def _call(self, how: str, sql: str, parameters: Parameters | list[Parameters]) -> Any:
        if self._direct is None:
            return self._held.exec_driver_sql(sql, cast(Any, parameters))
        try:
            return getattr(self._direct, how)(sql, parameters)
        except self._dialect.loaded_dbapi.Error as error:
            raise DBAPIError(sql, None, error) from error

    def _key(self, table: Table, namespace: str, wanted: str) -> int:
        query = select(table.c.key).where(table.c.namespace == namespace, table.c.id == wanted)
        found = self._connection.execute(query).scalar()
        if found is None:
            raise NotFound(f"there is no {wanted!r} in this namespace to continue after")
        return int(found)
