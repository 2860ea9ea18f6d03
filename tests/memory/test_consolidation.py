"""Putting memory in order: near-duplicates, procedures, archive. Nothing is lost, a second run is idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memory.consolidation import policy as consolidation
from memory.consolidation.proposals import ConsolidationSettings
from memory.entry import digest_of
from memory.types import CaseBody, Draft, Evidence, Item, Lift, Lineage, NoteBody, Utility

Saying = Any
DAY_S = 86_400.0


def case(task: str, plan: tuple[str, ...], *, n: int, family: str | None = None, **rest: Any) -> Draft:
    body = CaseBody(task, plan, f"the way to {task}", steps=len(plan))
    scope: Any = "family" if family else "namespace"
    lineage = Lineage((Evidence(f"e{n}", 1),))
    return Draft("case", task, body, scope, family, rest.pop("outcome", "success"), lineage=lineage, **rest)


def near(say: Saying) -> tuple[Item, ...]:
    """Five notes, of which the first two and no others say the same."""
    texts = [
        "the big blue mug of the house is kept in the cabinet number 3 beside the old oven in the kitchen",
        "the big blue mug of the house is kept in the cabinet number 3 beside the black oven of the kitchen",
        "the big blue mug of the house is kept in the cabinet number 4 beside the old oven in the kitchen",
        "a kettle whistles when it is hot",
        "an orange is on the table",
    ]
    drafts = [Draft("tool_note", text, NoteBody("house", "look there")) for text in texts]
    items: tuple[Item, ...] = say.memory.remember("home", drafts, principal="ada", channel="user")
    return items


ANY_NEAR = ConsolidationSettings(same_cosine=0.8)


def test_near_duplicates_become_one(say: Saying) -> None:
    """Numbers must be equal; the words are those of the first part, and undo brings the parts back."""
    first, second, other, *_ = near(say)
    report = say.memory.consolidate("home", settings=ANY_NEAR)
    (step,) = report.steps
    assert (step.action, set(step.items)) == ("merge", {first.id, second.id})
    assert step.text == say.memory.get("home", step.items[0]).text
    merged = say.memory.get("home", step.made)
    assert (merged.trust, merged.channel, merged.author) == (first.trust, "user", "ada")
    assert say.memory.get("home", second.id).superseded_by == merged.id
    assert say.memory.get("home", other.id).status == "active"
    seq = next(entry.seq for entry in say.memory.log("home") if entry.op == "merge")
    say.memory.undo("home", seq, principal="ada")
    assert say.memory.get("home", second.id) == replace(second, version=3)


def test_a_dry_run_says_the_same_and_writes_nothing(say: Saying) -> None:
    """Step by step, ids of what would be made included; a second real run has nothing to do."""
    near(say)
    say.remember(*(case(f"put the mug {n} on shelf {n}", GOING[n], n=n) for n in range(3)))
    seq = say.memory.log("home")[-1].seq
    dry = say.memory.consolidate("home", dry_run=True, settings=ANY_NEAR)
    assert say.memory.log("home")[-1].seq == seq
    assert {step.action for step in dry.steps} == {"merge", "induce"}
    assert say.memory.consolidate("home", settings=ANY_NEAR) == dry
    again = say.memory.consolidate("home", settings=ANY_NEAR)
    assert again.steps == ()
    assert say.memory.check() == ()


GOING = [
    ("go to bed 1", "take mug 0", "go to shelf 0", "put mug 0 on shelf 0"),
    ("go to desk 2", "look", "take mug 1", "go to shelf 1", "put mug 1 on shelf 1"),
    ("go to sofa 4", "take mug 2", "go to shelf 2", "open shelf 2", "put mug 2 on shelf 2"),
]


def test_a_procedure_is_drawn_from_three_cases(say: Saying) -> None:
    """The steps that all share, the same letter for the same thing; on trial, with all the evidence."""
    cases = say.remember(*(case(f"put the mug {n} on shelf {n}", GOING[n], n=n) for n in range(3)))
    (step,) = say.memory.consolidate("home").steps
    made = say.memory.get("home", step.made)
    assert made.body.steps == ("go to {A}", "take {B}", "go to {C}", "put {B} on {C}")
    assert (made.kind, made.status, made.channel, made.trust) == ("procedure", "trial", "reflection", 1)
    assert set(made.lineage.items) == {item.id for item in cases}
    assert {piece.episode for piece in made.lineage.evidence} == {"e0", "e1", "e2"}
    assert all(say.memory.get("home", item.id) == item for item in cases)


@pytest.mark.parametrize("odd", ["failure", "family", "outside", "plan"])
def test_two_cases_are_not_enough(say: Saying, odd: str) -> None:
    """A failure, a case of another family or from outside, or one that went otherwise is no third."""
    say.remember(*(case(f"put the mug {n} on shelf {n}", GOING[n], n=n) for n in range(2)))
    rest: dict[str, Any] = {"failure": {"outcome": "failure"}, "family": {"family": "maple 7"}}.get(odd, {})
    plan = ("sing", "dance", "sleep") if odd == "plan" else GOING[2]
    draft = case("put the mug 2 on shelf 2", plan, n=2, **rest)
    channel: Any = "external" if odd == "outside" else "user"
    say.memory.remember("home", [draft], principal="ada", channel=channel)
    assert say.memory.consolidate("home").steps == ()


def test_failures_and_successes_stay_apart(say: Saying) -> None:
    """Also when their words are the same."""
    words = "put the mug on the shelf in the kitchen of the house"
    say.remember(case(words, ("a", "b"), n=1), case(words, ("a", "b"), n=2, outcome="failure"))
    assert say.memory.consolidate("home", settings=ANY_NEAR).steps == ()


def test_a_pinned_item_is_left_alone(say: Saying, clock: Any) -> None:
    """Neither merged nor archived."""
    first, *_ = near(say)
    say.memory.edit("home", first.id, pinned=True, principal="ada", channel="user")
    clock.now += 1000 * DAY_S
    assert say.memory.consolidate("home", settings=ANY_NEAR).steps == ()


def test_a_low_mean_says_nothing_where_a_coin_decided(say: Saying, clock: Any) -> None:
    """Right advice for hard tasks has one; 200 episodes in which it made no difference do say something."""
    bad, good = say.remember(say.case("the mug is in the oven"), say.case("an orange is on the table"))
    usual = replace(good, utility=Utility(n=40, reward_sum=40.0, q=1.0))

    def archived(lift: Lift | None) -> list[str]:
        known = replace(bad, utility=Utility(n=100, reward_sum=5.0, q=0.05, lift=lift))
        steps = consolidation.plan([known, usual], {}, at=clock.now, settings=ConsolidationSettings())
        return [step.reason for step in steps if step.action == "archive"]

    assert archived(None) == ["used 100 times for 0.06 where 0.32 is usual"]
    assert archived(Lift(n=20, mean=0.2)) == archived(Lift(n=199, mean=-0.01)) == []
    assert archived(Lift(n=200, mean=-0.01)) == ["adds -0.01 over 200 episodes in which a coin decided"]


def test_experience_that_nobody_uses_is_archived(say: Saying, clock: Any) -> None:
    """After long enough; notes of people stay. It can be undone, and is then younger again."""
    near(say)
    (item,) = say.remember(case("put the mug on the shelf", ("a", "b"), n=1))
    clock.now += 179 * DAY_S
    assert say.memory.consolidate("home").steps == ()
    clock.now += 2 * DAY_S
    (step,) = say.memory.consolidate("home").steps
    assert (step.action, step.items, step.reason) == ("archive", (item.id,), "not used for 181 days")
    assert say.memory.get("home", item.id).status == "retired"
    say.memory.undo("home", say.memory.log("home")[-1].seq, principal="ada")
    assert say.memory.consolidate("home").steps == ()


def test_what_does_not_help_is_archived(say: Saying) -> None:
    """Used often for far less than is usual for its kind."""
    bad, good = say.remember(say.case("the mug is in the oven"), say.case("an orange is on the table"))
    for n in range(9):
        recall = say.recall("the mug in the oven" if n else "orange on the table", k=1)
        say.memory.reinforce(say.episode(f"f{n}", recall, outcome="failure"), principal="ada")
    for n in range(30):
        recall = say.recall("an orange on the table", k=1)
        say.memory.reinforce(say.episode(f"s{n}", recall), principal="ada")
    assert say.memory.get("home", bad.id).utility.n >= 8
    (step,) = say.memory.consolidate("home").steps
    assert (step.action, step.items) == ("archive", (bad.id,))
    assert say.memory.get("home", good.id).status == "active"
    assert say.memory.consolidate("home").steps == ()


def test_it_stops_between_steps_and_goes_on(say: Saying) -> None:
    """What was done is whole; the next run does the rest."""
    near(say)
    say.remember(*(case(f"put the mug {n} on shelf {n}", GOING[n], n=n) for n in range(3)))
    whole = say.memory.consolidate("home", dry_run=True, settings=ANY_NEAR)
    asked = iter([False, True])
    part = say.memory.consolidate("home", stop=lambda: next(asked), settings=ANY_NEAR)
    assert part.stopped
    assert part.steps == whole.steps[:1]
    rest = say.memory.consolidate("home", settings=ANY_NEAR)
    assert [step.action for step in rest.steps] == [step.action for step in whole.steps[1:]]


def test_what_somebody_changed_meanwhile_is_skipped(say: Saying) -> None:
    """With the reason; nothing half is left."""
    first, second, *_ = near(say)

    def meddle() -> bool:
        say.memory.edit("home", second.id, text="quite another thing", principal="eve", channel="user")
        return False

    (step,) = say.memory.consolidate("home", stop=meddle, settings=ANY_NEAR).steps
    assert step.skipped == f"item {second.id!r} is at version 2, not 1: read it again"
    assert say.memory.get("home", first.id) == first


def test_ten_thousand_items_are_planned_at_once(make_item: Callable[..., Item]) -> None:
    """Every pair of near-duplicates among them is found, and no other."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((10_000, 64)).astype(np.float32)
    vectors[5_000:5_200] = vectors[:200] + 0.01 * rng.standard_normal((200, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"note {''.join(chr(97 + int(d)) for d in str(n))}" for n in range(10_000)]
    items = [make_item(f"i{n:05}", name, n) for n, name in enumerate(names)]
    by_digest = {digest_of(item.text): vector for item, vector in zip(items, vectors, strict=True)}
    found = list(consolidation.plan(items, by_digest, at=0.0, settings=ConsolidationSettings()))
    assert [one.items for one in found] == [(f"i{n:05}", f"i{n + 5000:05}") for n in range(200)]


@pytest.fixture
def make_item() -> Callable[..., Item]:
    def make(id_: str, text: str, n: int) -> Item:
        return Item(
            id=id_,
            namespace="home",
            kind="tool_note",
            scope="namespace",
            family=None,
            text=text,
            body=NoteBody("x", "the same for all"),
            outcome=None,
            status="active",
            version=1,
            channel="user",
            trust=3,
            author="ada",
            created_at=float(n),
            updated_at=0.0,
            valid_from=0.0,
            utility=Utility(),
        )

    return make
