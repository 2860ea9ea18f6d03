"""Patterns planted in logs are found with the right numbers, and nothing is found in shuffled ones."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.builders.orders import _fisher
from agent.builders.patterns import Pattern
from agent.builders.settings import PATTERNS, MineSettings, PatternName
from agent.builders.symbolic import mined, news, principles
from memory.errors import BadInput
from memory.types import Episode, Evidence, Message, Outcome, PrincipleBody, ToolCall
from tests.agent.logs import Line, episode

ALL = MineSettings(PATTERNS)
LOOK: Line = ("look", "it is dark.", True)
LEVER: Line = ("pull lever", "it clicks.", True)
Planted = tuple[Sequence[Line], Outcome]


def log(*lived: Planted) -> list[Episode]:
    return [episode(lines, outcome, id=f"e{number}") for number, (lines, outcome) in enumerate(lived)]


def numbers(pattern: Pattern) -> tuple[str, int, int, float | None]:
    return pattern.text, pattern.support, len(pattern.against), pattern.confidence


def looping() -> list[Episode]:
    """Looking three times in five episodes; one of them succeeds all the same."""
    return log(*[([LOOK] * 3, "failure")] * 4, ([LOOK] * 4, "success"), ([LOOK, LEVER, LOOK], "failure"))


def dead() -> list[Episode]:
    """Lever 7 is refused five times in three episodes; lever 8 once goes through."""
    red: Line = ("pull lever 7", "nothing happens.", False)
    blue: Line = ("pull lever 8", "nothing happens.", False)
    return log(
        ([red, red], "failure"),
        ([red, blue], "success"),
        ([red, red, blue, ("pull lever 8", "it clicks.", True)], "failure"),
    )


def wasteful() -> list[Episode]:
    """Desk 1 is visited for nothing in four successes of five, the fifth takes something there."""
    there: Line = ("go to desk 1", "there is nothing.", True)
    other: list[Line] = [("go to desk 2", "you see mug.", True), ("take mug from desk 2", "done.", True)]
    here: list[Line] = [there, ("take pen from desk 1", "done.", True)]
    return log(
        *[([there, *other], "success")] * 4,
        (here, "success"),
        ([there, ("go to desk 3", "there is nothing.", True)], "failure"),
    )


def insisting() -> list[Episode]:
    """The stove is refused until the button is pressed, twice; once it starts without."""
    heat: Line = ("heat egg with stove 2", "it is hot.", True)
    switch: list[Line] = [
        ("heat egg with stove 2", "it does not start.", False),
        ("press button", "ready.", True),
        heat,
    ]
    return log((switch, "success"), (switch, "success"), ([heat], "success"))


def paying() -> list[Episode]:
    """Hands washed before things are taken: nine of ten succeed; unwashed: none of nine."""
    wash: Line = ("wash hands", "done.", True)

    def take(number: int) -> Line:
        return (f"take mug {number} from desk", "you have it.", True)

    return log(
        *[([wash, take(n)], "success") for n in range(9)],
        *[([take(n), wash], "failure") for n in range(9)],
        ([wash, take(1)], "failure"),
    )


PLANTED: dict[PatternName, tuple[Callable[[], list[Episode]], tuple[str, int, int, float]]] = {
    "loop": (looping, ("do not look again and again: the answer stays the same.", 4, 1, 4 / 5)),
    "dead": (dead, ("do not pull lever 7: it does nothing.", 3, 0, 1.0)),
    "waste": (wasteful, ("there is no need to go to desk 1.", 4, 1, 4 / 5)),
    "order": (insisting, ("press button before you heat with stove 2.", 2, 1, 4 / 5)),
    "success": (paying, ("wash hands before you take anything.", 9, 1, 18 / 19)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_with_its_numbers(name: PatternName) -> None:
    """Exactly that principle among all patterns, its support, violations and confidence counted by hand."""
    plant, wanted = PLANTED[name]
    (found,) = mined(plant(), ALL)
    assert (found.name, numbers(found)) == (name, wanted)
    (draft,) = principles(plant(), ALL)
    text, support, violations, confidence = wanted
    assert draft.text == text
    body = PrincipleBody("family", "symbolic", support, violations, confidence, name, found.against)
    assert draft.body == body
    assert (draft.status, draft.scope, draft.family) == ("trial", "family", "maple 7")
    assert draft.lineage.evidence == found.evidence


@pytest.mark.parametrize("name", PLANTED)
def test_a_pattern_is_mined_only_where_it_is_asked_for(name: PatternName) -> None:
    """Orders by default, as the small model was trained; the others by name."""
    episodes = PLANTED[name][0]()
    assert [one.name for one in mined(episodes)] == (["order"] if name == "order" else [])
    assert [one.name for one in mined(episodes, MineSettings((name,)))] == [name]


def test_where_it_was_seen_is_the_evidence() -> None:
    """The third answer of a loop, every refusal, the order's second command."""
    (loop,) = mined(looping(), ALL)
    assert loop.evidence == tuple(Evidence(f"e{n}", 6) for n in range(4))
    assert loop.against == (Evidence("e4", 6),)
    (refused,) = mined(dead(), ALL)
    assert [(one.episode, one.message) for one in refused.evidence] == [
        *[("e0", 2), ("e0", 4), ("e1", 2)],
        *[("e2", 2), ("e2", 4)],
    ]


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seed", range(4))
def test_shuffled_logs_show_nothing(name: PatternName, seed: int) -> None:
    """The same commands, answers and outcomes, long enough, in an order that means nothing."""
    rng = random.Random(f"{name}/{seed}")
    lines: list[Line] = []
    outcomes: list[Outcome] = []
    for _ in range(6):
        for one in PLANTED[name][0]():
            calls = [call for message in one.messages for call in message.tool_calls]
            told = [message for message in one.messages if message.kind == "observe"]
            pairs = zip(calls, told, strict=True)
            lines += [(str(call.arguments["command"]), m.text, m.ok) for call, m in pairs]
            outcomes.append(one.outcome)
    lines += [(f"hum{n}", f"so {n}.", True) for n in range(9 * len(lines))]
    commands, answers = [line[0] for line in lines], [line[1:] for line in lines]
    for column in (commands, answers, outcomes):
        rng.shuffle(column)
    mixed: list[Line] = [(command, *told) for command, told in zip(commands, answers, strict=True)]
    share = len(mixed) // len(outcomes)
    cut = [(mixed[n * share : (n + 1) * share], outcome) for n, outcome in enumerate(outcomes)]
    assert mined(log(*cut), ALL) == ()


