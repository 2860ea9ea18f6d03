"""Which principles are promoted and which go: by lift, by who vouches for them, by operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memory.constitution.court import Backing, Bench, CourtSettings, Decision, decide
from memory.constitution.draw import Chances, draw
from memory.core import Memory
from memory.types import Channel, Draft, Episode, Evidence, Item, Lift, Message, PrincipleBody, Status
from memory.value.lift import verdict

Saying = Any
HELPS = Lift(n=80, n_held=20, mean=0.4, variance=0.5, log_up=30.0)
HARMS = Lift(n=80, n_held=20, mean=-0.4, variance=0.5, log_down=30.0)
UNDECIDED = Lift(n=80, n_held=20, mean=0.02, variance=0.5, log_up=1.0)


def item(
    lift: Lift | None = None,
    *,
    status: Status = "trial",
    channel: Channel = "reflection",
    support: int = 3,
    violations: int = 0,
    uses: int = 5,
) -> Item:
    draft = Draft("principle", "look first", PrincipleBody("family", "symbolic", support, violations))
    made = Item(
        *("p", "home", "principle", "namespace", None, draft.text, draft.body, None, status, 1),
        *(channel, 1, "ada", 0.0, 0.0, 0.0),
    )
    return replace(made, utility=replace(made.utility, n=uses, lift=lift))


def decided(one: Item, *, episodes: int = 3, principals: int = 2, known: int = 2, arrival: int = 1) -> str:
    bench = Bench({"p": arrival}, lambda _: Backing(episodes, principals), lambda: known)
    found = decide([one], bench, verdict, CourtSettings())
    return found[0].status if found else "stays"


@pytest.mark.parametrize(
    ("lift", "status", "becomes"),
    [
        (HELPS, "trial", "active"),
        (HARMS, "trial", "quarantined"),
        (HARMS, "active", "quarantined"),
        (HELPS, "active", "stays"),
        (UNDECIDED, "trial", "stays"),
        (replace(UNDECIDED, n=200), "trial", "draft"),
        (replace(UNDECIDED, n=200), "active", "stays"),
    ],
)
def test_the_lift_decides(lift: Lift, status: Status, becomes: str) -> None:
    """Credibly helpful trials are promoted, what is credibly harmful goes, undecided trials are given up."""
    assert decided(item(lift, status=status)) == becomes


def test_who_arrives_late_needs_more() -> None:
    """The error of all tests of a namespace together is bounded."""
    enough_for_some = replace(HELPS, log_up=7.0)
    assert decided(item(enough_for_some), arrival=3) == "active"
    assert decided(item(enough_for_some), arrival=10) == "stays"


@pytest.mark.parametrize(
    ("principals", "known", "becomes"),
    [(2, 2, "active"), (1, 2, "stays"), (1, 1, "active"), (0, 1, "stays"), (3, 9, "active")],
)
def test_two_principals_vouch_for_it(principals: int, known: int, becomes: str) -> None:
    """One is enough while the namespace knows no other; with coins and without."""
    for lift in (HELPS, None):
        assert decided(item(lift), principals=principals, known=known) == becomes


def test_operators_need_nobody_to_vouch() -> None:
    """What they put on trial is promoted by its lift; what they made active is theirs alone to take back."""
    assert decided(item(HELPS, channel="operator"), principals=0) == "active"
    assert decided(item(HARMS, channel="operator")) == "quarantined"
    assert decided(item(HARMS, channel="operator", status="active")) == "stays"


def test_a_pinned_principle_is_left_alone() -> None:
    """Whatever its lift."""
    assert decided(replace(item(HARMS), pinned=True)) == "stays"


@pytest.mark.parametrize(
    ("one", "episodes", "becomes"),
    [
        (item(), 2, "active"),
        (item(), 1, "stays"),
        (item(uses=0), 3, "stays"),
        (item(support=3, violations=2), 3, "stays"),
        (item(support=8, violations=2), 3, "active"),
        (item(status="active", violations=9), 3, "stays"),
        (item(Lift()), 3, "active"),
    ],
)
def test_without_coins_what_was_seen_decides(one: Item, episodes: int, becomes: str) -> None:
    """Enough episodes that are known here, few violations, and it has been shown; nothing is demoted."""
    assert decided(one, episodes=episodes) == becomes


# Through the façade


@pytest.fixture
def lived(say: Saying) -> Callable[..., None]:
    def record(id_: str, principal: str = "ada") -> None:
        said = (Message("user", "put a mug on the shelf"), Message("tool", "the fridge is shut."))
        episode = replace(say.episode(id_), messages=said, principal=principal)
        say.memory.record(episode, principal=principal)

    return record


def seen_in(say: Saying, text: str, *episodes: str, status: Status = "trial") -> Item:
    evidence = tuple(Evidence(name, 1) for name in episodes)
    body = PrincipleBody("global", "symbolic", len(episodes))
    draft = replace(say.principle(text, evidence=evidence), status=status, body=body)
    (found,) = say.memory.remember("home", [draft], principal="ada", channel="reflection")
    return found


def tell(
    say: Saying, count_tokens: Any, n: int, effect: Callable[[set[str], int], bool], chances: Chances
) -> None:
    """Episodes whose outcome follows from what they were shown."""
    for number in range(n):
        found = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
        shown, drawn = draw(found, number, chances)
        texts = {one.text for one in shown.principles}
        outcome = "success" if effect(texts, number) else "failure"
        episode: Episode = say.episode(f"run{number}", outcome=outcome)
        episode = replace(episode, recall=say.recall("mug").record(shown, drawn))
        say.memory.reinforce(episode, principal="ada")
        say.memory.review("home")


def test_a_helpful_one_is_promoted_and_a_harmful_one_goes(say: Saying, lived: Any, count_tokens: Any) -> None:
    """By coins alone: both were seen equally often, and nobody said which is which."""
    lived("e1")
    helps, harms = (seen_in(say, text, "e1") for text in ("look first", "open the safe"))

    def effect(texts: set[str], number: int) -> bool:
        if "open the safe" in texts:
            return False
        return "look first" in texts or number % 5 == 0

    tell(say, count_tokens, 100, effect, Chances(trial_rate=0.5))
    assert say.memory.get("home", helps.id).status == "active"
    assert say.memory.get("home", harms.id).status == "quarantined"
    ops = [entry.op for id_ in (helps.id, harms.id) for entry in say.memory.history("home", id_)]
    assert [op for op in ops if op != "reinforce"] == ["add", "promote", "add", "demote"]


def test_what_was_found_harmful_does_not_come_back_by_itself(
    say: Saying, lived: Any, count_tokens: Any
) -> None:
    """What says the same finds it in quarantine; an operator may release it."""
    lived("e1")
    harms = seen_in(say, "open the safe", "e1")
    tell(say, count_tokens, 50, lambda texts, _: not texts, Chances(trial_rate=0.5))
    lived("e2")
    again = seen_in(say, "open the safe", "e2")
    assert (again.id, again.status) == (harms.id, "quarantined")
    say.memory.edit("home", harms.id, status="trial", principal="root", channel="operator")
    assert say.memory.get("home", harms.id).status == "trial"


def test_evidence_of_two_principals_promotes_without_coins(
    say: Saying, lived: Any, count_tokens: Any
) -> None:
    """One principal's does not, once the namespace knows another."""
    for name, who in (("e1", "ada"), ("e2", "ada"), ("e3", "bob")):
        lived(name, who)
    both = seen_in(say, "look first", "e1", "e3")
    one = seen_in(say, "close doors", "e1", "e2")
    tell(say, count_tokens, 1, lambda _texts, _n: True, Chances())
    assert say.memory.get("home", both.id).status == "active"
    assert say.memory.get("home", one.id).status == "trial"
    assert say.memory.review("home") == ()


