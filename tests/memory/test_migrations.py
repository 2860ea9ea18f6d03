"""A file of the first release, opened by this one: nothing is lost, and what is new is filled in."""

from __future__ import annotations

import lzma
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from memory.codec import dumps
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.entry import digest_of
from memory.errors import BadInput, Conflict, StoreError
from memory.nouns.questions import RANKER
from memory.store.engine import Store
from memory.store.postgres import SCHEMA
from memory.store.reader import Credit
from memory.types import CaseBody, Draft, Evidence, Lineage, NoteBody
from memory.writing.admission import twin_key

RELEASE = Path(__file__).parent / "data" / "release-0.1.db.xz"
"""Namespaces home and work: 32 items, 4 episodes, 78 rows of the log, an idempotency key in each."""
NAMESPACES = ("home", "work")

KILLED = """
import os, signal, sys
from sqlalchemy import create_engine
from memory.store.schema import migrate
import sqlite3
engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(sys.argv[1], isolation_level=None))
with engine.connect() as connection:
    connection.exec_driver_sql("PRAGMA cache_size=5")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    migrate(connection)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file, fresh."""
    target = tmp_path / "memory.db"
    target.write_bytes(lzma.decompress(RELEASE.read_bytes()))
    return target


@pytest.fixture
def old(path: Path) -> Iterator[Memory]:
    """A memory on it."""
    clock = count(1_800_000_000.0)
    with Memory.open(path, encoder=HashEncoder(64), clock=lambda: next(clock)) as memory:
        yield memory


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query says of a file that nobody has open."""
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(query).fetchall()


def test_everything_is_still_there(path: Path) -> None:
    """Items with their texts, bodies and statistics; episodes; the log, all as they were."""
    items = rows(path, "SELECT id, text, body, lineage, utility, status, version FROM item ORDER BY key")
    log = rows(path, 'SELECT seq, op, principal, "before", "after" FROM log ORDER BY seq')
    episodes = rows(path, "SELECT data FROM episode ORDER BY key")
    Store.open(path).close()
    assert (
        rows(path, "SELECT id, text, body, lineage, utility, status, version FROM item ORDER BY key") == items
    )
    assert rows(path, 'SELECT seq, op, principal, "before", "after" FROM log ORDER BY seq') == log
    assert rows(path, "SELECT data FROM episode ORDER BY key") == episodes
    assert (len(items), len(log), len(episodes)) == (32, 78, 4)


def test_the_file_is_sound(old: Memory) -> None:
    """The chain was hashed anew and holds; items are what the log says; counts are what counting finds."""
    assert old.check() == ()
    assert old.verify_log() is None
    assert (old.stats().items, old.stats().episodes, old.stats().log_seq) == (32, 4, 78)


def test_old_items_can_be_read_changed_and_brought_back(old: Memory) -> None:
    """A note on safety, from before safety had a body of its own, keeps its note."""
    for namespace in NAMESPACES:
        (safety,) = old.items(namespace, kind="safety")
        assert safety.body == NoteBody("drawer 14", "it bites")
        (principle,) = old.items(namespace, kind="principle")
        assert [entry.op for entry in old.history(namespace, principle.id)][:2] == ["add", "edit"]
        retired = old.items(namespace, status="retired")
        undone = old.undo(namespace, old.history(namespace, retired[0].id)[-1].seq, principal="owner")
        assert undone.status == "active"
        assert old.items(namespace, words="mug shelf")
    assert old.check() == ()


def test_recalls_of_the_first_release_say_why_they_are_not_replayed(old: Memory) -> None:
    """It ranked otherwise. Asked anew, at the same log position, the items of then are found."""
    for namespace in NAMESPACES:
        for episode in old.episodes(namespace):
            record = episode.recall
            assert record is not None
            with pytest.raises(BadInput, match="version 1"):
                old.replay(record, count_tokens=len)
            again = old.replay(replace(record, ranker=RANKER), count_tokens=len)
            versions = {(one.item, one.version) for one in record.items}
            assert versions <= {(hit.item.id, hit.item.version) for hit in again.candidates}


def test_an_old_request_is_answered_again(old: Memory) -> None:
    """Its key stands for the same drafts, though drafts have grown; other drafts are a conflict."""

    def case(i: int) -> Draft:
        task = f"put mug {i} on shelf {i + 1}"
        cause = None if i % 3 else "the drawer was locked"
        body = CaseBody(
            task, (f"take mug {i}", f"go to shelf {i + 1}"), f"mug {i} is in drawer {i}", cause, 3
        )
        lineage = Lineage((Evidence("e1", 1),))
        return Draft(
            *("case", task, body, "family", "maple 27"),
            outcome="success" if i % 3 else "failure",
            lineage=lineage,
        )

    request = {"principal": "agent", "channel": "reflection", "idempotency_key": "k1"}
    answered = old.remember("home", [case(i) for i in range(12)], **request)  # type: ignore[arg-type]
    assert [item.text for item in answered] == [f"put mug {i} on shelf {i + 1}" for i in range(12)]
    assert len(old.items("home")) == 16
    with pytest.raises(Conflict, match="'k1'"):
        old.remember("home", [case(3)], **request)  # type: ignore[arg-type]


def test_what_is_new_is_filled_in(path: Path, old: Memory) -> None:
    """Twins, parents and counts, as if this release had written the file."""
    items = [item for namespace in NAMESPACES for item in old.items(namespace)]
    old.close()
    assert dict(rows(path, "SELECT id, twin FROM item")) == {item.id: twin_key(item) for item in items}
    assert set(rows(path, "SELECT namespace, kind, parent, item FROM link")) == {
        (item.namespace, "episode", piece.episode, item.id)
        for item in items
        for piece in item.lineage.evidence
    }
    for namespace, n_items, n_living, n_episodes in rows(path, "SELECT * FROM tally"):
        living = [one for one in items if one.namespace == namespace and one.status in {"active", "trial"}]
        assert (n_items, n_living, n_episodes) == (16, len(living), 2)


def test_old_credits_are_of_no_coin(path: Path, old: Memory) -> None:
    """They were shown for certain, at their episode's place in the log; a word on one makes no lift of it."""
    given = rows(path, "SELECT episode, item, shown, place, reward FROM credit ORDER BY 1, 2")
    assert len(given) > 0
    assert set(rows(path, "SELECT propensity, centre, test FROM credit")) == {(1.0, 0.5, 0)}
    assert rows(path, "SELECT count(*) FROM credit JOIN episode USING (namespace, seq)") == [(len(given),)]
    item = str(rows(path, "SELECT item FROM credit WHERE namespace = 'home'")[0][0])
    old.feedback("home", "e1", principal="ada", reward=0.75)
    found = old.get("home", item).utility
    assert (found.n, found.reward_sum, found.lift) == (2, 0.75, None)
    assert old.check() == ()


