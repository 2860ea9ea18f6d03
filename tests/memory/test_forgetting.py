"""Forgetting follows lineage to its end; erasing leaves no word of it anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory.errors import BadInput, NotFound
from memory.types import (
    Draft,
    Evidence,
    Item,
    Lineage,
    Message,
    NoteBody,
    PrincipleBody,
    ProcedureBody,
)
from memory.writing.forgetting import Cascade, Root

Saying = Any


def note(text: str, *, source: str | None = None, made_of: tuple[Item, ...] = ()) -> Draft:
    lineage = Lineage(items=tuple(item.id for item in made_of), source=source)
    return Draft("tool_note", text, NoteBody("house", text), lineage=lineage)


def chain(say: Saying) -> tuple[Item, Item, Item]:
    """A case from episode e1, a procedure from the case, a principle from the procedure and from e2."""
    (case,) = say.remember(say.case("the mug is in cabinet 3", evidence=(Evidence("e1", 0),)))
    body = ProcedureBody("mugs", "look", (), ("go to cabinet 3", "take mug"))
    (procedure,) = say.remember(
        Draft("procedure", "how to find mugs", body, lineage=Lineage(items=(case.id,)))
    )
    seen = (Evidence("e1", 0), Evidence("e1", 1), Evidence("e2", 0))
    rule = PrincipleBody("global", "neural", support=2, violations=2, against=seen)
    lineage = Lineage((Evidence("e1", 0), Evidence("e2", 0)), (procedure.id,))
    (principle,) = say.remember(Draft("principle", "look before you leap", rule, lineage=lineage))
    return case, procedure, principle


def fates(cascade: Cascade) -> dict[str, str]:
    return {fallen.item: fallen.fate for fallen in cascade.items}


def test_a_cascade_follows_lineage_to_its_end(say: Saying) -> None:
    """Case and procedure fall with their episode; the principle keeps its other evidence alone."""
    for name in ("e1", "e2"):
        say.memory.record(say.episode(name), principal="ada")
    case, procedure, principle = chain(say)
    dry = say.memory.forget_all("home", Root("episode", "e1"), principal="o", dry_run=True)
    assert say.memory.get("home", case.id) == case
    report = say.memory.forget_all("home", Root("episode", "e1"), principal="o")
    assert report == dry
    assert fates(report) == {case.id: "retired", procedure.id: "retired", principle.id: "trimmed"}
    assert report.episodes == ("e1",)
    trimmed = say.memory.get("home", principle.id)
    assert trimmed.lineage == Lineage((Evidence("e2", 0),))
    assert (trimmed.status, trimmed.version, trimmed.body.support) == ("active", 2, 1)
    assert (trimmed.body.violations, trimmed.body.against) == (1, (Evidence("e2", 0),))
    assert say.memory.get("home", procedure.id).status == "retired"
    say.memory.forget_all("home", Root("episode", "e2"), principal="o")
    assert say.memory.get("home", principle.id).status == "retired"
    assert say.memory.check() == ()


def test_a_forgotten_episode_teaches_nothing(say: Saying) -> None:
    """What it gave to items is taken back; feedback or recording it again changes nothing."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    episode = say.episode("e1", say.recall("mug"))
    say.memory.record(episode, principal="ada")
    say.memory.reinforce(episode, principal="ada")
    assert say.memory.get("home", item.id).utility.n == 1
    report = say.memory.forget_all("home", Root("episode", "e1"), principal="o")
    assert (report.items, report.credits) == ((), 1)
    say.memory.record(
        replace(episode, messages=(*episode.messages, Message("user", "more"))), principal="ada"
    )
    say.memory.feedback("home", "e1", reward=0.5, principal="ada")
    say.memory.reinforce(episode, principal="ada")
    kept = say.memory.episode("home", "e1")
    assert (kept.forgotten, kept.outcome) == ("episode 'e1' was forgotten", "success")
    assert kept.messages == episode.messages
    assert say.memory.get("home", item.id).utility.n == 0


def test_nothing_more_is_learned_from_a_forgotten_episode(say: Saying) -> None:
    """A reflection that comes late is refused; a person may still say so."""
    say.memory.record(say.episode("e1"), principal="ada")
    say.memory.forget_all("home", Root("episode", "e1"), principal="o")
    late = say.case("the mug is in cabinet 3", evidence=(Evidence("e1", 0),))
    with pytest.raises(BadInput, match="may teach nothing any more: episode 'e1' was forgotten"):
        say.memory.remember("home", [late], principal="r", channel="reflection")
    assert say.memory.remember("home", [late], principal="ada", channel="user")


