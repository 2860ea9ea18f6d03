"""The index on disk: read when whole, rebuilt and told when not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Query

Saying = Any


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index" / "memory.db"


@pytest.fixture
def saved(open_memory: Any, say_to: Any) -> Callable[..., None]:
    """Adds cases of a round in a fresh session that saves its index at the end."""

    def run(turn: int, namespace: str = "home") -> None:
        memory = open_memory()
        say = say_to(memory, namespace)
        say.remember(*(say.case(f"the mug of round {turn} is in cabinet {n}") for n in range(3)))
        memory.close()

    return run


def found(say: Saying) -> set[str]:
    return {hit.item.text for hit in say.recall("mug", k=50).hits}


def expected(*turns: int) -> set[str]:
    return {f"the mug of round {turn} is in cabinet {n}" for turn in turns for n in range(3)}


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_a_whole_snapshot_is_used(saved: Any, open_memory: Any, say_to: Any) -> None:
    """Together with what was written after it."""
    saved(1)
    memory = open_memory()
    assert (memory.stats().index, memory.stats().index_note) == ("snapshot", "")
    say = say_to(memory)
    assert found(say) == expected(1)
    say.remember(say.case("the mug stands on shelf 9"))
    assert found(say) == expected(1) | {"the mug stands on shelf 9"}
    assert memory.stats().applied_seq == memory.stats().log_seq


def test_a_crash_after_a_snapshot_loses_nothing(
    saved: Any, open_memory: Any, say_to: Any, tmp_path: Path
) -> None:
    """A database newer than its index: edits, retirements and additions are caught up."""
    saved(1)
    memory = open_memory()
    say = say_to(memory)
    first, second, _ = memory.items("home")
    memory.edit("home", first.id, text="the kettle is hot", principal="ada", channel="user")
    memory.forget("home", second.id, principal="ada")
    say.remember(say.case("the mug stands on shelf 9"))
    memory.backup(tmp_path / "crashed.db")
    (tmp_path / "index" / "memory.db").rename(tmp_path / "index" / "crashed.db")
    crashed = say_to(open_memory("crashed.db"))
    assert crashed.memory.stats().index == "snapshot"
    assert found(crashed) == {"the mug of round 1 is in cabinet 2", "the mug stands on shelf 9"}
    assert [hit.item.text for hit in crashed.recall("hot kettle").hits] == ["the kettle is hot"]


def test_two_snapshots_are_kept(saved: Any, folder: Path) -> None:
    """Older ones go, and no half-made folder stays."""
    for turn in range(4):
        saved(turn)
    assert snapshots(folder) == ["snapshot-00000003", "snapshot-00000004"]
    assert (folder / "CURRENT").read_text(encoding="utf-8") == "snapshot-00000004"


def test_nothing_new_makes_no_snapshot(saved: Any, open_memory: Any, say_to: Any, folder: Path) -> None:
    """Reading alone writes nothing."""
    saved(1)
    memory = open_memory()
    memory.close()
    assert snapshots(folder) == ["snapshot-00000001"]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [damage, cut_short, Path.unlink])
@pytest.mark.parametrize("name", ["0.faiss", "0.json", "manifest.json"])
def test_a_corrupt_snapshot_gives_way_to_the_one_before(
    saved: Any,
    open_memory: Any,
    say_to: Any,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    name: str,
) -> None:
    """Whatever is wrong with whichever file: everything is still found, and it is told."""
    saved(1)
    saved(2)
    harm(folder / "snapshot-00000002" / name)
    with caplog.at_level(logging.WARNING):
        memory = open_memory()
    assert memory.stats().index == "previous"
    assert "snapshot-00000002" in memory.stats().index_note
    assert any("snapshot-00000002" in record.message for record in caplog.records)
    assert found(say_to(memory)) == expected(1, 2)


def test_with_no_good_snapshot_the_index_is_rebuilt(
    saved: Any, open_memory: Any, say_to: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the database, and it is told."""
    saved(1)
    saved(2)
    for turn in (1, 2):
        damage(folder / f"snapshot-0000000{turn}" / "0.faiss")
    with caplog.at_level(logging.WARNING):
        memory = open_memory()
    assert memory.stats().index == "rebuilt"
    assert any("index rebuilt" in record.message for record in caplog.records)
    assert found(say_to(memory)) == expected(1, 2)


def test_a_pointer_to_nowhere_is_no_hindrance(
    saved: Any, open_memory: Any, say_to: Any, folder: Path
) -> None:
    """The newest folder that is whole is taken."""
    saved(1)
    (folder / "CURRENT").write_text("snapshot-00000099", encoding="utf-8")
    memory = open_memory()
    assert memory.stats().index == "previous"
    assert found(say_to(memory)) == expected(1)


def test_a_snapshot_of_another_encoder_is_not_used(saved: Any, open_memory: Any, say_to: Any) -> None:
    """Vectors of two generations are never compared."""
    saved(1)
    memory = open_memory(encoder=HashEncoder(64))
    assert memory.stats().index == "rebuilt"
    assert "hash-1024-1" in memory.stats().index_note
    assert {hit.score.dense for hit in say_to(memory).recall("mug cabinet").candidates} == {None}


def test_namespaces_that_were_not_used_are_carried_over(saved: Any, open_memory: Any, say_to: Any) -> None:
    """A session that touched one namespace saves the others' vectors as well."""
    saved(1, "home")
    saved(2, "away")
    memory = open_memory()
    assert memory.stats().index == "snapshot"
    assert found(say_to(memory, "home")) == expected(1)
    assert found(say_to(memory, "away")) == expected(2)


def test_recall_and_writes_at_once_are_safe_and_consistent(memory: Memory, say_to: Any) -> None:
    """Searches beside adds neither crash nor see a write behind or ahead of their own moment."""
    say = say_to(memory)
    say.remember(say.case("the mug is in cabinet 0"))
    stop = Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            recall = memory.recall(Query("home", "where is the mug", k=500), count_tokens=len)
            n_written = recall.log_seq
            if n_written <= 30 and len(recall.candidates) != n_written:
                wrong.append(f"{len(recall.candidates)} candidates at seq {n_written}")

    readers = [Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for n in range(1, 60):
        say.remember(say.case(f"the mug is in cabinet {n}"))
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
