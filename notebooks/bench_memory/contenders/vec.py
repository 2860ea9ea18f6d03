"""sqlite-vec: exact search inside SQLite, the namespace its partition key; a connection for each reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock, local

import apsw
import sqlite_vec
from material import DIM, Question, Row

FIND = """
SELECT item.number, item.text FROM vec JOIN item ON item.number = vec.rowid
WHERE vec.embedding MATCH ? AND vec.k = ? AND vec.space = ? ORDER BY vec.distance
"""


class Vec:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "vec.db"
        self._near = local()
        self._lock = Lock()
        self._writer = self._connect()
        self._writer.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS vec USING vec0("
            f"space TEXT PARTITION KEY, embedding FLOAT[{DIM}] DISTANCE_METRIC=cosine)"
        )
        self._writer.execute("CREATE TABLE IF NOT EXISTS item (number INTEGER PRIMARY KEY, text TEXT)")

    def load(self, rows: Sequence[Row]) -> None:
        with self._lock, self._writer:
            values = [(row.number, row.space, row.vector.tobytes()) for row in rows]
            self._writer.executemany("INSERT INTO vec (rowid, space, embedding) VALUES (?, ?, ?)", values)
            self._writer.executemany(
                "INSERT INTO item VALUES (?, ?)", [(row.number, row.text) for row in rows]
            )

    def finish(self) -> None:
        """Every commit is all there is."""

    def ask(self, question: Question, k: int) -> list[int]:
        if not hasattr(self._near, "connection"):
            self._near.connection = self._connect()
        found = self._near.connection.execute(FIND, (question.vector.tobytes(), k, question.space))
        return [number for number, _ in found]

    serve = ask

    def write(self, row: Row) -> None:
        self.load([row])

    def has(self, row: Row) -> bool:
        return row.number in self.ask(Question(row.space, row.text, row.vector), 10)

    def close(self) -> None:
        self._writer.close()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(10_000)
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection


CONTENDERS = {"sqlite-vec": Vec}
