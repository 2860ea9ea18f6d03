"""What a coin decided is kept with what came of it: lift, quarantine, release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from memory.errors import Denied
from memory.types import Episode, Lift, Outcome, Query, Recalled, RecallRecord
from memory.value.lift import LONGEST, Toss, lift_of, verdict

Saying = Any


def record(*items: Recalled, principles: Sequence[Recalled] = ()) -> RecallRecord:
    return RecallRecord(Query("home", "mug"), 1, "hash", tuple(items), principles=tuple(principles))


def tossed(item: str, shown: bool, p: float = 0.5) -> Recalled:
    return Recalled(item, 1, 0.0, p, shown)


def live(say: Saying, id_: str, *items: Recalled, outcome: Outcome = "success", **rest: Any) -> Episode:
    """An episode that had these in view, recorded and counted."""
    episode: Episode = replace(say.episode(id_, outcome=outcome), recall=record(*items), **rest)
    say.memory.record(episode, principal="ada")
    say.memory.reinforce(episode, principal="ada")
    return episode


def lift(say: Saying, item: str) -> Lift | None:
    found: Lift | None = say.memory.get("home", item).utility.lift
    return found


@pytest.fixture
def item(say: Saying) -> str:
    (found,) = say.remember(say.case("the mug is in cabinet 3"))
    return str(found.id)


def test_a_lift_is_made_of_what_the_coin_decided(say: Saying, item: str) -> None:
    """Centred by what the family's episodes had brought before; the first knows nothing."""
    live(say, "e1", tossed(item, True))
    live(say, "e2", tossed(item, False), outcome="failure")
    live(say, "e3", tossed(item, True, 0.75))
    centres = (0.5, (0.5 * 2 + 1) / 3, (0.5 * 2 + 1) / 4)
    assert lift(say, item) == lift_of(
        [
            Toss(True, 0.5, 1.0, centres[0]),
            Toss(False, 0.5, 0.0, centres[1]),
            Toss(True, 0.75, 1.0, centres[2]),
        ]
    )
    found = say.memory.get("home", item).utility
    assert (found.n, found.held_out_n) == (2, 1)
    assert say.memory.check() == ()


def test_without_coins_there_is_no_lift(say: Saying, item: str) -> None:
    """What was shown for certain counts, but says nothing of what would have been."""
    live(say, "e1", tossed(item, True, 1.0))
    assert (say.memory.get("home", item).utility.n, lift(say, item)) == (1, None)
    live(say, "e2", tossed(item, True))
    live(say, "e3", tossed(item, True, 1.0))
    found = lift(say, item)
    assert found is not None
    assert (say.memory.get("home", item).utility.n, found.n) == (3, 1)


def test_what_could_not_be_shown_is_never_credited(say: Saying, item: str) -> None:
    """A shadow is no hold-out; a candidate that was passed over is none either."""
    live(say, "e1", tossed(item, False, 0.0))
    live(say, "e2", tossed(item, False, 1.0))
    found = say.memory.get("home", item).utility
    assert (found.n, found.held_out_n, found.lift) == (0, 0, None)


def test_principles_are_credited_as_items_are(say: Saying) -> None:
    """Shown or held out by their coin; records that name them alone had them in view."""
    rule, other, old = say.remember(
        *(say.principle(f"open the {name}") for name in ("fridge", "oven", "box"))
    )
    whole = replace(
        record(principles=[tossed(rule.id, True, 0.8), tossed(other.id, False, 0.8)]),
        constitution=(f"{rule.id}@1", f"{old.id}@1"),
    )
    episode = replace(say.episode("e1"), recall=whole)
    say.memory.reinforce(episode, principal="ada")
    assert lift(say, rule.id) == lift_of([Toss(True, 0.8, 1.0)])
    assert lift(say, other.id) == lift_of([Toss(False, 0.8, 1.0)])
    found = say.memory.get("home", old.id).utility
    assert (found.n, found.lift) == (1, None)


