"""Is what is on disk whole, and is the index the same as it? Asked through the façade and past it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

from memory.core import Memory
from memory.entry import RECALLABLE, digest_of, reach_of
from memory.types import Item
from tests.memory.workloads import ask

Rows = dict[str, list[tuple[object, ...]]]


def rows_of(path: Path) -> Rows:
    """Every row of a closed database by table; full text is asked through its own search instead."""
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    found = {
        name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
        for (name,) in names
        if not name.startswith(("item_fts", "sqlite_"))
    }
    connection.close()
    return found


def state_of(path: Path) -> str:
    """Equal for closed databases that hold the same."""
    return sha256(repr(rows_of(path)).encode()).hexdigest()


def namespaces(path: Path) -> list[str]:
    """All that an open or closed database has items of; SQLite itself reads it."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT DISTINCT namespace FROM item ORDER BY 1").fetchall()
    connection.close()
    return [name for (name,) in found]


def unsound(memory: Memory, names: list[str]) -> list[str]:
    """What is wrong with an open memory: its log, its full text, its index."""
    problems = [*memory.check()]
    if (seq := memory.verify_log()) is not None:
        problems.append(f"the chain is broken at {seq}")
    for name in names:
        items = memory.items(name, limit=10_000)
        problems += [
            f"full text misses {item.text!r}" for item in items if item not in _by_words(memory, item)
        ]
        reaches = {reach_of(item.scope, item.family, item.audience) for item in items}
        living = {item.id for item in items if item.status in RECALLABLE and is_for_all(item)}
        recall = memory.recall(ask(memory, "mug cabinet", name, k=10_000), count_tokens=len)
        found = {hit.item.id for hit in recall.candidates if hit.item.namespace == name}
        if reaches and found != living:
            problems.append(f"the index of {name!r} differs from the database in {sorted(found ^ living)}")
    return problems


def is_for_all(item: Item) -> bool:
    """May a question without family, run or team find it?"""
    return reach_of(item.scope, item.family, item.audience) is None


def _by_words(memory: Memory, item: Item) -> tuple[Item, ...]:
    return memory.items(item.namespace, words=item.text, limit=10_000)


def half_there(path: Path) -> list[str]:
    """Rows of a closed database that lack what was to be written with them."""
    rows = rows_of(path)
    connection = sqlite3.connect(path)
    items = connection.execute("SELECT namespace, id, text, seq, version FROM item").fetchall()
    vectors = set(
        connection.execute("SELECT namespace, digest FROM vector WHERE purpose = 'item'").fetchall()
    )
    logged = set(connection.execute("SELECT namespace, item, version FROM log").fetchall())
    episodes = connection.execute("SELECT namespace, id, seq FROM episode").fetchall()
    ops = dict(connection.execute("SELECT seq, op FROM log").fetchall())
    connection.close()
    problems = [
        f"{id_} has no vector" for name, id_, text, *_ in items if (name, digest_of(text)) not in vectors
    ]
    problems += [
        f"{id_}@{v} is not in the log" for name, id_, _, _, v in items if (name, id_, v) not in logged
    ]
    problems += [f"item {id_} is ahead of the log" for _, id_, _, seq, _ in items if seq not in ops]
    problems += [f"episode {id_} is not in the log" for _, id_, seq in episodes if ops.get(seq) != "episode"]
    kept = {(name, id_) for name, id_, _ in episodes}
    problems += [f"a credit of no episode: {row}" for row in rows["credit"] if row[:2] not in kept]
    return problems


def uncredited(memory: Memory, path: Path, name: str) -> list[str]:
    """Items whose statistics are not the sum of what episodes gave them."""
    connection = sqlite3.connect(path)
    given: dict[str, list[float]] = defaultdict(list)
    for item, reward in connection.execute(
        "SELECT item, reward FROM credit WHERE namespace = ? AND shown", [name]
    ):
        given[item].append(reward)
    connection.close()
    return [
        f"{item.id} has {item.utility.n} uses, its credits are {given[item.id]}"
        for item in memory.items(name, limit=10_000)
        if item.utility.n != len(given[item.id]) or abs(item.utility.reward_sum - sum(given[item.id])) > 1e-9
    ]
