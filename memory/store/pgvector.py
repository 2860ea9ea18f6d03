"""An index kept in PostgreSQL: vectors under pgvector, words as arrays under GIN; one for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from sqlalchemy import text

from memory.entry import Vector
from memory.store.pgvector_tables import ANYWHERE, SharedTables, kept
from memory.store.reader import Reader
from memory.store.rows import space_of
from memory.types import ItemKind

EF_SEARCH = 100
"""Breadth of a search through the graph; pgvector's default of 40 finds too little."""
BUILD_MEMORY = "512MB"
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
_SAYING = """
WITH hit AS MATERIALIZED (
    SELECT id, length, word, count(*) AS c FROM :table, unnest(words) AS word
    WHERE words && CAST(:words AS text[]) AND words @> ARRAY[:space] AND space = :space
        AND kind = ANY(:kinds) AND reach = ANY(:reaches) AND word = ANY(CAST(:words AS text[]))
    GROUP BY id, length, word
), df AS MATERIALIZED (
    SELECT word, count(*) AS d, ln(1 + (CAST(:n AS float8) - count(*) + 0.5) / (count(*) + 0.5)) AS idf
    FROM hit GROUP BY word
), scored AS (
    SELECT id, sum(idf * c * 2.2 / (c + 1.2 * (0.25 + 0.75 * length / CAST(:mean AS float8)))) AS score
    FROM hit JOIN df USING (word) GROUP BY id
), best AS (
    -- Rounded: the order of a sum must not part equal scores.
    SELECT id FROM scored ORDER BY round(score * 1e9) DESC, id COLLATE "C" LIMIT :most
)
SELECT id, CAST(NULL AS bigint) FROM best UNION ALL SELECT word, d FROM df"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question may see of a namespace."""

    namespace: str
    kinds: tuple[ItemKind, ...]
    reaches: frozenset[str]

    @property
    def values(self) -> dict[str, object]:
        """As parameters."""
        return {
            "space": space_of(self.namespace),
            "kinds": list(self.kinds),
            "reaches": [ANYWHERE, *sorted(self.reaches)],
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One item of the index, with how often it has each word that was asked for."""

    id: str
    digest: str
    length: int
    counts: tuple[int, ...]


class SharedIndex(SharedTables):
    """What is asked of them."""

    def corpus(self, reader: Reader, scope: Scope) -> tuple[int, int]:
        """How many items the question may see, and how many words they have together."""
        found = reader.connection.execute(
            text(
                f"SELECT coalesce(sum(n), 0), coalesce(sum(length), 0) FROM {self._name}_sum "
                "WHERE space = :space AND kind = ANY(:kinds) AND reach = ANY(:reaches)"
            ),
            scope.values,
        ).one()
        return int(found[0]), int(found[1])

    def near(self, reader: Reader, scope: Scope, vector: Vector, n: int, *, by_graph: bool) -> list[str]:
        """Ids of the `n` nearest by inner product, nearest first; nearly so by the graph."""
        space, distance = scope.values["space"], f"embedding <#> CAST(:vector AS {self._type})"
        if by_graph:
            distance = self._half("embedding") + f" <#> CAST(:vector AS halfvec({self._dim}))"
            for setting in (f"hnsw.ef_search = {max(EF_SEARCH, n)}", "hnsw.iterative_scan = strict_order"):
                reader.connection.exec_driver_sql(f"SET LOCAL {setting}")
        rows = reader.connection.execute(
            # The space stands in the text, or the planner could not tell that its own graph will do.
            text(
                f"SELECT id FROM {self._name} WHERE space = '{space}' AND kind = ANY(:kinds) "
                f"AND reach = ANY(:reaches) AND embedding IS NOT NULL ORDER BY {distance} LIMIT :n"
            ),
            scope.values | {"vector": _literal(vector), "n": n},
        )
        return list(rows.scalars())

    def saying(
        self, reader: Reader, scope: Scope, words: Sequence[str], corpus: tuple[int, int], n: int
    ) -> tuple[list[str], dict[str, int]]:
        """Ids of the `n` best by BM25 (`memory.index.bm25`), and how many items in scope have each word."""
        if not words or not corpus[0]:
            return [], {}
        asked = {"words": [kept(word) for word in words], "most": n}
        rows = reader.connection.execute(
            text(_SAYING.replace(":table", self._name)),
            scope.values | asked | {"n": corpus[0], "mean": corpus[1] / corpus[0]},
        ).all()
        holding = {row[0]: int(row[1]) for row in rows if row[1] is not None}
        return [row[0] for row in rows if row[1] is None], {one: holding.get(kept(one), 0) for one in words}

    def rows(self, reader: Reader, namespace: str, ids: Sequence[str], words: Sequence[str]) -> list[Row]:
        """Items by id."""
        counts = (f"cardinality(array_positions(words, :w{place}))" for place in range(len(words)))
        columns = ", ".join(["id", "digest", "length", *counts])
        found = reader.connection.execute(
            text(f"SELECT {columns} FROM {self._name} WHERE space = :space AND id = ANY(:ids)"),
            {"space": space_of(namespace), "ids": list(ids)}
            | {f"w{place}": kept(word) for place, word in enumerate(words)},
        )
        return [Row(row[0], row[1], row[2], tuple(row[3:])) for row in found]

    # The graph of a large namespace

    def has_graph(self, reader: Reader, namespace: str) -> bool:
        """Is there one that was built to the end?"""
        found = reader.connection.execute(text(_IS_VALID), {"name": self._graph(namespace)}).scalar()
        return bool(found)

    def build_graph(self, connection: psycopg.Connection, namespace: str) -> None:
        """Build it while others write; `connection` commits by itself. One left half built goes first.

        Does nothing when another process is at it, or was.
        """
        name, space = self._graph(namespace), space_of(namespace)
        if not _first(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", name):
            return
        if _first(connection, _IS_VALID.replace(":name", "%s"), name):
            return
        connection.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'".encode())
        connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
        connection.execute(
            f"CREATE INDEX CONCURRENTLY {name} ON {self._name} "
            f"USING hnsw (({self._half('embedding')}) halfvec_ip_ops) WHERE space = '{space}'".encode()
        )

    def _graph(self, namespace: str) -> str:
        return f"{self._name}_{space_of(namespace)}"

    def _half(self, column: str) -> str:
        # Half precision halves the graph; the nearest are scored again by whole vectors.
        return f"CAST({column} AS halfvec({self._dim}))"


def _first(connection: psycopg.Connection, query: LiteralString, value: str) -> bool:
    row = connection.execute(query, (value,)).fetchone()
    return bool(row and row[0])


def _literal(vector: Vector) -> str:
    return "[" + ",".join(map(repr, vector.astype(float).tolist())) + "]"
