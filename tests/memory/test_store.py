"""The database: durable, grouped, single-owner, migrated, checked."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import memory.store.migrations
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput, DiskFull, StoreError, StoreLocked
from memory.store.engine import Store
from memory.store.schema import HEAD
from memory.store.tables import Base
from memory.store.writer import Writer

ROOT = Path(__file__).parents[2]


def logged(writer: Writer, op: str) -> int:
    return writer.append("home", "ada", op, at=1.0)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Killed at random points with four writers at work, nothing acknowledged is lost; the log chains."""
    path = tmp_path / "memory.db"
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for turn in range(4):
        command = [
            sys.executable,
            str(Path(__file__).with_name("writer_to_be_killed.py")),
            str(path),
            str(turn),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            wanted = chance.randint(3, 120)
            lines = [process.stdout.readline().strip() for _ in range(wanted)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.read().split("\n")[:-1]
        acknowledged.update(lines)
    with Memory.open(path, encoder=HashEncoder(64)) as memory:
        kept = {item.id for item in memory.items("home", limit=10_000)}
        assert acknowledged <= kept
        assert len(acknowledged) > 10
        assert memory.check() == ()


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    """The message names the file, its owner and what to do."""
    path = tmp_path / "memory.db"
    script = (
        "import sys; from pathlib import Path; from memory.store.engine import Store\n"
        "store = Store.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"memory.db' is in use by process {process.pid}; stop it"):
            Store.open(path)
        process.kill()
    Store.open(path).close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Closing twice is fine; using it afterwards is not."""
    store = Store.open(tmp_path / "memory.db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.write(lambda writer: logged(writer, "add"))
    with pytest.raises(StoreError, match="is closed"), store.read():
        pass


def test_many_threads_share_commits_and_get_their_own_answers(tmp_path: Path) -> None:
    """Every operation gets its result; seqs are dense; a failing one harms nobody."""
    store = Store.open(tmp_path / "memory.db")
    start = Barrier(16)
    answers: dict[tuple[int, int], int | str] = {}
    committed: list[int] = []

    def work(thread: int) -> None:
        start.wait()
        for n in range(20):
            try:
                answers[thread, n] = store.write(partial(operation, thread=thread, n=n))
            except BadInput as error:
                answers[thread, n] = str(error)

    def operation(writer: Writer, thread: int, n: int) -> int:
        with store.read() as reader:
            committed.append(reader.head("home"))
        seq = logged(writer, f"{thread}-{n}")
        if n % 5 == 4:
            raise BadInput(f"{thread}-{n} fails after it wrote")
        return seq

    threads = [Thread(target=work, args=(thread,)) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as reader:
        log = reader.log("home", after=0, limit=None)
        assert reader.first_broken() is None
    assert [entry.seq for entry in log] == list(range(1, 16 * 16 + 1))
    for entry in log:
        thread, n = entry.op.split("-")
        assert answers[int(thread), int(n)] == entry.seq
    failed = [answer for answer in answers.values() if isinstance(answer, str)]
    assert len(failed) == 16 * 4
    # As many different states of the disk were seen as there were commits.
    assert len(set(committed)) < len(committed) == 16 * 20
    store.close()


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, say_to: Callable[..., Any]) -> None:
    """Writes fail with DiskFull until there is space; everything acknowledged before stays readable."""
    path = tmp_path / "memory.db"
    memory = Memory.open(path, encoder=HashEncoder(), max_pages=120)
    say = say_to(memory)
    kept: list[str] = []

    def fill() -> None:
        for n in range(10_000):
            kept.extend(item.id for item in say.remember(say.case(f"cabinet {n} holds " + "x" * 500)))

    with pytest.raises(DiskFull, match="nothing acknowledged was lost"):
        fill()
    assert [item.id for item in memory.items("home", limit=10_000)] == kept
    assert say.recall("cabinet 3").hits
    memory.close()
    with Memory.open(path, encoder=HashEncoder()) as wider:
        assert say_to(wider).remember(say.case("there is room again"))
        assert wider.check() == ()


def test_a_full_disk_fails_only_those_it_stops(tmp_path: Path) -> None:
    """In one group a small write still succeeds beside one that is too large."""
    store = Store.open(tmp_path / "memory.db", max_pages=120)
    inside, gate = Barrier(2), Barrier(2)

    def wait(writer: Writer) -> None:
        if writer.head("home") == 0:
            inside.wait()
            gate.wait()
        logged(writer, "first")

    outcomes: dict[str, object] = {}

    def attempt(name: str, size: int) -> None:
        try:
            outcomes[name] = store.write(
                lambda writer: writer.append("home", "ada", name, at=1.0, after="x" * size)
            )
        except DiskFull as error:
            outcomes[name] = error

    threads = [Thread(target=store.write, args=(wait,))]
    threads[0].start()
    inside.wait()
    threads += [Thread(target=attempt, args=job) for job in (("small", 10), ("huge", 10**7), ("late", 10))]
    for thread in threads[1:]:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join()
    assert isinstance(outcomes["huge"], DiskFull)
    assert isinstance(outcomes["small"], int)
    assert isinstance(outcomes["late"], int)
    with store.read() as reader:
        assert {entry.op for entry in reader.log("home", after=0, limit=None)} == {"first", "small", "late"}
    store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """And the lock is let go, so that the right file can be put there."""
    path = tmp_path / "memory.db"
    path.write_text("this is not a database, but it is long enough to look at" * 100, encoding="utf-8")
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            Store.open(path)


def test_an_empty_file_gets_the_newest_schema(tmp_path: Path) -> None:
    """Migrations from nothing lead to exactly what the models say; the shipped head is the newest file."""
    path = tmp_path / "memory.db"
    Store.open(path).close()
    Store.open(path).close()

    def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return not (kind == "table" and str(name).startswith("item_fts"))

    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(Path(memory.store.migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An old program does not guess at a file of the future."""
    path = tmp_path / "memory.db"
    Store.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreError, match="schema '9999'"):
        Store.open(path)


def test_the_file_is_written_ahead_and_synced_in_full(tmp_path: Path) -> None:
    """The two settings that make an acknowledgement true."""
    store = Store.open(tmp_path / "memory.db")

    def settings(writer: Writer) -> tuple[str, int]:
        connection = writer._connection
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return mode, connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    assert store.write(settings) == ("wal", 2)
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET principal = 'eve' WHERE seq = 3",
        "UPDATE log SET after = '{}' WHERE seq = 3",
        "UPDATE log SET at = at + 1 WHERE seq = 3",
        "DELETE FROM log WHERE seq = 3",
        "DELETE FROM log WHERE seq >= 3",
        "UPDATE log SET hash = (SELECT hash FROM log WHERE seq = 2) WHERE seq = 3",
    ],
)
def test_tampering_with_the_log_is_found(tmp_path: Path, say_to: Callable[..., Any], change: str) -> None:
    """A changed, removed or cut-off row is named by its position."""
    path = tmp_path / "memory.db"
    with Memory.open(path, encoder=HashEncoder()) as memory:
        say = say_to(memory)
        for n in range(5):
            say.remember(say.case(f"the mug is in cabinet {n}"))
        assert memory.verify_log() is None
    with sqlite3.connect(path) as raw:
        raw.execute(change)
    raw.close()
    with Memory.open(path, encoder=HashEncoder()) as memory:
        assert memory.verify_log() == 3
        assert memory.check() == ("the log was changed at or before seq 3",)


