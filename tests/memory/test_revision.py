"""Merging, differences, restoring: nothing is overwritten, and everything can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput, Conflict, Denied, NotFound
from memory.types import Draft, Evidence, Item, NoteBody

Saying = Any


def note(text: str, **rest: Any) -> Draft:
    return Draft("tool_note", text, NoteBody(text, text), **rest)


def two_mugs(say: Saying) -> tuple[Item, Item]:
    seen = say.case("the mug is in cabinet 3", evidence=(Evidence("e1", 2),))
    also = say.case("you find the mug in cabinet 3", evidence=(Evidence("e2", 1), Evidence("e3", 1)))
    first, second = say.remember(seen, also)
    return first, second


def merge(say: Saying, parts: tuple[Item, ...], text: str = "mug: cabinet 3", **rest: Any) -> Item:
    ids = [part.id for part in parts]
    item: Item = say.memory.merge("home", ids, say.case(text), principal="eve", channel="operator", **rest)
    return item


def test_a_merge_takes_the_place_of_its_parts(say: Saying) -> None:
    """It has all their evidence and uses and the least of their trust; recall finds it alone."""
    first, second = two_mugs(say)
    weak = say.memory.edit("home", second.id, text="a mug in cabinet 3", principal="t", channel="tool")
    say.memory.reinforce(say.episode("e9", say.recall("mug cabinet 3")), principal="ada")
    merged = merge(say, (first, weak))
    assert merged.lineage.evidence == (Evidence("e1", 2), Evidence("e2", 1), Evidence("e3", 1))
    assert merged.lineage.items == (first.id, second.id)
    assert (merged.trust, merged.utility.n, merged.utility.reward_sum) == (2, 2, 2.0)
    parts = [say.memory.get("home", one.id) for one in (first, second)]
    assert [(part.status, part.superseded_by) for part in parts] == [("retired", merged.id)] * 2
    assert [hit.item.id for hit in say.recall("mug cabinet 3").hits] == [merged.id]
    assert say.memory.check() == ()


@pytest.mark.parametrize("by_part", [False, True])
def test_undoing_a_merge_brings_every_part_back(say: Saying, *, by_part: bool) -> None:
    """Whether its own row is undone or that of a part; the merged item is retired."""
    first, second = two_mugs(say)
    merged = merge(say, (first, second))
    rows = {entry.item: entry.seq for entry in say.memory.log("home")}
    undone = say.memory.undo("home", rows[first.id if by_part else merged.id], principal="ada")
    assert undone.id == (first.id if by_part else merged.id)
    assert say.memory.get("home", merged.id).status == "retired"
    for part in (first, second):
        now = say.memory.get("home", part.id)
        assert (now.status, now.superseded_by, now.text) == ("active", None, part.text)


def test_a_merge_is_not_undone_over_later_changes(say: Saying) -> None:
    """Neither of the merged item nor of a part."""
    first, second = two_mugs(say)
    merged = merge(say, (first, second))
    seq = next(entry.seq for entry in say.memory.log("home") if entry.item == merged.id)
    say.memory.edit("home", first.id, pinned=True, principal="ada", channel="user")
    with pytest.raises(Conflict, match="changed after the merge"):
        say.memory.undo("home", seq, principal="ada")
    assert say.memory.get("home", second.id).status == "retired"
    say.memory.edit("home", merged.id, pinned=True, principal="ada", channel="user")
    with pytest.raises(Conflict, match="changed again"):
        say.memory.undo("home", seq, principal="ada")


def test_what_cannot_be_merged_stays_apart(say: Saying) -> None:
    """One item, another kind or reach, a retired or changed one, and what is said already."""
    first, second = two_mugs(say)
    (other,) = say.memory.remember("home", [note("a kettle whistles")], principal="a", channel="user")
    (narrow,) = say.remember(say.case("the tray is here", family="maple 7"))
    with pytest.raises(BadInput, match="at least two different"):
        merge(say, (first, first))
    with pytest.raises(BadInput, match="another kind or reach"):
        merge(say, (first, other))
    with pytest.raises(BadInput, match="another kind or reach"):
        merge(say, (first, narrow))
    with pytest.raises(Conflict, match="at version 1, not 7"):
        merge(say, (first, second), expect_versions=(1, 7))
    (third,) = say.remember(say.case("an orange is on the table"))
    with pytest.raises(Conflict, match=f"{third.id!r} says that already"):
        merge(say, (first, second), third.text)
    say.memory.forget("home", second.id, principal="ada")
    with pytest.raises(Conflict, match="is retired"):
        merge(say, (first, second))
    assert say.memory.get("home", first.id) == first


def test_only_people_release_from_quarantine(say: Saying) -> None:
    """What an agent could release would be no quarantine."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "user"}
    say.memory.edit("home", item.id, status="quarantined", **change)
    with pytest.raises(Denied, match="quarantined"):
        say.memory.edit("home", item.id, status="active", principal="r", channel="reflection")
    assert say.memory.edit("home", item.id, status="active", **change).status == "active"
    assert [entry.op for entry in say.memory.history("home", item.id)] == ["add", "quarantine", "release"]


