"""One memory on a PostgreSQL server: several processes, an index by pgvector, a server that goes away.

That a full disk of the server is told as `DiskFull` is tested on the error alone: no test can fill that disk.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput, DiskFull, StoreError, StoreLocked
from memory.index.shared import SharedShelves
from memory.store.engine import Store
from memory.store.postgres import Postgres
from memory.types import Draft, NoteBody, Query, Recall

ROUNDS = 10
SECONDS = 1.0
WORDS = [f"word{n}" for n in range(50)]


@pytest.fixture
def url(postgres: Any) -> Iterator[str]:
    url = postgres.take()
    yield url
    postgres.give_back(url)


@pytest.fixture
def open_at(url: str) -> Iterator[Callable[..., Memory]]:
    opened: list[Memory] = []

    def open_(**rest: Any) -> Memory:
        opened.append(Memory.open(url, encoder=HashEncoder(64), **rest))
        return opened[-1]

    yield open_
    for memory in opened:
        memory.close()


class Child:
    """A replica in a process of its own."""

    def __init__(self, name: str, url: str, index: str) -> None:
        script = Path(__file__).with_name("replica.py")
        self.wrote: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(script), name, url, index],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def answer(self) -> Any:
        """The next answer; acknowledged writes on the way to it are noted."""
        assert self.process.stdout
        for line in self.process.stdout:
            said = json.loads(line)
            if not isinstance(said, dict) or "wrote" not in said:
                return said
            self.wrote.append(said["wrote"])
        return None

    def tell(self, *line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def ask(self, *line: str) -> Any:
        self.tell(*line)
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def children(url: str) -> Iterator[tuple[Child, Child]]:
    """Both begin on an empty database, one with an index of its own, the other with that of the database."""
    pair = Child("ada", url, "local"), Child("bob", url, "pgvector")
    for child in pair:
        assert child.answer() == "ready"
    yield pair
    for child in pair:
        child.end()


def note(text: str, **rest: Any) -> Draft:
    return Draft("tool_note", text, NoteBody("mug", text), **rest)


def test_two_processes_share_one_memory(
    children: tuple[Child, Child], open_at: Callable[..., Memory]
) -> None:
    """Each sees the other's write at its next recall; nothing is lost; one is killed, the other goes on."""
    ada, bob = children
    for n in range(ROUNDS):
        writer, reader = (ada, bob) if n % 2 else (bob, ada)
        text = f"plate {n} is in drawer {n}"
        assert writer.ask("write", text) in reader.ask("find", text)

    memory = open_at()
    (counter,) = memory.remember(
        "home",
        [replace(note("how many there are"), body=NoteBody("sum", "0"))],
        principal="x",
        channel="user",
    )
    for child in children:
        child.tell("churn", counter.id, str(SECONDS))
    told = [child.answer() for child in children]
    assert [one["writes"] for one in told] == [len(child.wrote) for child in children]
    body = memory.get("home", counter.id).body
    assert isinstance(body, NoteBody)
    assert int(body.note) == sum(one["bumps"] for one in told) > 0

    ada.tell("churn", counter.id, "60")
    bob.tell("churn", counter.id, str(SECONDS))
    while len(ada.wrote) < told[0]["writes"] + 5:
        ada.wrote.append(json.loads(ada.process.stdout.readline())["wrote"])  # type: ignore[union-attr]
    ada.process.kill()
    assert bob.answer()["writes"] > 0
    assert bob.ask("write", "a mug after that") in bob.ask("find", "a mug after that")

    for id_ in [*ada.wrote, *bob.wrote]:
        assert memory.get("home", id_).status == "active"
    entries = memory.log("home", limit=10_000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert memory.check() == ()


def test_several_open_a_new_database_at_once(url: str) -> None:
    """One makes the tables, the others wait for it."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(Store.open, [url] * 4))
    for store in stores:
        store.close()


# The index in the database


def recalled(memory: Memory, query: Query) -> list[tuple[object, ...]]:
    recall: Recall = memory.recall(query, count_tokens=len)
    return [(hit.item.id, hit.score, hit.fate) for hit in recall.candidates]


def test_pgvector_answers_as_the_index_in_memory_does(open_at: Callable[..., Memory]) -> None:
    """To the last bit, after additions, edits and removals, inside families and outside."""
    here, there = open_at(), open_at(index="pgvector")
    rng = random.Random(5)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(2, 9)))

    for namespace in ("home", "work"):
        families = [rng.choice([None, "maple"]) for _ in range(60)]
        drafts = [note(text(), scope="family" if one else "namespace", family=one) for one in families]
        here.remember(namespace, drafts, principal="ada", channel="user")
    items = here.items("home")
    for n in range(30):
        at = here.items("home", limit=1)[0].created_at + 1.0
        query = Query(rng.choice(["home", "work"]), text(), rng.choice([None, "maple"]), at=at)
        assert recalled(there, query) == recalled(here, query)
        writer = rng.choice([here, there])
        writer.edit("home", items[n].id, text=text(), principal="bob", channel="user")
        writer.forget("home", items[n + 30].id, principal="bob")
    assert there.check() == ()


def test_a_large_namespace_is_searched_by_its_graph(url: str, open_at: Callable[..., Memory]) -> None:
    """It is built beside all else, finds nearly all that comparing with each finds, filtered or not."""
    memory = open_at()
    rng = random.Random(6)
    texts = sorted({" ".join(rng.choices(WORDS, k=4)) for _ in range(600)})
    drafts = [note(text, scope="family", family=f"site {n % 30}") for n, text in enumerate(texts)]
    memory.remember("home", drafts, principal="ada", channel="user")
    memory.remember("home", [note(text + " too") for text in texts], principal="ada", channel="user")
    store, encoder = Store.open(url), HashEncoder(64)
    shelves = SharedShelves(store, encoder.generation, encoder.dim, large=100)
    try:
        asked = [Query("home", text, "site 3") for text in texts[:40]]
        before = [_nearest(shelves, query, encoder) for query in asked]
        for _, (thread, _) in [*shelves._building.items()]:
            thread.join()
        with psycopg.connect(url) as connection:
            graphs = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"
            assert connection.execute(graphs).fetchone() == (1,)
        after = [_nearest(shelves, query, encoder) for query in asked]
    finally:
        shelves.close()
        store.close()
    shared = sum(len(one & other) for one, other in zip(before, after, strict=True))
    assert shared >= 0.95 * sum(map(len, before))


def test_the_index_in_the_database_follows_while_much_is_written(
    url: str, open_at: Callable[..., Memory]
) -> None:
    """Unasked, once a stride is full."""
    memory = open_at()
    memory.remember("home", [note(f"mug {n}") for n in range(50)], principal="ada", channel="user")
    store, encoder = Store.open(url), HashEncoder(64)
    shelves = SharedShelves(store, encoder.generation, encoder.dim, stride=50)

    def is_level() -> bool:
        with store.read() as reader:
            return shelves._index.is_level(reader, "home")

    try:
        shelves.wrote("home", 49)
        assert shelves._following._thread is None
        assert not is_level()
        shelves.wrote("home", 1)
        for _ in range(1000):
            if is_level():
                break
            sleep(0.01)
        assert is_level()
    finally:
        shelves.close()
        store.close()


def _nearest(shelves: SharedShelves, query: Query, encoder: HashEncoder) -> set[str]:
    from memory.index.ask import Ask

    ask = Ask(encoder.encode([query.text])[0], "", ("tool_note",), query.reaches, 10)
    found = shelves.look("home", lambda index, _reader, _seq: index.search(ask).found)
    return {one.id for one in found}


def test_pgvector_needs_postgresql(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs PostgreSQL"):
        Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64), index="pgvector")


# A server that goes away


def test_connections_that_die_are_replaced(url: str, open_at: Callable[..., Memory]) -> None:
    """As when the server was restarted: the next read and the next write find it again."""
    memory = open_at()
    memory.remember("home", [note("before")], principal="ada", channel="user")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert len(memory.items("home")) == 1
    memory.remember("home", [note("after")], principal="ada", channel="user")
    assert [item.text for item in memory.items("home")] == ["before", "after"]
    assert memory.check() == ()


class Between:
    """Passes bytes between a client and the server, and can lose the answer to a COMMIT."""

    def __init__(self, url: str, folder: Path) -> None:
        self._server = url.rpartition("host=")[2] + "/.s.PGSQL.5432"
        self.url = url.rpartition("host=")[0] + f"host={folder}"
        self.loses_answers = False
        self.n_lost = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            Thread(target=self._pass, args=(client, server), daemon=True).start()
            Thread(target=self._pass, args=(server, client), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        # Either end may have hung up, at any moment: that is what this is for.
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                if self.loses_answers and b"COMMIT" in data and data[:1] in {b"Q", b"P"}:
                    self.loses_answers = False
                    self.n_lost += 1
                    source.shutdown(socket.SHUT_RDWR)
            target.shutdown(socket.SHUT_RDWR)


def test_a_commit_whose_answer_is_lost_counts_once(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server is asked what became of it; what was committed is not done again."""
    between = Between(url, tmp_path_factory.mktemp("s"))
    memory = Memory.open(between.url, encoder=HashEncoder(64))
    try:
        for n in range(3):
            between.loses_answers = True
            memory.remember("home", [note(f"cup {n}")], principal="ada", channel="user")
        assert between.n_lost == 3
        assert [item.text for item in memory.items("home")] == ["cup 0", "cup 1", "cup 2"]
        assert memory.stats().log_seq == 3
        assert memory.check() == ()
    finally:
        memory.close()


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as raised:
        Store.open(f"postgresql://ada:hunter2@/memory?host={tmp_path}")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("where", ["mysql://host/name", "no url", "sqlite:///memory.db"])
def test_other_databases_are_refused(where: str) -> None:
    with pytest.raises(BadInput, match="postgresql://"):
        Store.open(where)


def test_errors_of_the_server_are_translated(url: str) -> None:
    backend = Postgres.open(url)
    told = [
        (psycopg.errors.DiskFull("no space left on device"), DiskFull),
        (psycopg.errors.LockNotAvailable("lock timeout"), StoreLocked),
        (psycopg.errors.TooManyConnections("sorry"), StoreLocked),
        (psycopg.errors.UndefinedTable("no table"), StoreError),
        (psycopg.DataError("text fields cannot contain NUL"), BadInput),
    ]
    for error, expected in told:
        assert type(backend.translated(OperationalError("INSERT", {}, error))) is expected
    backend.close()


def test_readers_cannot_write_and_backups_are_postgresql_s(url: str, tmp_path: Path) -> None:
    store = Store.open(url)
    with pytest.raises(StoreError, match="takes no writes"), store.read() as reader:
        reader.connection.exec_driver_sql("DELETE FROM log")
    with pytest.raises(StoreError, match="pg_dump"):
        store.backup(tmp_path / "copy.db")
    store.close()


# To and from SQLite


def test_a_bundle_goes_to_postgresql_and_back(tmp_path: Path, open_at: Callable[..., Memory]) -> None:
    """Items, evidence, vectors and what recall makes of them are the same in both."""
    here, there = Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)), open_at()
    back = Memory.open(tmp_path / "back" / "memory.db", encoder=HashEncoder(64))
    try:
        rng = random.Random(7)
        drafts = [note(" ".join(rng.choices(WORDS, k=5)) + " café") for _ in range(40)]
        items = here.remember("home", drafts, principal="ada", channel="user")
        here.edit("home", items[3].id, text="another mug", principal="bob", channel="user")
        for n, (source, target) in enumerate([(here, there), (there, back)]):
            bundle = source.export("home", tmp_path / f"bundle{n}")
            target.import_("home", bundle, principal="root", channel="operator", vouched=True)
        at = items[0].created_at + 1.0
        query = Query("home", " ".join(WORDS[:4]), at=at)
        assert here.items("home") == there.items("home") == back.items("home")
        assert recalled(here, query) == recalled(there, query) == recalled(back, query)
        assert there.check() == back.check() == ()
    finally:
        here.close()
        back.close()
