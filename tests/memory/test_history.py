"""Edits, retirement, undo: nothing is overwritten, everything can be told and taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory.codec import from_json
from memory.errors import BadInput, Conflict, NotFound
from memory.types import Evidence, Item, Lineage, PrincipleBody

Saying = Any


def test_every_version_can_be_read_back(say: Saying, clock: Any) -> None:
    """The log holds each state before and after, who did it and when."""
    (first,) = say.remember(say.case("the mug is in cabinet 3"))
    clock.now = 1_050.0
    second = say.memory.edit("home", first.id, text="the mug is on shelf 2", principal="bob", channel="user")
    third = say.memory.forget("home", first.id, principal="eve")
    entries = say.memory.history("home", first.id)
    assert [(entry.op, entry.principal, entry.version) for entry in entries] == [
        ("add", "ada", 1),
        ("edit", "bob", 2),
        ("retire", "eve", 3),
    ]
    assert [from_json(Item, entry.after) for entry in entries] == [first, second, third]
    assert [entry.before for entry in entries[1:]] == [entry.after for entry in entries[:-1]]
    assert (second.updated_at, second.created_at, second.author) == (1_050.0, 1_000.0, "bob")


def test_an_edit_that_changes_nothing_writes_nothing(say: Saying) -> None:
    """The version stays."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    same = say.memory.edit("home", item.id, text=item.text, pinned=False, principal="ada", channel="user")
    assert same == item
    assert len(say.memory.history("home", item.id)) == 1


def test_an_edit_of_an_old_version_is_a_conflict(say: Saying) -> None:
    """So that two editors cannot overwrite each other unseen."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "user", "expect_version": 1}
    say.memory.edit("home", item.id, pinned=True, **change)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        say.memory.edit("home", item.id, pinned=False, **change)


def test_an_edit_is_checked_like_a_draft(say: Saying) -> None:
    """No secret and no foreign body comes in by the back door."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "operator"}
    with pytest.raises(BadInput, match="AWS Access Key"):
        say.memory.edit("home", item.id, text="AKIA" + "IOSFODNN7EXAMPLQ", **change)
    with pytest.raises(BadInput, match="needs a CaseBody"):
        say.memory.edit("home", item.id, body=PrincipleBody("global", "operator"), **change)
    with pytest.raises(NotFound, match="no item 'nobody'"):
        say.memory.edit("home", "nobody", text="x", **change)


def test_trust_never_rises_by_an_edit(say: Saying) -> None:
    """New words are trusted no more than who wrote them; a change of status says nothing about words."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    by_operator = say.memory.edit("home", item.id, text="mug: shelf 2", principal="o", channel="operator")
    by_tool = say.memory.edit("home", item.id, status="trial", principal="t", channel="tool")
    by_web = say.memory.edit("home", item.id, text="mug: oven", principal="w", channel="external")
    assert (by_operator.trust, by_tool.trust, by_web.trust) == (3, 3, 0)
    assert by_web.channel == "user"


def test_a_principle_is_reworded_only_with_new_evidence(say: Saying) -> None:
    """Unless a person does it."""
    seen = (Evidence("e1", 2),)
    (rule,) = say.remember(say.principle("open the fridge first", evidence=seen))
    change = {"text": "open the fridge before taking", "principal": "ada"}
    with pytest.raises(BadInput, match="only with new evidence"):
        say.memory.edit("home", rule.id, channel="reflection", **change)
    more = Lineage((*seen, Evidence("e2", 3)))
    edited = say.memory.edit("home", rule.id, channel="reflection", lineage=more, **change)
    assert edited.lineage == more
    assert say.memory.edit("home", rule.id, text="open it", principal="ada", channel="user").version == 3


def test_an_edit_can_be_undone(say: Saying) -> None:
    """The old words come back as a new version, with whose they were, and are found again."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.edit("home", item.id, text="the kettle is hot", principal="ada", channel="user")
    seq = say.memory.log("home")[-1].seq
    undone = say.memory.undo("home", seq, principal="bob")
    assert undone == replace(item, version=3)
    assert [hit.item for hit in say.recall("where is the mug").hits] == [undone]


def test_an_addition_is_undone_by_retiring(say: Saying) -> None:
    """And the retirement can be undone again."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    assert say.memory.undo("home", 1, principal="ada").status == "retired"
    assert say.recall("mug").hits == ()
    back = say.memory.undo("home", 2, principal="ada")
    assert (back.status, back.version) == ("active", 3)
    assert [hit.item.id for hit in say.recall("mug").hits] == [item.id]


def test_undo_keeps_what_was_learnt_meanwhile(say: Saying) -> None:
    """Statistics are not words: they stay as they are."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.edit("home", item.id, pinned=True, principal="ada", channel="user")
    say.memory.reinforce(say.episode("e1", say.recall("mug")), principal="ada")
    undone = say.memory.undo("home", 2, principal="ada")
    assert (undone.pinned, undone.utility.n) == (False, 1)


def test_only_the_last_change_of_an_item_can_be_undone(say: Saying) -> None:
    """Others say what is in the way, or that there is nothing to undo."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.edit("home", item.id, pinned=True, principal="ada", channel="user")
    say.memory.record(say.episode("e1"), principal="ada")
    with pytest.raises(Conflict, match="changed again at log entry 2"):
        say.memory.undo("home", 1, principal="ada")
    with pytest.raises(BadInput, match="log entry 3 is a 'episode'"):
        say.memory.undo("home", 3, principal="ada")
    with pytest.raises(NotFound, match="no log entry 99"):
        say.memory.undo("home", 99, principal="ada")


def test_forgetting_twice_is_once(say: Saying) -> None:
    """The second call changes nothing."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    retired = say.memory.forget("home", item.id, principal="ada")
    assert say.memory.forget("home", item.id, principal="ada") == retired
    assert len(say.memory.log("home")) == 2


def test_the_log_is_read_in_pages(say: Saying) -> None:
    """After a seq, at most so many."""
    say.remember(*(say.case(f"cabinet {n} is empty") for n in range(5)))
    assert [entry.seq for entry in say.memory.log("home", after=2, limit=2)] == [3, 4]
    assert say.memory.log("home", after=5) == ()
