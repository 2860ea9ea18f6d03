"""An index kept in PostgreSQL: vectors under pgvector, words as arrays under GIN; one for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

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
    ) -> tuple[list[Row], list[int]]:
        """The `n` best by BM25 (`memory.index.bm25`), and how many of those it may see have each word."""
        if not words or not corpus[0]:
            return [], [0] * len(words)
        places = range(len(words))
        counted = ", ".join(f"count(*) FILTER (WHERE c{i} > 0) AS d{i}" for i in places)
        score = " + ".join(
            f"ln(1 + (CAST(:total AS float8) - d{i} + 0.5) / (d{i} + 0.5)) * c{i} * 2.2 "
            f"/ (c{i} + 1.2 * (0.25 + 0.75 * length / CAST(:mean AS float8)))"
            for i in places
        )
        rows = reader.connection.execute(
            text(
                f"WITH hit AS MATERIALIZED (SELECT {self._columns(words)} FROM {self._name} "
                "WHERE words && CAST(:words AS text[]) AND words @> ARRAY[:space] AND space = :space "
                f"AND kind = ANY(:kinds) AND reach = ANY(:reaches)), df AS (SELECT {counted} FROM hit) "
                # Rounded: how sums are ordered must not part equal scores.
                f'SELECT * FROM hit, df ORDER BY round(CAST({score} AS numeric), 9) DESC, id COLLATE "C" '
                "LIMIT :n"
            ),
            scope.values | _asked(words) | {"total": corpus[0], "mean": corpus[1] / corpus[0], "n": n},
        ).all()
        holding = list(rows[0][3 + len(words) :]) if rows else [0] * len(words)
        return [_row(row, len(words)) for row in rows], holding

    def rows(self, reader: Reader, namespace: str, ids: Sequence[str], words: Sequence[str]) -> list[Row]:
        """Items by id."""
        found = reader.connection.execute(
            text(f"SELECT {self._columns(words)} FROM {self._name} WHERE space = :space AND id = ANY(:ids)"),
            _asked(words) | {"space": space_of(namespace), "ids": list(ids)},
        )
        return [_row(row, len(words)) for row in found]

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

    def _columns(self, words: Sequence[str]) -> str:
        counts = (f"cardinality(array_positions(words, :w{i})) AS c{i}" for i in range(len(words)))
        return ", ".join(["id", "digest", "length", *counts])


def _asked(words: Sequence[str]) -> dict[str, object]:
    asked = [kept(word) for word in words]
    return {"words": asked, **{f"w{i}": word for i, word in enumerate(asked)}}


def _first(connection: psycopg.Connection, query: LiteralString, value: str) -> bool:
    row = connection.execute(query, (value,)).fetchone()
    return bool(row and row[0])


def _row(row: Any, n_words: int) -> Row:
    return Row(row[0], row[1], row[2], tuple(row[3 : 3 + n_words]))


def _literal(vector: Vector) -> str:
    return "[" + ",".join(map(repr, vector.astype(float).tolist())) + "]"