def test_what_stands_for_a_fallen_item_is_quarantined(say: Saying) -> None:
    """A merged item may speak in the words of the part that fell; the other part's evidence stays with it."""
    first, second = say.remember(
        say.case("the mug is in cabinet 3", evidence=(Evidence("e1", 0),)),
        say.case("find the mug in cabinet 3", evidence=(Evidence("e2", 0),)),
    )
    say.memory.record(say.episode("e1"), principal="ada")
    merged = say.memory.merge(
        "home", [first.id, second.id], say.case("mug: cabinet 3"), principal="o", channel="operator"
    )
    report = say.memory.forget_all("home", Root("episode", "e1"), principal="o")
    assert fates(report) == {first.id: "retired", merged.id: "quarantined"}
    now = say.memory.get("home", merged.id)
    assert (now.status, now.lineage.items, now.lineage.evidence) == (
        "quarantined",
        (second.id,),
        (Evidence("e2", 0),),
    )
    assert say.recall("mug").hits == ()


def test_a_principal_is_forgotten_with_what_they_reworded(say: Saying) -> None:
    """Their items and episodes fall; an item of another that they reworded is quarantined."""
    memory = say.memory
    (mine,) = memory.remember("home", [note("the kettle whistles")], principal="eve", channel="user")
    (other,) = say.remember(say.case("an orange is on the table"))
    (pinned,) = say.remember(say.case("the mug is in cabinet 3"))
    memory.edit("home", other.id, text="an apple is on the table", principal="eve", channel="user")
    memory.edit("home", pinned.id, pinned=True, principal="eve", channel="user")
    memory.record(say.episode("e1"), principal="eve")
    report = memory.forget_all("home", Root("principal", "eve"), principal="o")
    assert fates(report) == {mine.id: "retired", other.id: "quarantined"}
    assert report.episodes == ("e1",)


def test_revoking_a_source_reaches_who_was_shown_it(say: Saying) -> None:
    """An episode that had it in its prompt may not teach, and what was learned there falls."""
    (poison,) = say.memory.remember(
        "home", [note("press the red button first", source="doc-7")], principal="w", channel="external"
    )
    recall = say.recall("press the red button first", kinds=("tool_note",))
    assert [hit.item.id for hit in recall.hits] == [poison.id]
    say.memory.record(say.episode("e1", recall), principal="ada")
    (learned,) = say.remember(say.case("buttons come first", evidence=(Evidence("e1", 0),)))
    (derived,) = say.remember(note("a red button exists", made_of=(poison,)))
    narrow = say.memory.forget_all("home", Root("source", "doc-7"), principal="o", dry_run=True)
    assert fates(narrow) == {poison.id: "retired", derived.id: "retired"}
    assert narrow.episodes == ()
    report = say.memory.revoke("home", "doc-7", principal="o")
    assert fates(report) == {poison.id: "retired", derived.id: "retired", learned.id: "retired"}
    assert report.episodes == ("e1",)
    assert say.memory.episode("home", "e1").forgotten == "source 'doc-7' was forgotten"


def test_what_was_forgotten_can_be_restored(say: Saying) -> None:
    """Items alone: episodes stay forgotten."""
    say.memory.record(say.episode("e1"), principal="ada")
    case, procedure, principle = chain(say)
    seq = say.memory.log("home")[-1].seq
    say.memory.forget_all("home", Root("namespace", "home"), principal="o")
    assert {item.status for item in say.memory.items("home")} == {"retired"}
    say.memory.restore("home", seq, principal="o")
    back = [say.memory.get("home", item.id) for item in (case, procedure, principle)]
    assert [item.lineage for item in back] == [case.lineage, procedure.lineage, principle.lineage]
    assert {item.status for item in back} == {"active"}
    assert say.memory.episode("home", "e1").forgotten is not None


@pytest.mark.parametrize("kind", ["item", "episode", "principal", "source"])
def test_nothing_of_that_name_is_told(say: Saying, kind: Any) -> None:
    """Neither a silent success nor another namespace's thing."""
    (item,) = say.memory.remember(
        "work", [note("the kettle whistles", source="s")], principal="p", channel="user"
    )
    name = {"item": item.id, "principal": "p", "source": "s"}.get(kind, "e1")
    with pytest.raises(NotFound):
        say.memory.forget_all("home", Root(kind, name), principal="o")
    assert say.memory.get("work", item.id) == item


SECRET = "Zanzibar Quixotic lives at Umbrellastreet"
WORDS = ("Zanzibar", "Quixotic", "Umbrellastreet", "zanzibar", "quixotic", "umbrellastreet")