@pytest.mark.parametrize("first", [True, False])
def test_the_first_decision_of_an_episode_counts(say: Saying, item: str, first: bool) -> None:
    """A reminder in the middle may decide otherwise: by then something has happened."""
    reminder = record(tossed(item, not first))
    live(say, "e1", tossed(item, first), reminders=(reminder,))
    found = say.memory.get("home", item).utility
    assert (found.n, found.held_out_n) == (int(first), int(not first))


def test_late_feedback_counts_the_same_in_any_order(say: Saying, say_to: Any) -> None:
    """Told once or twice, and with changes of mind in between."""
    words: list[tuple[str, Outcome]] = [("e1", "failure"), ("e3", "unknown"), ("e4", "success")]
    found = []
    for n, order in enumerate(permutations(words)):
        here = say_to(say.memory, f"home-{n}")
        (item,) = here.remember(here.case("the mug is in cabinet 3"))
        for place in range(1, 6):
            decided = tossed(item.id, place % 2 == 0)
            outcome: Outcome = "success" if place < 4 else "failure"
            episode = replace(here.episode(f"e{place}", outcome=outcome), recall=record(decided))
            here.memory.record(episode, principal="ada")
            here.memory.reinforce(episode, principal="ada")
        for id_, outcome in order:
            here.memory.feedback(here.namespace, id_, outcome="failure", principal="bob")
            for _ in range(2):
                here.memory.feedback(here.namespace, id_, outcome=outcome, principal="bob")
        found.append(here.memory.get(here.namespace, item.id).utility.lift)
    assert found[0].n == 4
    assert found[1:] == found[:1] * 5


def test_an_episode_that_is_taken_back_leaves_nothing(say: Saying, item: str) -> None:
    """As if its coin had never been tossed; told again, it counts again."""
    live(say, "e1", tossed(item, True))
    before = lift(say, item)
    say.memory.feedback("home", "e1", outcome="unknown", principal="bob")
    assert lift(say, item) is None
    say.memory.feedback("home", "e1", outcome="success", principal="bob")
    assert lift(say, item) == before


def harm(say: Saying, item: str, start: int = 0) -> int:
    """Episodes that fail with the item and succeed without, until it is out of recall; how many."""
    for n in range(start, start + 60):
        is_shown = n % 2 == 0
        live(say, f"h{n}", tossed(item, is_shown), outcome="failure" if is_shown else "success")
        if say.memory.get("home", item).status == "quarantined":
            return n + 1 - start
    return 60


def test_what_harms_is_quarantined_until_somebody_releases_it(say: Saying, item: str) -> None:
    """By an entry of the log, through reflection, which may not release it; then it is tested anew."""
    assert 5 < harm(say, item) < 30
    entry = say.memory.history("home", item)[-1]
    assert (entry.op, entry.principal) == ("quarantine", "ada")
    assert entry.after["utility"]["lift"]["mean"] < -0.5
    assert item not in {hit.item.id for hit in say.recall("mug").candidates}
    with pytest.raises(Denied, match="only an operator or a user may release"):
        say.memory.edit("home", item, status="active", principal="ada", channel="reflection")
    say.memory.edit("home", item, status="active", principal="root", channel="operator")
    assert lift(say, item) == Lift(test=1)
    live(say, "after", tossed(item, True), outcome="failure")
    found = lift(say, item)
    assert found is not None
    assert (found.n, found.test, say.memory.get("home", item).status) == (1, 1, "active")
    say.memory.feedback("home", "h0", outcome="success", principal="bob")
    assert lift(say, item) == found
    assert 5 < harm(say, item, start=100) < 30
    assert say.memory.check() == ()


def test_undoing_a_quarantine_tests_anew_as_well(say: Saying, item: str) -> None:
    """Or the next episode would take it back at once."""
    harm(say, item)
    entry = say.memory.history("home", item)[-1]
    say.memory.undo("home", entry.seq, principal="root")
    live(say, "after", tossed(item, True), outcome="failure")
    assert say.memory.get("home", item).status == "active"


def test_what_somebody_pinned_stays(say: Saying, item: str) -> None:
    """Their word is worth more than a test."""
    say.memory.edit("home", item, pinned=True, principal="root", channel="operator")
    assert harm(say, item) == 60
    assert say.memory.get("home", item).status == "active"


