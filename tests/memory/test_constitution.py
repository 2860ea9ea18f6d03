"""Which principles are in force, in which order, and how they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memory.constitution.forms import from_json, to_json, to_markdown
from memory.types import Constitution, Dropped, PrincipleBody

Saying = Any
Count = Callable[[str], int]


def texts(constitution: Constitution) -> list[str]:
    return [item.text for item in constitution.principles]


def test_principles_are_ordered_by_tier_then_worth(say: Saying, count_tokens: Count) -> None:
    """Global before family before tool; within a tier by utility, then by support."""
    tool = replace(say.principle("act: use plain words"), body=PrincipleBody("tool", "symbolic", 9))
    here = replace(
        say.principle("wipe the table"),
        body=PrincipleBody("family", "neural"),
        scope="family",
        family="maple 7",
    )
    weak, strong, proven = (say.principle(text) for text in ("close doors", "look first", "open the fridge"))
    strong = replace(strong, body=PrincipleBody("global", "neural", support=5))
    items = say.remember(tool, here, weak, strong, proven)
    recall = say.recall("x")
    record = replace(recall.record(), constitution=(f"{items[-1].id}@1",))
    for n in range(4):
        say.memory.reinforce(replace(say.episode(f"e{n}"), recall=record), principal="ada")

    def select(family: str | None) -> list[str]:
        return texts(say.memory.constitution("home", family, token_budget=99, count_tokens=count_tokens))

    everywhere = ["open the fridge", "look first", "close doors"]
    assert select("maple 7") == [*everywhere, "wipe the table", "act: use plain words"]
    assert select("oak 2") == select(None) == [*everywhere, "act: use plain words"]


def test_only_principles_in_force_are_selected(say: Saying, clock: Any, count_tokens: Count) -> None:
    """Active and on trial, within their validity; never a case."""
    statuses = ["draft", "trial", "active", "quarantined"]
    say.remember(
        *(replace(say.principle(f"rule in {status}"), status=status) for status in statuses),
        replace(say.principle("rule for a while"), valid_to=1_100.0),
        say.case("rule of a case"),
    )
    (gone,) = say.remember(say.principle("rule that was retired"))
    say.memory.forget("home", gone.id, principal="ada")

    def select() -> list[str]:
        return sorted(
            texts(say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens))
        )

    assert select() == ["rule for a while", "rule in active", "rule in trial"]
    clock.now = 1_100.0
    assert select() == ["rule in active", "rule in trial"]


def test_the_budget_leaves_out_and_names(say: Saying, count_tokens: Count) -> None:
    """A principle that does not fit is named; a shorter one after it still comes in."""
    long, short = say.remember(
        replace(say.principle("a very long rule " * 10), body=PrincipleBody("global", "neural", 9)),
        say.principle("a short rule"),
    )
    found = say.memory.constitution("home", None, token_budget=10, count_tokens=count_tokens)
    assert texts(found) == [short.text]
    assert found.dropped == (Dropped(long.id, "budget"),)


def test_the_version_changes_with_what_is_in_force(say: Saying, count_tokens: Count) -> None:
    """Equal principles have one version; an edit, an addition or a retirement makes another."""

    def version() -> str:
        return say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens).version

    seen = [version()]
    (rule,) = say.remember(say.principle("open the fridge first"))
    seen.append(version())
    assert version() == seen[-1]
    say.memory.edit("home", rule.id, text="open it first", principal="ada", channel="user")
    seen.append(version())
    say.memory.forget("home", rule.id, principal="ada")
    assert version() == seen[0]
    assert len(set(seen)) == 3


def test_a_pinned_principle_goes_first_in_its_tier(say: Saying, count_tokens: Count) -> None:
    """Whatever its worth."""
    _, last = say.remember(say.principle("look first"), say.principle("close doors"))
    say.memory.edit("home", last.id, pinned=True, principal="ada", channel="operator")
    found = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    assert texts(found) == ["close doors", "look first"]


def test_it_reads_as_markdown(say: Saying, count_tokens: Count) -> None:
    """One heading a tier, one line a principle, so that a text cannot break out of its line."""
    here = replace(say.principle("wipe\n# the table"), body=PrincipleBody("family", "neural"))
    say.remember(say.principle("open the fridge first"), here)
    found = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    assert to_markdown(found) == (
        f"# Constitution {found.version}\n\n## Everywhere\n\n- open the fridge first\n\n"
        "## Here\n\n- wipe # the table\n"
    )
    assert to_markdown(replace(found, principles=())) == ""


def test_people_may_read_every_family_at_once(say: Saying, count_tokens: Count) -> None:
    """Each under its own heading; an agent elsewhere is shown none of them."""
    body = PrincipleBody("family", "neural")
    for place in ("maple 7", "oak 2"):
        say.remember(replace(say.principle(f"knock at {place}"), body=body, scope="family", family=place))
    every = say.memory.constitution(
        "home", None, token_budget=99, count_tokens=count_tokens, every_family=True
    )
    assert sorted(texts(every)) == ["knock at maple 7", "knock at oak 2"]
    assert "## At maple 7\n\n- knock at maple 7\n" in to_markdown(every)
    assert texts(say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)) == []


def test_it_survives_json(say: Saying, count_tokens: Count) -> None:
    """Evidence and statistics included."""
    say.remember(say.principle("open the fridge first"))
    found = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    assert from_json(to_json(found)) == found


def test_a_case_among_the_principles_is_our_bug(say: Saying) -> None:
    """Told by an assertion, not rendered."""
    (case,) = say.remember(say.case("the mug is in cabinet 3"))
    with pytest.raises(AssertionError, match="among the principles"):
        to_markdown(Constitution("home", None, "v", (case,)))
