"""What is let in: growth budgets, write rates, no echoes, no secrets in episodes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from memory.core import Memory
from memory.errors import BadInput, OverQuota
from memory.types import Draft, Episode, Evidence, Lineage, Message, Query, Text, ToolCall
from memory.writing.limits import Limits, Rates

Saying = Any
"""The `Say` helper of conftest."""
KEY = "AKIA" + "IOSFODNN7EXAMPLQ"


def test_a_namespace_grows_up_to_its_budget(open_memory: Callable[..., Memory], say_to: Any) -> None:
    """What says nothing new still merges, and forgetting makes room; a batch goes in whole or not at all."""
    say = say_to(open_memory(limits=Limits(max_living=3)))
    kept = say.remember(say.case("mug 1"), say.case("mug 2"))
    with pytest.raises(OverQuota, match="'home' would hold 4 living items, 3 are allowed: consolidate"):
        say.remember(say.case("mug 3"), say.case("mug 4"))
    assert say.memory.usage("home").living == 2
    say.remember(say.case("mug 3"))
    assert say.remember(say.case("mug 1", evidence=(Evidence("e", 0),)))[0].id == kept[0].id
    say.memory.forget("home", kept[0].id, principal="ada")
    say.remember(say.case("mug 4"))
    usage = say.memory.usage("home")
    assert (usage.items, usage.living, usage.episodes, usage.max_living) == (4, 3, 0, 3)
    say_to(say.memory, "elsewhere").remember(say.case("mug 5"))
    assert say.memory.check() == ()


def test_an_edit_and_an_undo_keep_to_the_budget(open_memory: Callable[..., Memory], say_to: Any) -> None:
    """What is retired comes back only where there is room; other edits are never refused."""
    say = say_to(open_memory(limits=Limits(max_living=2)))
    first, second = say.remember(say.case("mug 1"), say.case("mug 2"))
    say.memory.forget("home", first.id, principal="ada")
    gone = say.memory.log("home")[-1].seq
    third = say.remember(say.case("mug 3"))[0]
    with pytest.raises(OverQuota, match="would hold 3 living items, 2 are allowed"):
        say.memory.undo("home", gone, principal="ada")
    with pytest.raises(OverQuota, match="would hold 3 living items"):
        say.memory.edit("home", first.id, principal="o", channel="operator", status="active")
    assert say.memory.get("home", first.id).status == "retired"
    say.memory.edit("home", second.id, principal="o", channel="operator", pinned=True)
    say.memory.forget("home", third.id, principal="ada")
    assert say.memory.undo("home", gone, principal="ada").status == "active"
    assert say.memory.usage("home").living == 2
    assert say.memory.check() == ()


def test_a_restore_keeps_to_the_budget(open_memory: Callable[..., Memory], say_to: Any) -> None:
    """All or nothing; one that brings back less than it retires is never refused."""
    say = say_to(open_memory(limits=Limits(max_living=3)))
    first, second, _ = say.remember(*(say.case(f"mug {n}") for n in range(3)))
    full = say.memory.log("home")[-1].seq
    for item in (first, second):
        say.memory.forget("home", item.id, principal="ada")
    say.remember(say.case("mug 4"))
    say.memory.restore("home", full, principal="o")
    assert say.memory.usage("home").living == 3
    say.memory.close()
    tight = say_to(open_memory(limits=Limits(max_living=2)))
    tight.memory.forget("home", first.id, principal="ada")
    before = tight.memory.items("home")
    with pytest.raises(OverQuota, match="would hold 3 living items, 2 are allowed"):
        tight.memory.restore("home", full, principal="o")
    assert tight.memory.items("home") == before
    tight.memory.restore("home", 0, principal="o")
    assert tight.memory.usage("home").living == 0
    assert tight.memory.check() == ()


def test_the_budget_counts_what_other_calls_of_the_same_commit_add(
    open_memory: Callable[..., Memory], say_to: Any
) -> None:
    """Sixteen at once for eight places: eight get in."""
    say = say_to(open_memory(limits=Limits(max_living=8)))

    def remember(i: int) -> bool:
        try:
            say.remember(say.case(f"mug {i}"))
        except OverQuota:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(remember, range(16))) == 8
    assert say.memory.usage("home").living == 8
    assert say.memory.check() == ()


def test_writers_are_slowed_each_by_itself() -> None:
    """A large request is let through and owed; time fills the bucket, a clock that jumps back does not."""
    now = 100.0
    rates = Rates(60, lambda: now)
    rates.take("home", "ada", 62)
    with pytest.raises(
        OverQuota, match="'ada' writes more than 60 items a minute in namespace 'home': wait 3 s"
    ):
        rates.take("home", "ada", 1)
    rates.take("home", "eve", 1)
    rates.take("elsewhere", "ada", 1)
    now = 50.0
    with pytest.raises(OverQuota):
        rates.take("home", "ada", 1)
    now = 53.5
    rates.take("home", "ada", 1)
    with pytest.raises(OverQuota):
        rates.take("home", "ada", 1)


def test_a_memory_holds_writers_to_their_rate(
    open_memory: Callable[..., Memory], say_to: Any, clock: Any
) -> None:
    """And takes them again a minute later."""
    say = say_to(open_memory(limits=Limits(writes_per_minute=2)))
    say.remember(say.case("mug 1"), say.case("mug 2"))
    with pytest.raises(OverQuota, match="a minute"):
        say.remember(say.case("mug 3"))
    clock.now += 60.0
    say.remember(say.case("mug 3"))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_refused(limit: int) -> None:
    """None is no limit."""
    with pytest.raises(BadInput, match="1 at least"):
        Limits(max_living=limit)


def lived(say: Saying) -> Episode:
    """An episode with a prompt, a recalled memory and something that happened."""
    messages = (
        Message("system", "Rules: open the fridge before taking from it."),
        Message("user", "Remembered: the mug is in cabinet 3", kind="memory"),
        Message("assistant", "go to cabinet 3", kind="act"),
        Message("tool", "cabinet 3 is empty", kind="observe"),
    )
    episode: Episode = replace(say.episode("e1"), messages=messages)
    say.memory.record(episode, principal="ada")
    return episode


def note(say: Saying, text: str, message: int) -> Draft:
    draft: Draft = say.case(text, lesson="look", evidence=(Evidence("e1", message),))
    return draft


@pytest.mark.parametrize(
    ("text", "message", "why"),
    [
        ("anything at all", 0, "the evidence is message 0 of episode 'e1', a system prompt"),
        ("anything at all", 1, "the evidence is message 1 of episode 'e1', a recalled memory"),
        ("Open the fridge before taking from it", 3, "repeats message 0 of episode 'e1', a system prompt"),
        ("the mug is in cabinet 3!", 3, "repeats message 1 of episode 'e1', a recalled memory"),
    ],
)
@pytest.mark.parametrize("channel", ["reflection", "tool", "external"])
def test_what_memory_said_itself_is_not_learned(
    say: Saying, text: str, message: int, why: str, channel: str
) -> None:
    """Neither as evidence nor as text, through any channel that extracts."""
    lived(say)
    with pytest.raises(BadInput, match=why):
        say.memory.remember("home", [note(say, text, message)], principal="ada", channel=channel)
    assert say.memory.items("home") == ()


def test_what_happened_is_learned(say: Saying) -> None:
    """Also when a memory said it too; words inside other words are no repetition; episodes may come later."""
    lived(say)
    drafts = [
        note(say, "cabinet 3 is empty", 3),
        note(say, "ridge before tak", 2),
        replace(note(say, "of an unknown episode", 1), lineage=Lineage((Evidence("e9", 0),))),
    ]
    assert len(say.memory.remember("home", drafts, principal="ada", channel="reflection")) == 3
    with_both = note(say, "go to cabinet 3", 2)
    say.memory.remember("home", [with_both], principal="ada", channel="reflection")


def test_an_operator_may_say_what_the_prompt_says(say: Saying) -> None:
    """It is his to say."""
    lived(say)
    draft = note(say, "open the fridge before taking from it", 0)
    say.memory.remember("home", [draft], principal="ada", channel="operator")


def test_an_echo_of_a_known_item_is_that_item(say: Saying) -> None:
    """Without new evidence nothing is written; with it the echo would gain weight, and is refused."""
    (known,) = say.remember(note(say, "the mug is in cabinet 3", 3))
    lived(say)
    echo = note(say, "The mug is in cabinet 3", 3)
    assert say.memory.remember("home", [echo], principal="ada", channel="reflection") == (known,)
    heavier = replace(echo, lineage=Lineage((Evidence("e1", 2),)))
    with pytest.raises(BadInput, match="repeats message 1"):
        say.memory.remember("home", [heavier], principal="ada", channel="reflection")


def test_a_rule_counted_from_events_is_no_echo(say: Saying) -> None:
    """The constitution says it too, and it was seen again all the same."""
    lived(say)
    draft = say.principle("open the fridge before taking from it", evidence=(Evidence("e1", 2),))
    draft = replace(draft, body=replace(draft.body, builder="symbolic"))
    say.memory.remember("home", [draft], principal="ada", channel="reflection")


def test_an_episode_is_kept_without_its_secrets(say: Saying) -> None:
    """In task, messages, rules, arguments, feedback and query; the same again is still the same."""
    query = Query("home", f"log in with {KEY}")
    recall = say.memory.recall(query, count_tokens=len).record()
    episode = replace(
        say.episode("e1"),
        task=f"log in with {KEY}",
        messages=(
            Message("user", f"use {KEY} now", rule=f"never show {KEY}."),
            Message(
                "assistant", (Text(f"so: {KEY}"),), tool_calls=(ToolCall("1", "login", {"keys": [KEY]}),)
            ),
        ),
        feedback={"note": KEY},
        recall=recall,
    )
    for _ in range(2):
        say.memory.record(episode, principal="ada")
    kept = say.memory.episode("home", "e1")
    assert KEY not in str(kept)
    assert kept.messages[0].content == "use [secret: AWS Access Key] now"
    assert kept.messages[1].tool_calls[0].arguments == {"keys": ["[secret: AWS Access Key]"]}
    assert KEY not in str(say.memory.log("home"))
    assert say.memory.replay(kept.recall, count_tokens=len).record().items == ()