def test_a_row_that_strays_from_the_log_is_found(tmp_path: Path, say_to: Callable[..., Any]) -> None:
    """An item changed behind the log's back, or without its words, is named by the check."""
    path = tmp_path / "memory.db"
    with Memory.open(path, encoder=HashEncoder()) as memory:
        say = say_to(memory)
        first, second = say.remember(say.case("the mug is in cabinet 3"), say.case("cabinet 4 is empty"))
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE item SET trust = 4 WHERE id = ?", (first.id,))
        raw.execute("DELETE FROM item_fts WHERE rowid = (SELECT key FROM item WHERE id = ?)", (second.id,))
    raw.close()
    with Memory.open(path, encoder=HashEncoder()) as memory:
        assert memory.check() == (
            "2 items have 1 full-text rows",
            f"item {first.id!r} is not what the log says",
        )


def test_items_are_read_by_key_and_checked_by_id(tmp_path: Path, say_to: Callable[..., Any]) -> None:
    """A key that is another's, of another namespace, nobody's or unknown: the id decides all the same."""
    memory = Memory.open(tmp_path / "memory.db", encoder=HashEncoder())
    say = say_to(memory)
    mug, plate = say.remember(say.case("the mug is in cabinet 3"), say.case("the plate is in cabinet 3"))
    with memory._store.read() as reader:
        keys = {entry.id: entry.key for entry in reader.outlines(mug.namespace)}
        assert len(set(keys.values())) == 2
        assert all(keys.values())
        both = {mug.id: mug, plate.id: plate}
        assert reader.items_found(mug.namespace, keys) == both
        assert reader.items_found(mug.namespace, {mug.id: keys[plate.id], plate.id: 999}) == both
        assert reader.items_found(mug.namespace, {**keys, mug.id: 0}) == both
        assert reader.items_found(mug.namespace, {"nobody": keys[mug.id]}) == {}
        assert reader.items_found("elsewhere", keys) == {}
    memory.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    """Only the writer's connection may; a checkpoint can then never race it."""
    store = Store.open(tmp_path / "memory.db")
    with pytest.raises(StoreError, match="readonly"), store.read() as reader:
        Writer(reader._connection).append("home", "ada", "add", at=1.0)
    store.close()


def test_a_backup_is_a_whole_memory(tmp_path: Path, say_to: Callable[..., Any]) -> None:
    """Taken while the original is open and in use."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as memory:
        say = say_to(memory)
        (item,) = say.remember(say.case("the mug is in cabinet 3"))
        memory.backup(tmp_path / "copy.db")
    with Memory.open(tmp_path / "copy.db", encoder=HashEncoder()) as copy:
        assert copy.get("home", item.id) == item
        assert copy.check() == ()


def test_the_affected_sqlite_versions_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A version with the WAL-reset bug is told once at the opening; a fixed one is silent."""
    with caplog.at_level(logging.WARNING):
        Store.open(tmp_path / "memory.db").close()
    told = [record for record in caplog.records if "write-ahead log" in record.message]
    is_affected = (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3)
    assert len(told) == int(is_affected)