def test_what_is_refused_with_several_things_is_told_once() -> None:
    """With three or more; what goes through with one of them is not dead."""
    broken: list[Line] = [(f"wash {thing} with sink 1", "nothing.", False) for thing in ("mug", "cup", "pan")]
    works: Line = ("wash jar with sink 1", "it is clean.", True)
    twice = log((broken, "failure"), (broken, "failure"))
    assert [numbers(one) for one in mined(twice, ALL)] == [
        ("do not wash with sink 1: it does nothing.", 2, 0, 1.0)
    ]
    (one, other) = mined(log((broken[:2], "failure"), (broken[:2], "failure")), ALL)
    assert {one.text, other.text} == {f"do not {line[0]}: it does nothing." for line in broken[:2]}
    assert mined([*twice, episode([works], id="e9")], ALL) == ()


def test_a_tool_that_always_refuses_is_a_principle_of_its_tool() -> None:
    """Whatever its arguments were; one that once answered is not dead."""
    calls = [("c0", "fetch", False), ("c1", "fetch", False), ("c2", "add", False), ("c3", "add", True)]
    messages = tuple(
        message
        for name, tool, ok in calls
        for message in (
            Message("assistant", kind="act", tool_calls=(ToolCall(name, tool, {"x": name}),)),
            Message("tool", "no.", kind="observe", tool_call_id=name, ok=ok),
        )
    )
    twice = [replace(one, messages=messages) for one in log(([], "failure"), ([], "success"))]
    (found,) = principles(twice, ALL)
    assert found.text == "do not call fetch: it does nothing."
    assert found.body == PrincipleBody("tool", "symbolic", 2, 0, 1.0, "dead")


def test_what_names_nothing_may_mean_another_thing_elsewhere() -> None:
    """A button that does nothing at one place; behind three different steps it is dead."""
    press: Line = ("press button", "nothing happens.", False)
    here: list[Line] = [("go to desk 1", "a desk.", True), press]
    assert mined(log(*[(here, "failure")] * 4), MineSettings(("dead",))) == ()
    walks = [[(f"go to desk {n}", "a desk.", True), press] for n in range(3)]
    (found,) = mined(log(*[(walk, "failure") for walk in walks]), MineSettings(("dead",)))  # type: ignore[arg-type]
    assert found.text == "do not press button: it does nothing."


def test_what_a_rule_says_is_not_said_again_by_what_pays() -> None:
    """Of several things that came after, the one that failures ended with is what needs it."""
    wash: Line = ("wash hands", "done.", True)
    go: Line = ("go to desk 2", "you see mug.", True)
    take: Line = ("take mug from desk 2", "you have it.", True)
    broke: Line = ("take mug from desk 2", "you broke a house rule: wash hands before you take it.", False)
    won, lost = ([wash, go, take], "success"), ([go, take], "failure")
    (found,) = mined(log(*[won] * 9, *[lost] * 9), MineSettings(("rule", "success")))  # type: ignore[list-item]
    assert found.text == "wash hands before you take anything."
    told = log(*[won] * 9, *[([go, broke], "failure")] * 9)  # type: ignore[list-item]
    assert [one.name for one in mined(told, MineSettings(("rule", "success")))] == ["rule"]


