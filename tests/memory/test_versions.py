"""Versions of a constitution: listed, compared, brought back, frozen and served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memory.constitution.forms import from_json, to_agents, to_drafts, to_json, to_system
from memory.constitution.versions import ConstitutionVersion
from memory.core import Memory
from memory.errors import BadInput, Conflict, NotFound
from memory.types import Constitution, Dropped, Evidence, Message, PrincipleBody, Utility
from memory.writing.forgetting import Root

Saying = Any


def versions(say: Saying) -> tuple[ConstitutionVersion, ...]:
    found: tuple[ConstitutionVersion, ...] = say.memory.constitution_versions("home")
    return found


def texts(constitution: Constitution) -> list[str]:
    return [item.text for item in constitution.principles]


@pytest.fixture
def shown(say: Saying, count_tokens: Any) -> Any:
    def show(family: str | None = None) -> Constitution:
        found: Constitution = say.memory.constitution(
            "home", family, token_budget=99, count_tokens=count_tokens
        )
        return found

    return show


def test_every_change_of_what_is_in_force_makes_a_version(say: Saying) -> None:
    """Newest first, each with its parent, who did it and what it holds; cases and drafts make none."""
    assert versions(say) == ()
    (rule,) = say.remember(say.principle("look first"))
    say.remember(say.case("the mug is in cabinet 3"), replace(say.principle("later"), status="draft"))
    say.memory.edit("home", rule.id, text="look twice", principal="bob", channel="user")
    say.memory.forget("home", rule.id, principal="bob")
    found = versions(say)
    assert [(one.change, one.principal, one.principles) for one in found] == [
        ("retire", "bob", ()),
        ("edit", "bob", (f"{rule.id}@2",)),
        ("add", "ada", (f"{rule.id}@1",)),
    ]
    assert [one.parent for one in found] == [found[1].id, found[2].id, None]
    assert (found[1].builders, found[1].frozen, found[1].at) == (("neural",), False, 1_000.0)
    assert len(say.memory.constitution_versions("home", limit=2)) == 2


def test_statistics_make_no_version(say: Saying, shown: Any) -> None:
    """What is learned about a principle is not what it says."""
    say.remember(say.principle("look first"))
    episode = say.episode("e1", say.recall("mug"), constitution=shown())
    say.memory.reinforce(episode, principal="ada")
    assert len(versions(say)) == 1


def test_versions_are_compared(say: Saying) -> None:
    """What came, what went, and field by field what says something else."""
    first, second = say.remember(say.principle("look first"), say.principle("close doors"))
    old = versions(say)[0].id
    say.memory.edit("home", first.id, text="look twice", principal="bob", channel="user")
    say.memory.forget("home", second.id, principal="bob")
    (third,) = say.remember(say.principle("be quick"))
    found = {one.item: one for one in say.memory.compare("home", old, versions(say)[0].id)}
    assert (found[first.id].before, found[first.id].after) == ("look first", "look twice")
    assert [change.field for change in found[first.id].fields] == ["text"]
    assert (found[second.id].before, found[second.id].after) == ("close doors", None)
    assert (found[third.id].before, found[third.id].after) == (None, "be quick")
    assert say.memory.compare("home", old, old) == ()


def test_a_roll_back_brings_the_principles_back_alone(say: Saying, shown: Any) -> None:
    """The text that agents are shown is the same again; other items and statistics stay; undoable."""
    (rule,) = say.remember(say.principle("look first"))
    before, version = shown(), versions(say)[0].id
    say.memory.edit("home", rule.id, text="look twice", principal="bob", channel="user")
    say.remember(say.principle("be quick"))
    (case,) = say.remember(say.case("the mug is in cabinet 3"))
    after = texts(shown())
    done = say.memory.roll_back("home", version, principal="root")
    assert texts(shown()) == texts(before) == ["look first"]
    assert say.memory.get("home", case.id).status == "active"
    assert [hit.item.id for hit in say.recall("look first", kinds=("principle",)).hits] == [rule.id]
    say.memory.restore("home", done.undo_seq, principal="root")
    assert texts(shown()) == after


@pytest.mark.parametrize("name", ["nonsense", "x-1", "1", "-1-a", f"{10**19}-a"])
def test_what_is_no_version_is_refused(say: Saying, name: str) -> None:
    """With a hint where ids come from."""
    with pytest.raises(BadInput, match="take an id from the list"):
        say.memory.roll_back("home", name, principal="root")


def test_another_namespaces_version_is_not_found(say: Saying) -> None:
    """Nor one whose content differs from its name."""
    say.remember(say.principle("look first"))
    own = versions(say)[0].id
    with pytest.raises(NotFound):
        say.memory.compare("elsewhere", own, own)
    with pytest.raises(NotFound):
        say.memory.compare("home", own, own[:-1] + ("0" if own[-1] != "0" else "1"))
    with pytest.raises(NotFound):
        say.memory.roll_back("home", "99999-abc", principal="root")


# Frozen


def frozen(say: Saying, version: str, count_tokens: Any, budget: int = 99) -> Constitution:
    found: Constitution = say.memory.frozen("home", version, token_budget=budget, count_tokens=count_tokens)
    return found


def test_a_frozen_version_is_served_as_it_was(say: Saying, shown: Any, count_tokens: Any) -> None:
    """To an agent of any family, in the order it had, whatever is learned, edited or added later."""
    body = PrincipleBody("family", "symbolic", 3)
    here = replace(say.principle("wipe feet"), scope="family", family="maple 7", body=body)
    first, second = say.remember(say.principle("look first"), here)
    kept = say.memory.freeze("home", "maple 7", principal="advisor")
    assert (kept.frozen, kept.family, kept.principal, kept.change) == (True, "maple 7", "advisor", "freeze")
    assert kept.principles == (f"{first.id}@1", f"{second.id}@1")
    assert kept == versions(say)[0]
    assert kept.parent == versions(say)[1].id
    say.memory.edit("home", first.id, text="look twice", principal="bob", channel="user")
    say.remember(say.principle("be quick"))
    served = frozen(say, kept.id, count_tokens)
    assert (texts(served), served.version) == (["look first", "wipe feet"], kept.id)
    assert frozen(say, kept.id, count_tokens, budget=3).dropped == (Dropped(second.id, "budget"),)
    assert "wipe feet" not in texts(shown("oak 2"))


def test_an_advisor_chooses_what_to_freeze(say: Saying, count_tokens: Any) -> None:
    """By ids of what is in force."""
    first, _ = say.remember(say.principle("look first"), say.principle("open the safe"))
    kept = say.memory.freeze("home", principal="advisor", only=[first.id])
    assert texts(frozen(say, kept.id, count_tokens)) == ["look first"]
    with pytest.raises(NotFound, match="'nobody' is not in force"):
        say.memory.freeze("home", principal="advisor", only=[first.id, "nobody"])


def test_what_was_taken_back_is_served_no_more(say: Saying, count_tokens: Any) -> None:
    """Forgotten, revoked and erased principles are named; the version is then another."""
    gone, erased, stays = say.remember(
        say.principle("open the safe"), say.principle("rule to be erased"), say.principle("look first")
    )
    kept = say.memory.freeze("home", principal="advisor")
    say.memory.forget("home", gone.id, principal="bob")
    say.memory.erase("home", Root("item", erased.id), principal="root")
    served = frozen(say, kept.id, count_tokens)
    assert texts(served) == [stays.text]
    assert gone.id in {one.item for one in served.dropped}
    assert served.version != kept.id


def test_only_frozen_versions_are_served(say: Saying, count_tokens: Any) -> None:
    """And there must be something to freeze."""
    with pytest.raises(Conflict, match="no principle in force"):
        say.memory.freeze("home", principal="advisor")
    say.remember(say.principle("look first"))
    with pytest.raises(Conflict, match="is not frozen"):
        frozen(say, versions(say)[0].id, count_tokens)


def test_a_frozen_version_can_be_rolled_back_to(say: Saying, shown: Any) -> None:
    """All principles as they stood when it was frozen."""
    (rule,) = say.remember(say.principle("look first"))
    kept = say.memory.freeze("home", principal="advisor")
    say.memory.forget("home", rule.id, principal="bob")
    say.memory.roll_back("home", kept.id, principal="root")
    assert texts(shown()) == ["look first"]


# Forms that leave


def test_it_reads_as_agents_and_system_text(say: Saying, shown: Any) -> None:
    """The same principles in the same order; a system prompt as an agent here shows it."""
    from agent.prompt import compose_chat

    say.remember(say.principle("look first"), say.principle("close doors"))
    found = shown()
    for form in (to_agents, to_system):
        written = form(found)
        assert [line for line in written.splitlines() if line.startswith("- ")] == [
            f"- {text}" for text in texts(found)
        ]
        assert form(replace(found, principles=())) == ""
    assert to_agents(found).endswith(f"<!-- constitution {found.version} -->\n")
    (system,) = compose_chat([], None, found, "full")
    assert to_system(found) == f"{system.text}\n"


def test_it_is_taken_in_on_trial_without_statistics(
    say: Saying, say_to: Any, shown: Any, count_tokens: Any
) -> None:
    """Through JSON into another namespace: no pin, no evidence, no counts, nothing of a single run."""
    said = (Message("user", "look"), Message("tool", "it is shut"))
    say.memory.record(replace(say.episode("e1"), messages=said), principal="ada")
    body = PrincipleBody("global", "symbolic", 9, 1, 0.9, "order")
    rule = replace(say.principle("look first", evidence=(Evidence("e1", 1),)), body=body)
    (item,) = say.remember(rule)
    say.memory.edit("home", item.id, pinned=True, principal="root", channel="operator")
    sent = from_json(to_json(shown()))
    (taken,) = say.memory.remember("elsewhere", to_drafts(sent), principal="bob", channel="external")
    assert (taken.text, taken.status, taken.pinned, taken.trust) == ("look first", "trial", False, 0)
    assert taken.body == PrincipleBody("global", "symbolic", pattern="order")
    assert (taken.utility, taken.lineage.evidence) == (Utility(), ())
    assert taken.lineage.source == f"constitution:{sent.version}"
    (case,) = say.remember(say.case("the mug is in cabinet 3"))
    with pytest.raises(BadInput, match="is no principle"):
        to_drafts(replace(sent, principles=(case,)))


def test_a_signed_bundle_holds_the_principles_alone(
    open_memory: Any, say: Saying, tmp_path: Path, count_tokens: Any
) -> None:
    """Signed like any bundle; a stranger's are on trial, with no statistics."""
    other: Memory = open_memory("other.db", signers=None)
    body = PrincipleBody("global", "symbolic", 9, 1, 0.9)
    rule, _ = say.remember(replace(say.principle("look first"), body=body), say.case("the mug is here"))
    folder = say.memory.export_constitution("home", tmp_path / "constitution")
    report = other.import_("home", folder, principal="eve", channel="user")
    assert (report.added, report.episodes, report.n_refused) == (1, 0, 0)
    taken = other.get("home", rule.id)
    assert (taken.status, taken.text, taken.author) == ("trial", "look first", "eve")
    assert taken.body == PrincipleBody("global", "symbolic")
    (folder / "items.jsonl").write_text((folder / "items.jsonl").read_text().replace("look", "leap"))
    with pytest.raises(BadInput, match="was changed"):
        other.import_("elsewhere", folder, principal="eve", channel="user")
    with pytest.raises(NotFound, match="no principle in force"):
        say.memory.export_constitution("empty", tmp_path / "nothing")