def test_an_item_can_be_given_an_end(say: Saying, clock: Any) -> None:
    """After which it is recalled no more; an end before its beginning is refused."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "user"}
    with pytest.raises(BadInput, match="not after valid_from"):
        say.memory.edit("home", item.id, valid_to=item.valid_from, **change)
    say.memory.edit("home", item.id, valid_to=clock.now + 10, **change)
    assert say.recall("mug").hits
    clock.now += 11
    assert say.recall("mug").hits == ()


def test_a_difference_names_the_fields(say: Saying) -> None:
    """Between any two versions, in either order; parts of the body by name."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "user"}
    say.memory.edit("home", item.id, pinned=True, **change)
    say.memory.edit("home", item.id, body=replace(item.body, lesson="look up"), **change)
    found = say.memory.diff("home", item.id, 1, 3)
    assert [(one.field, one.before, one.after) for one in found] == [
        ("body.lesson", "the mug is in cabinet 3", "look up"),
        ("pinned", False, True),
    ]
    assert [one.field for one in say.memory.diff("home", item.id, 3, 2)] == ["body.lesson"]
    assert say.memory.diff("home", item.id, 2, 2) == ()
    with pytest.raises(NotFound, match="no version 9"):
        say.memory.diff("home", item.id, 1, 9)


def test_a_namespace_is_restored_and_restored_back(say: Saying) -> None:
    """Edits are taken back, what came later is retired; the restore itself can be taken back."""
    first, second = two_mugs(say)
    seq = say.memory.log("home")[-1].seq
    say.memory.edit("home", first.id, text="the kettle is hot", principal="eve", channel="user")
    (later,) = say.remember(say.case("an orange is on the table"))
    merged = merge(say, (first, second))
    report = say.memory.restore("home", seq, principal="ada")
    assert set(report.changed) == {first.id, second.id}
    assert set(report.retired) == {later.id, merged.id}
    assert say.memory.get("home", first.id).text == first.text
    assert {hit.item.id for hit in say.recall("mug in cabinet 3").hits} == {first.id, second.id}
    back = say.memory.restore("home", report.undo_seq, principal="ada")
    assert set(back.changed) == {first.id, second.id, later.id, merged.id}
    assert say.memory.get("home", merged.id).status == "active"
    with pytest.raises(NotFound, match="no log position 99"):
        say.memory.restore("home", 99, principal="ada")


def _said(item: Item) -> Item:
    return replace(item, version=0, updated_at=0.0, author="", utility=type(item.utility)())


Act = tuple[str, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(["add", "edit", "retire", "merge", "reinforce", "undo"]), st.integers(0, 30)),
    max_size=12,
)


def _do(memory: Memory, act: Act, make_episode: Callable[..., Any]) -> None:
    """One random act; those that the state forbids do nothing."""
    what, n = act
    items = memory.items("home", limit=1000)
    who: Any = {"principal": "ada", "channel": "user"}
    if what == "add" or not items:
        memory.remember("home", [note(f"thing {n} is kept on shelf {n % 7}")], **who)
        return
    item = items[n % len(items)]
    try:
        if what == "edit":
            memory.edit("home", item.id, text=f"thing {n} was moved to box {n}", **who)
        elif what == "retire":
            memory.forget("home", item.id, principal="ada")
        elif what == "merge":
            parts = [item.id, items[(n + 1) % len(items)].id]
            memory.merge("home", parts, note(f"both of {n} are in crate {n}"), **who)
        elif what == "undo":
            memory.undo("home", memory.log("home")[-1].seq, principal="ada")
        else:
            memory.reinforce(make_episode(f"e{n}"), principal="ada")
    except (Conflict, BadInput):
        return


@settings(max_examples=25, deadline=None)
@given(before=ACTS, after=ACTS)
def test_restoring_is_exact(before: list[Act], after: list[Act]) -> None:
    """Whatever happened since, every item says what it said then; what came later is retired."""
    with (
        TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "m.db", encoder=HashEncoder(), clock=lambda: 1.0) as memory,
    ):
        from tests.memory.conftest import Say

        say = Say(memory)

        def episode(name: str) -> Any:
            return say.episode(name, say.recall("thing shelf"))

        for act in before:
            _do(memory, act, episode)
        log = memory.log("home")
        seq = log[-1].seq if log else 0
        then = {item.id: _said(item) for item in memory.items("home")}
        for act in after:
            _do(memory, act, episode)
        statistics = {item.id: item.utility for item in memory.items("home")}
        memory.restore("home", seq, principal="ada")
        now = {item.id: item for item in memory.items("home")}
        assert {id_: _said(now[id_]) for id_ in then} == then
        assert {item.status for id_, item in now.items() if id_ not in then} <= {"retired"}
        assert {id_: item.utility for id_, item in now.items()} == statistics
        assert memory.check() == ()
