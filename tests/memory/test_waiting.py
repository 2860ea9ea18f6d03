"""Rows of new items wait for those of other operations: nothing may tell."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from memory.author import Author
from memory.encoder import HashEncoder
from memory.store import engine
from memory.store.engine import Store
from memory.store.rows import said_of
from memory.store.writer import Writer
from memory.types import Draft, Item, NoteBody
from memory.writing.merging import item_of_draft

AUTHOR = Author("home", "ada", "user", 1.0, HashEncoder().generation)


def note(name: str, text: str) -> Item:
    return item_of_draft(Draft("tool_note", text, NoteBody("lamp", "slow")), AUTHOR, name, 3)


def add(writer: Writer, item: Item) -> None:
    writer.add_item(item, HashEncoder().encode([item.text])[0], AUTHOR, "add")


def test_what_waits_is_found_and_counted(tmp_path: Path) -> None:
    """By the same words, by its twin key, by its id; in the counts."""
    store = Store.open(tmp_path / "memory.db")

    def run(writer: Writer) -> None:
        item = note("a", "the lamp is slow")
        add(writer, item)
        keys = said_of(item).keys
        assert writer.same("home", keys.dedupe, 1.0) == item
        assert [id_ for id_, _ in writer.twins("home", AUTHOR.encoder, keys.twin, 1.0, 9)] == ["a"]
        assert writer.same("elsewhere", keys.dedupe, 1.0) is None
        assert writer.tally("home").living == 1
        assert writer.item("home", "a") == item
        assert writer.same("home", keys.dedupe, 1.0) == item

    store.write(run)
    assert store.check() == ()
    store.close()


def test_what_is_taken_back_takes_nothing_else_along(tmp_path: Path) -> None:
    """Also when what waited from before was written in between."""
    store = Store.open(tmp_path / "memory.db")

    def run(writer: Writer) -> None:
        for name, is_settled, is_kept in (
            *(("a", False, True), ("b", True, False), ("c", False, False)),
            *(("d", True, True), ("e", False, False), ("f", False, True)),
        ):
            writer.begin()
            item = note(name, f"lamp {name}")
            add(writer, item)
            if is_settled:
                assert writer.find("home", name) == item
            if is_kept:
                writer.keep()
            else:
                writer.take_back()
                assert writer.same("home", said_of(item).keys.dedupe, 1.0) is None
        assert writer.tally("home").items == 3

    store.write(run)
    assert store.check() == ()
    with store.read() as reader:
        assert [entry.item for entry in reader.log("home", after=0, limit=None)] == ["a", "d", "f"]
        assert sorted(reader.items_by_id("home", list("abcdef"))) == ["a", "d", "f"]
    store.close()


def test_few_callers_after_a_crowd_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer waits a moment for the others to ask again, and no longer, however late it looks."""
    monkeypatch.setattr(engine, "PATIENCE_S", 1e-6)
    store = Store.open(tmp_path / "memory.db")

    def ask() -> None:
        for n in range(100):
            store._n_last = 64
            store.write(lambda writer, n=n: writer.append("ns", "ada", "dial", at=float(n)))  # type: ignore[misc]

    callers = [Thread(target=ask, daemon=True) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30.0)
    assert not any(caller.is_alive() for caller in callers)
    store.close()