def fill(say: Saying) -> Item:
    """A case with a past, an episode it came from, one that quotes it, feedback and a key that name it."""
    memory = say.memory
    said = replace(say.episode("e1"), messages=(Message("user", f"remember: {SECRET}!"),))
    memory.record(said, principal="eve")
    memory.feedback("home", "e1", values={"comment": f"yes, {SECRET}"}, principal="eve")
    draft = say.case(f"{SECRET} once", evidence=(Evidence("e1", 0),), lesson=f"visit: {SECRET}")
    (item,) = memory.remember("home", [draft], principal="eve", channel="user", idempotency_key="k")
    item = memory.edit("home", item.id, text=f"{SECRET} now", principal="eve", channel="user")
    say.remember(say.case("the kettle whistles when hot"), say.case("an orange is on the table"))
    recall = say.recall(f"{SECRET} now")
    assert recall.hits[0].item.id == item.id
    quoting = replace(
        say.episode("e2", recall), messages=(Message("user", f"it says: {SECRET} now.", kind="memory"),)
    )
    memory.record(quoting, principal="ada")
    memory.reinforce(quoting, principal="ada")
    return item


def test_erasing_leaves_no_word(say: Saying) -> None:
    """Not in items, log, full text, vectors, episodes or recall; the rest stays, the log still verifies."""
    item = fill(say)
    report = say.memory.erase("home", Root("episode", "e1"), principal="o")
    assert report.items == (item.id,)
    assert (report.episodes, report.quotes) == (("e1",), 1)
    assert report.remains.total == 0
    with pytest.raises(NotFound):
        say.memory.get("home", item.id)
    assert say.memory.items("home", words="zanzibar") == ()
    everything = repr(say.memory.log("home")) + repr(say.memory.episodes("home"))
    assert not any(word in everything for word in WORDS)
    kept = say.memory.episode("home", "e2")
    assert kept.messages[0].text == "it says: [erased]."
    assert say.memory.episode("home", "e1").outcome == "success"
    assert {entry.item for entry in say.memory.log("home") if entry.op == "erase"} == {item.id, None}
    assert say.memory.check() == ()
    assert say.memory.verify_log() is None
    assert len(say.memory.items("home")) == 2
    say.remember(say.case("life goes on"))
    assert say.memory.check() == ()


@pytest.mark.parametrize("kind", ["item", "principal", "source", "namespace"])
def test_erasing_again_answers_again(say: Saying, kind: Any) -> None:
    """A caller who never heard the answer gets it: what is gone, that nothing is found, nothing written."""
    (item,) = say.memory.remember(
        "home", [note("the kettle whistles", source="doc-7")], principal="eve", channel="user"
    )
    (other,) = say.memory.remember("work", [note("life goes on")], principal="ada", channel="user")
    root = Root(kind, {"item": item.id, "principal": "eve", "source": "doc-7", "namespace": "home"}[kind])
    first = say.memory.erase("home", root, principal="o")
    log = say.memory.log("home")
    again = say.memory.erase("home", root, principal="o")
    assert (again.items, again.rows, again.remains) == (first.items, first.rows, first.remains)
    assert first.items == (item.id,)
    assert again.remains.total == 0
    assert say.memory.log("home") == log
    assert "doc-7" not in repr(log)
    assert say.memory.verify_log() is None
    with pytest.raises(NotFound):
        say.memory.erase("work", root, principal="o")
    assert say.memory.get("work", other.id) == other


def test_a_copy_of_an_erased_text_goes_too(say: Saying) -> None:
    """Word for word the same in another reach; what merely resembles it stays."""
    (one,) = say.remember(say.case("the mug is in cabinet 3"))
    (copy,) = say.remember(say.case("the mug is in cabinet 3", family="maple 7"))
    (other,) = say.remember(say.case("the mug is in cabinet 4"))
    before = say.memory.edit("home", other.id, text="the mug is gone", principal="ada", channel="user")
    report = say.memory.erase("home", Root("item", one.id), principal="o")
    assert set(report.items) == {one.id, copy.id}
    assert say.memory.get("home", other.id) == before
    assert report.remains.total == 0


def test_what_was_erased_cannot_be_restored(say: Saying) -> None:
    """A restore to before it brings back everything else."""
    one, other = say.remember(say.case("the mug is in cabinet 3"), say.case("an orange is on the table"))
    seq = say.memory.log("home")[-1].seq
    say.memory.forget("home", other.id, principal="ada")
    say.memory.erase("home", Root("item", one.id), principal="o")
    report = say.memory.restore("home", seq, principal="o")
    assert report.changed == (other.id,)
    assert [item.id for item in say.memory.items("home")] == [other.id]
    assert say.memory.check() == ()
