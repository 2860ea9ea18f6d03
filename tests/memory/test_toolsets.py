"""The tools that a model was shown are kept with its episodes: a set once, gone when none was shown it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory.core import Memory
from memory.types import Episode, ToolSpec
from memory.writing.credit import More
from memory.writing.forgetting import Root

Saying = Any
LOOK = ToolSpec("look", "Look at a thing.", {"type": "object", "properties": {"at": {"type": "string"}}})
TAKE = ToolSpec("take", "Take a thing.", {"type": "object", "properties": {}})


def shown(say: Saying, id_: str, *tools: ToolSpec) -> Episode:
    episode: Episode = replace(say.episode(id_, outcome="unknown"), tools=tools)
    say.memory.record(episode, principal="ada")
    return episode


def sets(memory: Memory) -> list[str]:
    with memory._store.read() as reader:
        found = reader.connection.exec_driver_sql("SELECT data FROM toolset").scalars()
        return [str(data) for data in found]


def test_episodes_are_read_as_they_were_recorded_and_share_their_tools(say: Saying) -> None:
    """One, a page of them, and after a reopening; equal sets are one row."""
    told = [
        shown(say, "e1", LOOK, TAKE),
        shown(say, "e2", LOOK, TAKE),
        shown(say, "e3", LOOK),
        shown(say, "e4"),
    ]
    assert [say.memory.episode("home", one.id) for one in told] == told
    assert list(say.memory.episodes("home")) == told
    assert len(sets(say.memory)) == 2


def test_what_is_shown_on_the_way_is_shown_too(say: Saying) -> None:
    """In the order of first showing; a tool that changes is as it was shown last; the old set goes."""
    shown(say, "e1", LOOK, TAKE)
    newer = replace(LOOK, description="Look closely.")
    give = replace(TAKE, name="give")
    kept = say.memory.extend("home", "e1", lambda _: More((), tools=(give, newer)), principal="ada")
    assert kept.tools == (newer, TAKE, give)
    assert say.memory.episode("home", "e1") == kept
    assert len(sets(say.memory)) == 1


def test_secrets_in_a_tool_are_not_kept(say: Saying) -> None:
    """Neither in its description nor among its parameters."""
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    leaky = ToolSpec("pay", f"Pays with {secret}.", {"type": "object", "default": {"key": secret}})
    shown(say, "e1", leaky)
    (kept,) = say.memory.episode("home", "e1").tools
    assert kept.name == "pay"
    assert secret not in "".join(sets(say.memory))


def test_erased_words_leave_the_tools_that_quote_them(say: Saying) -> None:
    """Of an episode that is erased, nothing is left; of others' tools all but the words."""
    word = "Umbrellastreet once"
    (item,) = say.memory.remember("home", [say.case(word)], principal="eve", channel="user")
    shown(say, "e1", replace(TAKE, description=f"Goes to {word}."))
    shown(say, "e2", LOOK)
    say.memory.erase("home", Root("item", item.id), principal="o")
    assert "Umbrellastreet" not in "".join(sets(say.memory))
    assert say.memory.episode("home", "e1").tools[0].name == "take"
    say.memory.erase("home", Root("episode", "e2"), principal="o")
    assert say.memory.episode("home", "e2").tools == ()
    assert len(sets(say.memory)) == 1
    assert say.memory.check() == ()


def test_tools_travel(say: Saying, open_memory: Callable[..., Memory], tmp_path: Path) -> None:
    """By bundle into another memory, and in a copy of the file."""
    told = shown(say, "e1", LOOK)
    say.memory.export("home", tmp_path / "bundle")
    there = open_memory("there.db")
    there.import_("home", tmp_path / "bundle", principal="o", channel="operator")
    assert there.episode("home", "e1").tools == told.tools
    say.memory.backup(tmp_path / "copy.db")
    assert open_memory("copy.db").episode("home", "e1") == told
