"""Full text in both databases: FTS5 in SQLite, a tsvector under a GIN index in PostgreSQL.

Words come from `memory.words.searchable`: ASCII letters and digits alone, so neither tokeniser has a say.
"""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, column, false, select, table, text

from memory.store.prepared import Prepared
from memory.store.rows import ITEM, space_of
from memory.words import searchable

MAX_WORD = 255
"""Characters of a word that PostgreSQL indexes as it is (its own limit is 2 KB); others by their hash."""

_FTS = table("item_fts", column("key"), column("words"))
_ADD = {
    "sqlite": Prepared(text("INSERT INTO item_fts (rowid, space, words) VALUES (:key, :space, :words)")),
    "postgresql": Prepared(
        text(
            "INSERT INTO item_fts (key, words) VALUES (:key, array_to_tsvector(string_to_array(:words, ' ')))"
        )
    ),
}
_DROP = {
    "sqlite": Prepared(text("DELETE FROM item_fts WHERE rowid = :key")),
    "postgresql": Prepared(text("DELETE FROM item_fts WHERE key = :key")),
}


class Words:
    """How a database is told the words of items."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self.add, self.drop = _ADD[dialect], _DROP[dialect]

    def row(self, key: int, space: str, words: str) -> dict[str, object]:
        """What `add` takes for the searchable words of the item with that key; `drop` takes the key alone."""
        if self._dialect == "sqlite":
            return {"key": key, "space": space, "words": words}
        return {"key": key, "words": " ".join(_lexemes(space, words))}


def mentions(connection: Connection, namespace: str, words: str) -> ColumnElement[bool]:
    """Holds for items with all the words; each is quoted and of our own alphabet, so none is malformed."""
    wanted, space = searchable(words), space_of(namespace)
    if not wanted:
        return false()
    if connection.dialect.name == "sqlite":
        every = " AND ".join(f'"{word}"' for word in wanted.split())
        found = text("SELECT rowid FROM item_fts WHERE item_fts MATCH :match").columns(ITEM.c.key)
        return ITEM.c.key.in_(found.bindparams(match=f'space : "{space}" AND words : ({every})'))
    # Cast, not parsed: the lexemes are looked for as they are.
    match = " & ".join(f"'{word}'" for word in _lexemes(space, wanted))

    return ITEM.c.key.in_(
        select(_FTS.c.key).where(text("words @@ CAST(:match AS tsquery)").bindparams(match=match))
    )


def _lexemes(space: str, words: str) -> list[str]:
    found = [word if len(word) <= MAX_WORD else sha256(word.encode()).hexdigest() for word in words.split()]
    return [space, *found]
