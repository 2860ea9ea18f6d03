"""Full text in both databases: FTS5 in SQLite, a tsvector under a GIN index in PostgreSQL.

Words come from `memory.words.searchable`: ASCII letters and digits alone, so neither tokeniser has a say.
"""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, column, false, select, table, text

from memory.store.rows import ITEM, space_of
from memory.words import searchable

MAX_WORD = 255
"""Characters of a word that PostgreSQL indexes as it is (its own limit is 2 KB); others by their hash."""

_FTS = table("item_fts", column("key"), column("words"))
_ADD = {
    "sqlite": text("INSERT INTO item_fts (rowid, space, words) VALUES (:key, :space, :words)"),
    "postgresql": text(
        "INSERT INTO item_fts (key, words) VALUES (:key, array_to_tsvector(string_to_array(:words, ' ')))"
    ),
}
_DROP = {
    "sqlite": text("DELETE FROM item_fts WHERE rowid = :key"),
    "postgresql": text("DELETE FROM item_fts WHERE key = :key"),
}


def add_words(connection: Connection, key: int, namespace: str, of: str) -> None:
    """Make the text of the item with that key findable."""
    name, space, words = connection.dialect.name, space_of(namespace), searchable(of)
    if name == "sqlite":
        connection.execute(_ADD[name], {"key": key, "space": space, "words": words})
    else:
        connection.execute(_ADD[name], {"key": key, "words": " ".join(_lexemes(space, words))})


def drop_words(connection: Connection, key: int) -> None:
    """The other way."""
    connection.execute(_DROP[connection.dialect.name], {"key": key})


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