def test_old_episodes_know_what_they_asked(path: Path, old: Memory) -> None:
    """By the digest its vector was kept under; their steps come with the next word on them."""
    asked = {
        episode.id: None if episode.recall is None else digest_of(episode.recall.query.text)
        for episode in old.episodes("home")
    }
    assert any(asked.values())
    assert dict(rows(path, "SELECT id, question FROM episode WHERE namespace = 'home'")) == asked
    assert rows(path, "SELECT count(*) FROM step") == [(0,)]
    assert old.check() == ()


def test_credits_on_a_server_are_kept_as_well(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same step on PostgreSQL, from the schema before it."""
    url = postgres.take()
    with psycopg.connect(url) as raw:
        # Another test may have used it, and left it at the newest schema.
        raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    with monkeypatch.context() as before:
        before.setattr("memory.store.schema.HEAD", "0002")
        Store.open(url).close()
    with psycopg.connect(url) as raw:
        raw.execute(f"INSERT INTO {SCHEMA}.credit VALUES ('home', 'e1', 'i1', true, 1, 0.5)")
        raw.execute(
            f"INSERT INTO {SCHEMA}.episode (id, namespace, task_id, family, outcome, data, seq) "
            "VALUES ('e1', 'home', 't', 'f', 'success', '{}', 7)"
        )
    with closing(Store.open(url)) as store, store.read() as reader:
        assert reader.credits("home", "e1") == {"i1": Credit("i1", True, 1, 0.5, seq=7)}
    postgres.give_back(url)


def test_old_duplicates_are_still_found(old: Memory) -> None:
    """Word for word, and nearly."""
    (known,) = old.items("home", kind="tool_note")
    same = Draft("tool_note", "The lamp answers slowly!", known.body)
    near = Draft("tool_note", "the lamp slowly answers", known.body)
    answered = old.remember("home", [same, near], principal="ada", channel="user")
    assert answered[0] == known


@pytest.mark.parametrize("change", ["principal = 'eve'", "\"after\" = '{}'", "at = at + 1"])
def test_a_log_that_was_tampered_with_is_not_hashed_anew(path: Path, change: str) -> None:
    """New hashes would hide it; the file stays as it was for the release that wrote it."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"UPDATE log SET {change} WHERE seq = 7")
        raw.commit()
    with pytest.raises(StoreError, match="at or before seq 7: the file is left as it is"):
        Store.open(path)
    assert rows(path, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert "twin" not in {name for _, name, *_ in rows(path, "PRAGMA table_info(item)")}


def test_a_migration_that_is_killed_never_happened(path: Path) -> None:
    """The old file is whole; the next start migrates it."""
    before = rows(path, "SELECT * FROM log") + rows(path, "SELECT * FROM item")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL
    assert rows(path, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert rows(path, "SELECT * FROM log") + rows(path, "SELECT * FROM item") == before
    store = Store.open(path)
    assert store.check() == ()
    store.close()


def test_what_both_releases_say_is_spelt_alike(old: Memory) -> None:
    """Rows are compared and hashed as text: this release writes an old item as the old one did."""
    for namespace in NAMESPACES:
        for entry in old.log(namespace):
            if entry.op == "add" and isinstance(entry.after, dict):
                item = next(one for one in old.items(namespace) if one.id == entry.item)
                kept = {name: value for name, value in entry.after.items() if name in {"body", "lineage"}}
                if item.version == 1:
                    assert dumps(kept) == dumps({"body": item.body, "lineage": item.lineage})