def test_a_refusal_that_states_a_rule_is_not_dead() -> None:
    """It ends the task and says why: something is needed first."""
    broke: Line = ("take mug", "you broke a house rule: wash hands. the task is lost.", False)
    assert [one.name for one in mined(log(([broke], "failure"), ([broke], "failure")), ALL)] == ["rule"]


def test_orders_that_all_keep_pay_nothing_that_is_known() -> None:
    """Without a failure that did otherwise there is no contrast."""
    kept: Planted = ([LEVER, LOOK], "success")
    assert mined(log(*[kept] * 30, *[([LEVER, LOOK], "failure")] * 3), ALL) == ()  # type: ignore[list-item]


def test_many_coincidences_are_no_order() -> None:
    """Over 100 logs of coins, fewer than one in ten shows an order that pays."""
    found = 0
    for seed in range(100):
        rng = random.Random(seed)
        lived: list[Planted] = []
        for _ in range(30):
            done = rng.sample([(f"{verb} it", "done.", True) for verb in "abcdef"], 4)
            lived.append((done, rng.choice(["success", "failure"])))
        found += bool(mined(log(*lived), MineSettings(("success",))))
    assert found < 10


@given(st.integers(0, 12), st.integers(0, 12), st.data())
def test_exact_test_is_a_tail_of_one(won: int, lost: int, data: st.DataObject) -> None:
    """The tails from each count sum to the whole distribution: 1 at its start, falling after it."""
    drawn = data.draw(st.integers(0, won + lost))
    least, most = max(0, drawn - lost), min(won, drawn)
    tails = [_fisher(hits, drawn - hits, won, lost) for hits in range(least, most + 1)]
    assert tails[0] == pytest.approx(1.0)
    assert tails == sorted(tails, reverse=True)


def test_no_more_than_so_many_of_a_kind() -> None:
    """The best supported ones."""
    lines: list[Line] = [(f"pull lever {n}", "nothing happens.", False) for n in range(9)]
    lived: list[Planted] = [(lines[: 9 - k], "failure") for k in range(4)]
    found = mined(log(*lived), MineSettings(("dead",), max_each=2))
    assert len(found) == 2
    assert {one.support for one in found} == {4}


def test_unknown_patterns_are_refused() -> None:
    """With the names there are."""
    with pytest.raises(BadInput, match="there is no pattern 'hunch'; there are: rule, order"):
        MineSettings(("hunch",))  # type: ignore[arg-type]


def test_news_are_what_an_episode_shows_or_breaks() -> None:
    """With all that is known of them, for memory counts an episode once; what it leaves alone is no news."""
    episodes = [*looping(), episode([LOOK] * 3, "failure", id="last")]
    assert news(episodes[:1], "e0", ALL) == ()
    (first,) = news(episodes[:2], "e1", ALL)
    assert first.body == PrincipleBody("family", "symbolic", 2, 0, 1.0, "loop")
    assert [one.body.violations for one in news(episodes[:5], "e4", ALL)] == [1]  # type: ignore[union-attr]
    (late,) = news(episodes, "last", ALL)
    assert late.body == PrincipleBody("family", "symbolic", 5, 1, 5 / 6, "loop", (Evidence("e4", 6),))
    assert late.lineage.evidence[-1] == Evidence("last", 6)
    assert news([*episodes, episode([LOOK], id="none")], "none", ALL) == ()


def test_what_is_a_principle_already_is_counted_on_when_it_is_broken() -> None:
    """It would not be found any more; that is what its violations are to say."""
    kept = log(([LOOK] * 3, "failure"), ([LOOK] * 3, "failure"))
    broken = [replace(one, id=f"x{n}") for n, one in enumerate(log(*[([LOOK] * 3, "success")] * 3))]
    assert news([*kept, *broken], "x2", ALL) == ()
    (text,) = {one.text for one in mined(kept, ALL)}
    (found,) = news([*kept, *broken], "x2", replace(ALL, known=frozenset({text})))
    assert (found.body.support, found.body.violations) == (2, 3)  # type: ignore[union-attr]


def test_rules_are_counted_once_an_episode() -> None:
    """The second episode that states one is told with the first."""
    broke: Line = ("take mug", "you broke a house rule: wash hands. the task is lost.", False)
    told = log(([broke], "failure"), ([broke], "failure"))
    assert [one.body.support for one in news(told[:1], "e0")] == [1]  # type: ignore[union-attr]
    assert [one.body.support for one in news(told, "e1")] == [2]  # type: ignore[union-attr]
