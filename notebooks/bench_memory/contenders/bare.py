"""The floor under everybody: FAISS and SQLite with nothing round them.

`faiss-…` searches one index a namespace and reads the rows found from SQLite in one statement. `queue` is a
group commit that 64 threads wait for, of one row a write; `queue-same-rows` writes the rows that ours does.
`batch-64` and `batch-500` are one loop of `executemany` and commit.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread, local
from typing import Any

import faiss
import numpy as np
from material import DIM, Matrix, Question, Row

from memory.store.engine import Store
from memory.store.sqlite import WAL_PAGES, WRITER_KIB

INSERT = "INSERT INTO item (number, space, text, body, vector) VALUES (?, ?, ?, ?, ?)"
INDEXED_FROM = 10_000
"""Smaller namespaces are searched exactly, whatever the index."""
A_ROUND = 25_000
"""Most rows that a loop which waits for nobody may use up of those that are spare."""
GOOD = 0.96
"""Recall@10 of exact that probes or beam are doubled for: a little over what is asked of ours."""


class Table:
    """One table as our store would open it: WAL, every commit synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._near = local()
        self.lock = Lock()
        self.writer = self._connect()
        self.writer.execute(
            "CREATE TABLE IF NOT EXISTS item "
            "(number INTEGER PRIMARY KEY, space TEXT, text TEXT, body TEXT, vector BLOB)"
        )

    def insert(self, rows: Sequence[Row]) -> None:
        with self.writer:
            self.writer.executemany(INSERT, [_values(row) for row in rows])

    def read(self, numbers: Sequence[int]) -> list[Any]:
        if not hasattr(self._near, "connection"):
            self._near.connection = self._connect()
        marks = ",".join("?" * len(numbers))
        asked = f"SELECT number, text, body FROM item WHERE number IN ({marks})"
        return list(self._near.connection.execute(asked, numbers))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection


class OurTables(Table):
    """The tables of our store, and in them every row that ours writes; nothing is looked up or checked."""

    def __init__(self, path: Path) -> None:
        Store.open(path).close()
        self.writer = sqlite3.connect(path, check_same_thread=False, cached_statements=16)
        for pragma in ("synchronous=FULL", f"cache_size=-{WRITER_KIB}", f"wal_autocheckpoint={WAL_PAGES}"):
            self.writer.execute(f"PRAGMA {pragma}")
        self._statements = {
            name: self._insert(name, len(self.writer.execute(f"PRAGMA table_info({name})").fetchall()))
            for name in ("item", "log", "vector")
        }
        self._n = self.writer.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0]

    def insert(self, rows: Sequence[Row]) -> None:
        items, logs, vectors, words = [], [], [], []
        for seq, row in enumerate(rows, self._n + 1):
            number, space, text, body, vector = _values(row)
            id_, digest = f"{number:032x}", sha256(text.encode()).hexdigest()
            said = (text, digest, digest, body, None, "active", 1, "operator", 2, "bench")
            rest = (0.0, 0.0, 0.0, None, None, False, "{}", "{}", seq, None, digest[:32])
            items.append((seq, id_, space, "tool_note", "namespace", None, *said, *rest))
            logs.append((seq, 0.0, space, "bench", "add", id_, 1, "null", body, digest, digest, digest))
            vectors.append((space, "given", "item", digest, vector, seq))
            words.append((seq, space, text))
        self._n += len(rows)
        with self.writer:
            self.writer.executemany(self._statements["item"], items)
            self.writer.executemany(self._statements["log"], logs)
            self.writer.executemany(self._statements["vector"], vectors)
            self.writer.executemany("INSERT INTO item_fts (rowid, space, words) VALUES (?, ?, ?)", words)

    def _insert(self, name: str, n_columns: int) -> str:
        return f"INSERT INTO {name} VALUES ({', '.join('?' * n_columns)})"


