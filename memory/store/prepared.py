"""Statements that every write or recall runs: put into words once, not once a call.

SQLAlchemy spends several times what the database does on a small statement: building, looking up, wrapping
rows. A prepared one keeps the text its dialect compiles it to and the order of its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

Values = Mapping[str, object]
Parameters = tuple[object, ...] | Mapping[str, object]
MOST_ROWS = 64
"""Rows of one INSERT: a power of two, and so are smaller ones, for there to be few statements."""
Upsert = sqlite.Insert | postgresql.Insert

_INSERTS: Mapping[str, Callable[[Any], Upsert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Prepared:
    """A statement, or what makes one where dialects differ; compiled at its first use under each."""

    __slots__ = ("_columns", "_kept", "_make")

    def __init__(self, statement: ClauseElement, columns: tuple[str, ...] | None = None) -> None:
        """`columns` are those that an INSERT or UPDATE gives values for; None for any other statement."""
        self._make: Callable[[str], ClauseElement] = lambda _dialect: statement
        self._columns = columns
        self._kept: dict[str, tuple[str, Callable[[Values], Parameters]]] = {}

    @classmethod
    def adding(cls, table: Any, columns: tuple[str, ...], on_conflict: Callable[[Any], Upsert]) -> Prepared:
        """An INSERT that knows what to do with a row that is there: `on_conflict(insert) -> insert`."""
        made = cls.__new__(cls)
        made._make = lambda dialect: on_conflict(_INSERTS[dialect](table))
        made._columns = columns
        made._kept = {}
        return made

    def under(self, dialect: Dialect) -> tuple[str, Callable[[Values], Parameters]]:
        """Its text under a dialect, and what puts values into the shape its driver takes."""
        found = self._kept.get(dialect.name)
        if found is None:
            # Two threads may both compile it: the same twice.
            found = self._kept[dialect.name] = self._compiled(dialect)
        return found

    def many(self, dialect: Dialect, rows: Sequence[Values]) -> Iterator[tuple[str, Parameters]]:
        """An INSERT of several rows as few statements of up to MOST_ROWS: the fewer, the less for each."""
        sql, arranged = self.under(dialect)
        start, size = 0, MOST_ROWS
        while start < len(rows):
            while size > len(rows) - start:
                size //= 2
            some = rows[start : start + size]
            yield _repeated(sql, size), tuple(chain.from_iterable(map(arranged, some)))
            start += size

    def _compiled(self, dialect: Dialect) -> tuple[str, Callable[[Values], Parameters]]:
        compiled = self._make(dialect.name).compile(
            dialect=dialect,
            column_keys=None if self._columns is None else list(self._columns),
        )
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        order = compiled.positiontup  # type: ignore[attr-defined]
        return str(compiled), _arranged(constants, order)


@cache
def _repeated(sql: str, n: int) -> str:
    """An INSERT of one row as one of n."""
    row = sql[sql.index("VALUES (") + len("VALUES ") : sql.index("?)") + 2]
    return sql.replace(row, ", ".join([row] * n))


def _arranged(constants: Values, order: list[str] | None) -> Callable[[Values], Parameters]:
    if order is None:
        return (lambda values: {**constants, **values}) if constants else dict
    if not order:
        return lambda _values: ()
    if len(order) == 1:
        name = order[0]
        return lambda values: (values[name] if name in values else constants[name],)
    pick = itemgetter(*order)
    if not constants:
        return pick
    return lambda values: pick({**constants, **values})
