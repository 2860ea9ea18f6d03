"""What can be wrong with a database, and how it is found."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select, text

from memory.entry import RECALLABLE
from memory.store.reader import Reader, Tally
from memory.store.rows import EPISODE, FIELDS, ITEM, item_of


def problems(reader: Reader, connection: Connection) -> tuple[str, ...]:
    """Everything found; empty when all is well. Reads the whole database."""
    found: list[str] = []
    if connection.dialect.name == "sqlite":
        lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        found = [str(line) for line in lines if line != "ok"]
    words = connection.execute(text("SELECT count(*) FROM item_fts")).scalar_one()
    items = connection.execute(select(func.count()).select_from(ITEM)).scalar_one()
    if words != items:
        found.append(f"{items} items have {words} full-text rows")
    broken = reader.first_broken()
    if broken is not None:
        return (*found, f"the log was changed at or before seq {broken}")
    found.extend(_miscounted(reader, connection))
    for namespace in connection.execute(select(ITEM.c.namespace).distinct()).scalars().all():
        strayed = _strayed(reader, connection, namespace)
        found.extend(f"item {id_!r} is not what the log says" for id_ in strayed)
    return tuple(found)


def _miscounted(reader: Reader, connection: Connection) -> list[str]:
    """Namespaces whose kept counts are not what counting finds."""
    living = func.sum(case((ITEM.c.status.in_(sorted(RECALLABLE)), 1), else_=0))
    items = connection.execute(select(ITEM.c.namespace, func.count(), living).group_by(ITEM.c.namespace))
    episodes = connection.execute(select(EPISODE.c.namespace, func.count()).group_by(EPISODE.c.namespace))
    held = {namespace: (count, alive) for namespace, count, alive in items}
    told = {row[0]: row[1] for row in episodes}
    kept = reader.tallies()
    found = {
        namespace: Tally(*held.get(namespace, (0, 0)), told.get(namespace, 0))
        for namespace in held.keys() | told.keys() | kept.keys()
    }
    return [
        f"namespace {namespace!r} holds {counted}, not {kept.get(namespace)}"
        for namespace, counted in sorted(found.items())
        if counted != kept.get(namespace)
    ]


def _strayed(reader: Reader, connection: Connection, namespace: str) -> list[str]:
    logged = reader.items_as_of(namespace, reader.head(namespace))
    rows = connection.execute(select(*FIELDS).where(ITEM.c.namespace == namespace))
    found = {row.id: item_of(row) for row in rows}
    return sorted(id_ for id_ in logged.keys() | found.keys() if logged.get(id_) != found.get(id_))