class Faiss:
    """Searches and adds take turns, for FAISS crashes when they meet."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._table = Table(folder / "bare.db")
        self._lock = Lock()
        self._waiting: dict[str, list[Row]] = {}
        self._indexes: dict[str, Any] = {}
        for path in folder.glob("*.faiss"):
            self._indexes[path.stem] = faiss.read_index(str(path))

    def load(self, rows: Sequence[Row]) -> None:
        self._table.insert(rows)
        for row in rows:
            self._waiting.setdefault(row.space, []).append(row)

    def finish(self) -> None:
        for space, rows in self._waiting.items():
            matrix = np.stack([row.vector for row in rows])
            numbers = np.array([row.number for row in rows])
            self._indexes[space] = _built(self._kind, matrix, numbers)
            faiss.write_index(self._indexes[space], str(self._folder / f"{space}.faiss"))
        self._waiting = {}

    def ask(self, question: Question, k: int) -> list[int]:
        with self._lock:
            _, found = self._indexes[question.space].search(question.vector[None, :], k)
        numbers = [number for number in found[0].tolist() if number >= 0]
        self._table.read(numbers)
        return numbers

    serve = ask

    def write(self, row: Row) -> None:
        with self._lock:
            self._table.insert([row])
            self._indexes[row.space].add_with_ids(row.vector[None, :], np.array([row.number]))

    def close(self) -> None:
        self._table.writer.close()


class Queue:
    """Threads wait on futures; one thread commits whatever is waiting."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._jobs: SimpleQueue[tuple[Row, Future[None]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def load(self, rows: Sequence[Row]) -> None:
        self._table.insert(rows)

    def finish(self) -> None:
        """Every commit is all there is."""

    def write(self, row: Row) -> None:
        done: Future[None] = Future()
        self._jobs.put((row, done))
        done.result()

    def has(self, row: Row) -> bool:
        return bool(self._table.read([row.number]))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            try:
                while len(jobs) < 500 and (job := self._jobs.get_nowait()) is not None:
                    jobs.append(job)
            except Empty:
                pass
            self._table.insert([row for row, _ in jobs])
            for _, done in jobs:
                done.set_result(None)


class Batches:
    """Nobody waits: the most that SQLite takes in batches of this size."""

    def __init__(self, size: int, folder: Path) -> None:
        self._size = size
        self._table = Table(folder / "bare.db")

    def load(self, rows: Sequence[Row]) -> None:
        self._table.insert(rows)

    def finish(self) -> None:
        """Every commit is all there is."""

    def write_many(self, fresh: Callable[[], Row | None], until: float) -> list[int]:
        done: list[int] = []
        while time.perf_counter() < until and len(done) < A_ROUND:
            rows = [row for _ in range(self._size) if (row := fresh()) is not None]
            if not rows:
                break
            self._table.insert(rows)
            done += [row.number for row in rows]
        return done

    def close(self) -> None:
        self._table.writer.close()


def _built(kind: str, matrix: Matrix, numbers: Any) -> Any:
    if kind == "flat" or len(matrix) < INDEXED_FROM:
        return _with_numbers(faiss.IndexFlatIP(DIM), matrix, numbers)
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(DIM, 32, faiss.METRIC_INNER_PRODUCT)
        made = _with_numbers(graph, matrix, numbers)
        _tune(graph.search, graph.storage.search, matrix, lambda n: setattr(graph.hnsw, "efSearch", n), 16)
        return made
    n_lists = int(4 * np.sqrt(len(matrix)))
    lists = faiss.index_factory(DIM, f"IVF{n_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    random = np.random.default_rng(0)
    lists.train(matrix[random.choice(len(matrix), min(len(matrix), 40 * n_lists), replace=False)])
    lists.add_with_ids(matrix, numbers)
    exact = _with_numbers(faiss.IndexFlatIP(DIM), matrix, numbers)
    _tune(lists.search, exact.search, matrix, lambda n: setattr(lists, "nprobe", n), 1)
    return lists


def _with_numbers(index: Any, matrix: Matrix, numbers: Any) -> Any:
    named = faiss.IndexIDMap(index)
    named.add_with_ids(matrix, numbers)
    index.this.disown()
    named.own_fields = True
    return named


def _tune(
    search: Callable[..., Any],
    exact: Callable[..., Any],
    matrix: Matrix,
    set_effort: Callable[[int], None],
    effort: int,
) -> None:
    """The least effort, doubled from the first, that finds GOOD of the nearest ten of 400 near-copies."""
    random = np.random.default_rng(1)
    asked = matrix[random.choice(len(matrix), 400)]
    asked = asked + 0.4 / np.sqrt(DIM) * random.standard_normal(asked.shape, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    true = exact(asked, 10)[1]
    while effort <= 1024:
        set_effort(effort)
        found = search(asked, 10)[1]
        shared = [len(set(ours) & set(theirs)) for ours, theirs in zip(found, true, strict=True)]
        if sum(shared) >= GOOD * true.size:
            return
        effort *= 2


def _values(row: Row) -> tuple[int, str, str, str, bytes]:
    body = json.dumps({"subject": str(row.number), "note": row.text})
    return row.number, row.space, row.text, body, row.vector.tobytes()


CONTENDERS = {
    "faiss-flat": lambda folder: Faiss("flat", folder),
    "faiss-ivf": lambda folder: Faiss("ivf", folder),
    "faiss-hnsw": lambda folder: Faiss("hnsw", folder),
    "queue": lambda folder: Queue(Table(folder / "bare.db")),
    "queue-same-rows": lambda folder: Queue(OurTables(folder / "memory.db")),
    "batch-64": lambda folder: Batches(64, folder),
    "batch-500": lambda folder: Batches(500, folder),
}
