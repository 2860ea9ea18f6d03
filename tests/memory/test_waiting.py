"""Rows of new items wait for those of other operations: nothing may tell."""

from __future__ import annotations

from pathlib import Path

from memory.author import Author
from memory.encoder import HashEncoder
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