def test_a_review_is_logged_and_can_be_undone(say: Saying, lived: Any, count_tokens: Any) -> None:
    """A promotion is a version of its principle; texts, authors and statistics stay."""
    for name in ("e1", "e2"):
        lived(name)
    rule = seen_in(say, "look first", "e1", "e2")
    shown = say.memory.constitution("home", None, token_budget=99, count_tokens=count_tokens)
    episode = say.episode("e9", say.recall("mug"), constitution=shown)
    say.memory.reinforce(episode, principal="ada")
    (decision,) = say.memory.review("home", principal="court")
    reason = "borne out by 2 episodes in 100% of its occasions; no coins were tossed"
    assert decision == Decision(rule.id, 1, "active", reason)
    entry = say.memory.history("home", rule.id)[-1]
    assert (entry.op, entry.principal, entry.version) == ("promote", "court", 2)
    promoted = say.memory.get("home", rule.id)
    assert (promoted.author, promoted.utility.n, promoted.text) == ("ada", 1, "look first")
    assert say.memory.undo("home", entry.seq, principal="root", channel="operator").status == "trial"


def test_operators_alone_promote_by_hand(memory: Memory, say: Saying) -> None:
    """The log calls it so; anybody may put a principle aside."""
    from memory.errors import Denied

    rule = seen_in(say, "look first", "nowhere")
    with pytest.raises(Denied, match="only an operator"):
        memory.edit("home", rule.id, status="active", principal="ada", channel="user")
    memory.edit("home", rule.id, status="active", principal="root", channel="operator")
    memory.edit("home", rule.id, status="draft", principal="ada", channel="user")
    assert [entry.op for entry in memory.history("home", rule.id)] == ["add", "promote", "demote"]
