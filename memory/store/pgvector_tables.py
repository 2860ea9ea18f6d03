"""The tables of an index kept in PostgreSQL, and how they follow the log.

It is derived, as the index in memory is: tables of a generation's own, with the log position they stand at.
The server does not log them: after a crash of its own they are empty and are filled again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from struct import pack
from typing import Any

import numpy as np
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Connection, text

from memory.entry import Entry, Vector
from memory.store.reader import Reader
from memory.store.rows import space_of
from memory.store.writer import Writer
from memory.words import content_words

ANYWHERE = "*"
"""Stands for a reach of None, which can be no part of a key."""
MAX_WORD = 255
"""Characters of a word that is kept as it is; others by their hash, for a GIN key has a limit."""
PAGE = 5_000
"""Entries filled in by one transaction; others write between two."""
PLAIN_DIM = 1_500
"""Vectors up to this many dimensions fit into their row."""
_WHERE = """SELECT quote_ident(n.nspname), t.oid FROM pg_extension AS e
    JOIN pg_namespace AS n ON n.oid = e.extnamespace
    JOIN pg_type AS t ON t.typnamespace = n.oid AND t.typname = 'vector' WHERE e.extname = 'vector'"""


class SharedTables:
    """The tables of one encoder generation of `dim` dimensions."""

    def __init__(self, encoder: str, dim: int) -> None:
        self._encoder = encoder
        self._dim = dim
        self._name = "shelf_" + sha256(f"{encoder}/{dim}".encode()).hexdigest()[:16]
        self._type = ""
        self._dumper: type[Dumper] | None = None

    def create(self, connection: Connection) -> None:
        """Make what is missing; inside the transaction of a writer."""
        name, dim = self._name, self._dim
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        schema, oid = connection.exec_driver_sql(_WHERE).one()
        # Qualified: our table of vectors is a type `vector` too.
        self._type, self._dumper = f"{schema}.vector({dim})", _dumping(oid)
        connection.exec_driver_sql(
            f"CREATE UNLOGGED TABLE IF NOT EXISTS {name} (space text, id text, kind text NOT NULL, "
            f"reach text NOT NULL, digest text NOT NULL, length int NOT NULL, words text[] NOT NULL, "
            f"embedding {self._type}, PRIMARY KEY (space, id))"
        )
        if dim <= PLAIN_DIM:
            connection.exec_driver_sql(f"ALTER TABLE {name} ALTER embedding SET STORAGE PLAIN")
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name}_words ON {name} USING gin (words)")
        connection.exec_driver_sql(
            f"CREATE UNLOGGED TABLE IF NOT EXISTS {name}_at "
            "(space text PRIMARY KEY, seq bigint NOT NULL, after bigint)"
        )
        connection.exec_driver_sql(
            f"CREATE UNLOGGED TABLE IF NOT EXISTS {name}_sum (space text, kind text, reach text, "
            "n bigint NOT NULL, length bigint NOT NULL, PRIMARY KEY (space, kind, reach))"
        )

    def is_level(self, reader: Reader, namespace: str) -> bool:
        """Does it hold what the reader sees?"""
        at = self._at(reader, namespace)
        head = reader.head(namespace)
        return head == 0 if at is None else at == (head, None)

    def level(self, writer: Writer, namespace: str) -> bool:
        """Go one step towards the present: a page of entries or of the log; True when it is reached."""
        at = self._at(writer, namespace)
        if at is None:
            at = (writer.head(namespace), 0)
        seq, after = at
        if after is not None:
            page = writer.entries(namespace, self._encoder, after=after, limit=PAGE)
            self._put(writer, namespace, [entry for _, entry in page])
            after = page[-1][0] if len(page) == PAGE else None
            writer.connection.exec_driver_sql(f"ANALYZE {self._name}")
        else:
            changes = writer.changes(namespace, seq, encoder=self._encoder, limit=PAGE)
            if changes.is_reencoded:
                self.purge(writer, namespace)
                return False
            self._apply(writer, namespace, changes.ids)
            seq = changes.seq
        self._move(writer, namespace, seq, after)
        return after is None and seq == writer.head(namespace)

    def purge(self, writer: Writer, namespace: str) -> None:
        """Forget a namespace; it is filled again when it is asked."""
        for table in (self._name, f"{self._name}_at", f"{self._name}_sum"):
            writer.connection.execute(
                text(f"DELETE FROM {table} WHERE space = :space"), {"space": space_of(namespace)}
            )

    def _at(self, reader: Reader, namespace: str) -> tuple[int, int | None] | None:
        query = text(f"SELECT seq, after FROM {self._name}_at WHERE space = :space")
        found = reader.connection.execute(query, {"space": space_of(namespace)}).first()
        return None if found is None else (found.seq, found.after)

    def _move(self, writer: Writer, namespace: str, seq: int, after: int | None) -> None:
        writer.connection.execute(
            text(
                f"INSERT INTO {self._name}_at VALUES (:space, :seq, :after) "
                "ON CONFLICT (space) DO UPDATE SET seq = excluded.seq, after = excluded.after"
            ),
            {"space": space_of(namespace), "seq": seq, "after": after},
        )

    def _apply(self, writer: Writer, namespace: str, ids: frozenset[str]) -> None:
        if not ids:
            return
        entries = writer.outlines(namespace, sorted(ids))
        vectors = writer.vectors(namespace, self._encoder, digests=[entry.digest for entry in entries])
        self._drop(writer, namespace, ids - {entry.id for entry in entries})
        self._put(writer, namespace, [replace(one, vector=vectors.get(one.digest)) for one in entries])

    def _put(self, writer: Writer, namespace: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._drop(writer, namespace, [entry.id for entry in entries])
        space = space_of(namespace)
        said = [[kept(word) for word in content_words(entry.text)] for entry in entries]
        raw: Any = writer.connection.connection.driver_connection
        raw.adapters.register_dumper(np.ndarray, self._dumper)
        raw.cursor().executemany(
            f"INSERT INTO {self._name} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                # The space among the words keeps other namespaces out of a search by words.
                (space, one.id, one.kind, _reach(one), one.digest, len(words), [*words, space], one.vector)
                for one, words in zip(entries, said, strict=True)
            ],
        )
        added = [(one.kind, _reach(one), len(words)) for one, words in zip(entries, said, strict=True)]
        self._count(writer, space, added, sign=1)

    def _drop(self, writer: Writer, namespace: str, ids: Iterable[str]) -> None:
        space = space_of(namespace)
        gone = writer.connection.execute(
            text(
                f"DELETE FROM {self._name} WHERE space = :space AND id = ANY(:ids) "
                "RETURNING kind, reach, length"
            ),
            {"space": space, "ids": list(ids)},
        )
        self._count(writer, space, [(row.kind, row.reach, row.length) for row in gone], sign=-1)

    def _count(self, writer: Writer, space: str, rows: Sequence[tuple[str, str, int]], sign: int) -> None:
        n, length = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for kind, reach, n_words in rows:
            n[kind, reach] += sign
            length[kind, reach] += sign * n_words
        if n:
            writer.connection.execute(
                text(
                    f"INSERT INTO {self._name}_sum AS s VALUES (:space, :kind, :reach, :n, :length) "
                    "ON CONFLICT (space, kind, reach) "
                    "DO UPDATE SET n = s.n + excluded.n, length = s.length + excluded.length"
                ),
                [
                    {"space": space, "kind": key[0], "reach": key[1], "n": n[key], "length": length[key]}
                    for key in sorted(n)
                ],
            )


def kept(word: str) -> str:
    """A word as it is kept."""
    return word if len(word) <= MAX_WORD else sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def _reach(entry: Entry) -> str:
    return ANYWHERE if entry.reach is None else entry.reach


def _dumping(type_oid: int) -> type[Dumper]:
    """What sends vectors to pgvector in its binary form: dimensions, two spare bytes, big-endian float32."""

    class VectorDumper(Dumper):
        format = Format.BINARY
        oid = type_oid

        def dump(self, obj: Vector) -> Buffer:
            return pack(">HH", len(obj), 0) + obj.astype(">f4").tobytes()

    return VectorDumper