def test_late_feedback_may_bring_a_quarantine(say: Saying, item: str) -> None:
    """Whatever changes the evidence is looked at."""
    for n in range(30):
        live(say, f"e{n}", tossed(item, n % 2 == 0), outcome="success" if n % 2 else "unknown")
    assert say.memory.get("home", item).status == "active"
    for n in range(0, 30, 2):
        say.memory.feedback("home", f"e{n}", outcome="failure", principal="bob")
    assert say.memory.get("home", item).status == "quarantined"


def test_poison_that_comes_with_success_is_found_out(say: Saying) -> None:
    """Wrong advice for easy tasks has the better mean, and the worse lift; right advice for hard ones stays.

    Recalled, tossed for, recorded and counted as agents do it.
    """
    drafts = (say.case("kettle easy morning shelf"), say.case("violin hard evening drawer"))
    names = ("poison", "honest")
    say.memory.remember("home", drafts, principal="ada", channel="user", ids=names)
    asked = ("kettle easy morning", "violin hard evening")
    worth = ((1.0, 0.6), (0.0, 0.4))
    for n in range(160):
        recall = say.recall(asked[n % 2], drop_rate=0.5, seed=n)
        is_shown = names[n % 2] in {hit.item.id for hit in recall.hits}
        episode = say.episode(f"e{n}", recall, reward=worth[n % 2][is_shown])
        say.memory.record(episode, principal="ada")
        say.memory.reinforce(episode, principal="ada")
    bad, good = (say.memory.get("home", name) for name in names)
    assert bad.utility.reward_sum / bad.utility.n == pytest.approx(0.6)
    assert good.utility.reward_sum / good.utility.n == pytest.approx(0.4)
    assert bad.utility.lift.mean < -0.2 < 0.2 < good.utility.lift.mean
    assert (bad.status, good.status) == ("quarantined", "active")
    assert verdict(good.utility.lift, 1) == "promote"


def test_a_test_ends_and_the_next_begins(say: Saying, item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many episodes are weighed again each time."""
    assert LONGEST == 500
    monkeypatch.setattr("memory.writing.credit.LONGEST", 4)
    for n in range(6):
        live(say, f"e{n}", tossed(item, n % 2 == 0))
    found = lift(say, item)
    assert found is not None
    assert (found.n, found.test) == (2, 1)


def test_a_restored_bundle_goes_on_where_it_was(say: Saying, open_memory: Any, tmp_path: Any) -> None:
    """With the coins of its episodes, which later feedback and later episodes build on."""
    (found,) = say.remember(say.case("the mug is in cabinet 3"))
    for n in range(5):
        live(say, f"e{n}", tossed(found.id, n % 2 == 0), outcome="success" if n % 3 else "failure")
    folder = say.memory.export("home", tmp_path / "bundle")
    other = open_memory("other.db")
    other.import_("home", folder, principal="root", channel="operator", vouched=True)
    for memory in (say.memory, other):
        memory.feedback("home", "e1", outcome="failure", principal="bob")
    assert other.get("home", found.id).utility == say.memory.get("home", found.id).utility
    assert lift(say, found.id) is not None


def test_what_is_known_can_be_listed(say: Saying) -> None:
    """The best first, with intervals and values drawn to the family's; what no coin decided is left out."""
    good, bad, _ = say.remember(*(say.case(f"the mug is in cabinet {n}") for n in range(3)))
    assert say.memory.lifts("home") == ()
    for n in range(16):
        is_shown = n % 2 == 0
        live(say, f"e{n}", tossed(good.id, is_shown), outcome="success" if is_shown else "failure")
    live(say, "last", tossed(bad.id, True), outcome="failure")
    first, second = say.memory.lifts("home")
    assert (first.item.id, first.lift, second.item.id) == (good.id, lift(say, good.id), bad.id)
    assert 0.0 < first.low < first.shrunk <= first.high
    assert (second.low, second.high) == (-1.0, 1.0)
    assert second.lift.mean < second.shrunk < first.shrunk
