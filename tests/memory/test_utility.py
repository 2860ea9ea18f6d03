"""Episodes are kept, and their outcomes count for what was in view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory.errors import BadInput, Conflict, NotFound
from memory.types import Message, Outcome

Saying = Any


def utility(say: Saying, item_id: str) -> tuple[int, float, float]:
    found = say.memory.get("home", item_id).utility
    return found.n, found.reward_sum, pytest.approx(found.q)


def test_an_outcome_counts_for_what_was_shown(say: Saying) -> None:
    """Once per episode, however often it is told; the item's version stays."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    recall = say.recall("mug")
    for _ in range(2):
        say.memory.reinforce(say.episode("e1", recall), principal="ada")
    assert utility(say, item.id) == (1, 1.0, 1.0)
    say.memory.reinforce(say.episode("e2", recall, outcome="failure"), principal="ada")
    assert utility(say, item.id) == (2, 1.0, 0.5)
    assert say.memory.get("home", item.id).version == 1


@pytest.mark.parametrize("outcome", ["unknown", "infra"])
def test_unknown_outcomes_teach_nothing(say: Saying, outcome: Outcome) -> None:
    """Nothing is written at all."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.reinforce(say.episode("e1", say.recall("mug"), outcome=outcome), principal="ada")
    assert utility(say, item.id) == (0, 0.0, 0.0)
    assert len(say.memory.log("home")) == 1


def test_held_out_items_count_apart(say: Saying) -> None:
    """They are the control group; candidates that were merely not chosen do not count."""
    items = say.remember(*(say.case(f"the mug is in cabinet {n}") for n in range(6)))
    seed = next(
        seed
        for seed in range(100)
        if any(hit.fate == "held_out" for hit in say.recall("mug", drop_rate=0.5, seed=seed).candidates)
    )
    recall = say.recall("mug", drop_rate=0.5, seed=seed)
    say.memory.reinforce(say.episode("e1", recall), principal="ada")
    by_fate = {hit.item.id: hit.fate for hit in recall.candidates}
    for item in items:
        found = say.memory.get("home", item.id).utility
        fate = by_fate[item.id]
        assert (found.n, found.held_out_n) == (int(fate == "kept"), int(fate == "held_out"))


def test_principles_in_the_prompt_are_credited(say: Saying, count_tokens: Any) -> None:
    """The record names them with their version."""
    (rule,) = say.remember(say.principle("open the fridge first"))
    shown = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    episode = say.episode("e1", say.recall("mug"), constitution=shown)
    assert episode.recall.constitution == (f"{rule.id}@1",)
    say.memory.reinforce(episode, principal="ada")
    assert utility(say, rule.id) == (1, 1.0, 1.0)


def test_late_feedback_revalues(say: Saying) -> None:
    """A correction replaces what the episode had given, in both directions and to unknown."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    recall = say.recall("mug")
    for id_ in ("e1", "e2"):
        episode = say.episode(id_, recall)
        say.memory.record(episode, principal="ada")
        say.memory.reinforce(episode, principal="ada")
    say.memory.feedback("home", "e1", principal="bob", outcome="failure")
    assert utility(say, item.id) == (2, 1.0, 0.5)
    say.memory.feedback("home", "e1", principal="bob", reward=0.5)
    assert utility(say, item.id) == (2, 1.5, 0.75)
    say.memory.feedback("home", "e1", principal="bob", outcome="unknown")
    assert utility(say, item.id) == (1, 1.0, 1.0)
    say.memory.feedback("home", "e1", principal="bob", outcome="success", reward=1.0)
    assert utility(say, item.id) == (2, 2.0, 1.0)


def test_a_verdict_that_comes_late_counts_as_well(say: Saying) -> None:
    """An episode nobody could judge is credited once somebody can; a retried reinforce cannot undo it."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    episode = say.episode("e1", say.recall("mug"), outcome="unknown")
    say.memory.record(episode, principal="ada")
    say.memory.reinforce(episode, principal="ada")
    judged = say.memory.feedback("home", "e1", principal="bob", outcome="success", values={"thumbs": 1})
    assert judged == replace(episode, outcome="success", outcome_by="human", feedback={"thumbs": 1})
    assert say.memory.episode("home", "e1") == judged
    say.memory.reinforce(episode, principal="ada")
    assert utility(say, item.id) == (1, 1.0, 1.0)


def test_feedback_is_added_to_feedback(say: Saying) -> None:
    """Values pile up, and the log tells who said what."""
    say.memory.record(say.episode("e1"), principal="ada")
    say.memory.feedback("home", "e1", principal="bob", values={"helpful": True})
    kept = say.memory.feedback("home", "e1", principal="eve", values={"note": "slow"})
    assert kept.feedback == {"helpful": True, "note": "slow"}
    assert [(entry.op, entry.principal) for entry in say.memory.log("home")] == [
        ("episode", "ada"),
        ("feedback", "bob"),
        ("feedback", "eve"),
    ]


def test_bad_feedback_is_refused(say: Saying) -> None:
    """A reward must be a number, the episode must exist."""
    say.memory.record(say.episode("e1"), principal="ada")
    with pytest.raises(BadInput, match="reward nan"):
        say.memory.feedback("home", "e1", principal="bob", reward=float("nan"))
    with pytest.raises(NotFound, match="no episode 'e9'"):
        say.memory.feedback("home", "e9", principal="bob", reward=1.0)


def test_an_episode_is_recorded_once(say: Saying) -> None:
    """A resumed task may report it again with other clock times; another one of the same id is refused."""
    episode = say.episode("e1")
    say.memory.record(episode, principal="ada")
    say.memory.record(replace(episode, ended_at=5.0), principal="ada")
    assert say.memory.episode("home", "e1") == episode
    with pytest.raises(Conflict, match="'e1' was recorded with other messages"):
        say.memory.record(replace(episode, messages=(Message("user", "else"),)), principal="ada")


def test_episodes_are_found_by_task_and_family(say: Saying) -> None:
    """In pages, oldest first."""
    for n in range(5):
        say.memory.record(say.episode(f"e{n}", task_id=f"t{n % 2}"), principal="ada")

    def ids(**rest: Any) -> list[str]:
        return [episode.id for episode in say.memory.episodes("home", **rest)]

    assert ids(limit=2) == ["e0", "e1"]
    assert ids(after="e1", limit=2) == ["e2", "e3"]
    assert ids(task_id="t1") == ["e1", "e3"]
    assert ids(family="maple 7") == ids()
    assert ids(family="oak 2") == []
    with pytest.raises(NotFound, match="to continue after"):
        ids(after="e9")


def test_a_credited_item_that_is_gone_is_passed_over(say: Saying) -> None:
    """Forgotten items keep their statistics right; unknown ones are nobody's concern."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    recall = say.recall("mug")
    say.memory.forget("home", item.id, principal="ada")
    episode = say.episode("e1", recall)
    record = replace(episode.recall, constitution=("nobody@1",))
    say.memory.reinforce(replace(episode, recall=record), principal="ada")
    assert utility(say, item.id) == (1, 1.0, 1.0)
