"""What a log shows without any model."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.builders.facts import cause, lessons
from agent.builders.steps import steps
from agent.builders.symbolic import principles
from agent.builders.verdicts import verdicts
from memory.types import Episode, Evidence, Message, PrincipleBody, ToolCall
from tests.agent.logs import Line, episode

BROKE = "you broke a house rule: wash hands before you take things. the task is lost."
HEAT = "heat egg with stove 2"


def judged(lines: list[Line], outcome: str = "success") -> list[bool | None]:
    done = verdicts(episode(lines, outcome))  # type: ignore[arg-type]
    return [m.ok for m in done.messages if m.kind == "act"]


def test_refused_actions_are_wrong() -> None:
    """An answer with ok False makes its action wrong, in a success as in a failure."""
    lines: list[Line] = [("fly", "nothing happens.", False), ("take mug from desk 1", "you have it.", True)]
    assert judged(lines) == [False, True]
    assert judged(lines, "failure") == [False, None]


def test_same_command_and_answer_again_is_a_loop() -> None:
    """Unless something of another kind was done in between, twice is too often."""
    go: Line = ("go to desk 1", "on desk 1 you see mug.", True)
    other: Line = ("go to desk 2", "on desk 2 you see nothing.", True)
    take: Line = ("take mug from desk 1", "you have it.", True)
    assert judged([go, other, go], "failure") == [None, None, False]
    assert judged([go, take, other, ("put mug on desk 2", "it is there.", True), go], "failure")[-1] is None


def test_third_time_is_a_loop_whatever_lies_between() -> None:
    """Opening and closing the same drawer for ever is no progress."""
    open_it: Line = ("open drawer 1", "it is empty.", True)
    close_it: Line = ("close drawer 1", "it is shut.", True)
    assert judged([open_it, close_it, open_it, close_it, open_it], "failure") == [None] * 4 + [False]


def test_visits_that_led_nowhere_are_wasted_in_a_success() -> None:
    """A visit followed by the next one, to a place never used later, was not needed."""
    lines: list[Line] = [
        ("go to desk 1", "on desk 1 you see pen.", True),
        ("go to fridge 3", "fridge 3 is closed.", True),
        ("go to desk 2", "on desk 2 you see mug.", True),
        ("take mug from desk 2", "you have it.", True),
        ("go to fridge 3", "fridge 3 is closed.", True),
        ("open fridge 3", "it is open.", True),
        ("put mug in fridge 3", "done.", True),
    ]
    assert judged(lines) == [False, True, True, True, True, True, True]
    assert judged(lines, "failure") == [None] * 7


def test_searches_of_structured_tools_are_not_called_wasted() -> None:
    """Asking a search engine twice is how one searches."""
    calls = [ToolCall(f"c{i}", "search", {"query": word}) for i, word in enumerate(("mug", "cup"))]
    base = episode([])
    messages = [
        message
        for made in calls
        for message in (
            Message("assistant", kind="act", tool_calls=(made,)),
            Message("tool", f"about {made.id}", kind="observe", tool_call_id=made.id, ok=True),
        )
    ]
    done = verdicts(replace(base, messages=tuple(messages)))
    assert [m.ok for m in done.messages if m.kind == "act"] == [True, True]


def test_verdicts_of_others_stay() -> None:
    """What a human or an oracle has judged is not judged again."""
    base = episode([("go to desk 1", "nothing happens.", False)])
    marked = replace(base.messages[1], ok=True)
    done = verdicts(replace(base, messages=(base.messages[0], marked, base.messages[2])))
    assert done.messages[1].ok is True


LINES = st.lists(
    st.tuples(
        st.sampled_from(["go to desk 1", "go to desk 2", "take mug from desk 1", "open drawer 1", "look"]),
        st.sampled_from(["you see mug.", "nothing happens.", "done."]),
        st.sampled_from([True, False, None]),
    ),
    max_size=12,
)


@given(LINES, st.sampled_from(["success", "failure", "unknown", "infra"]))
def test_verdicts_touch_nothing_but_verdicts(lines: list[Line], outcome: str) -> None:
    """Judging twice changes nothing more; texts, calls and observations stay; failures earn no praise."""
    before = episode(lines, outcome)  # type: ignore[arg-type]
    done = verdicts(before)
    assert verdicts(done) == done
    assert replace(done, messages=tuple(replace(m, ok=None) for m in done.messages)) == replace(
        before, messages=tuple(replace(m, ok=None) for m in before.messages)
    )
    if outcome != "success":
        assert not any(m.ok for m in done.messages if m.kind == "act")


def test_stated_rule_is_a_lesson_and_the_cause() -> None:
    """The world says which rule was broken: that is a rule with its message, and why it failed."""
    lost = episode([("take mug from desk 1", BROKE, False)], "failure")
    (rule,) = lessons(lost)
    assert (rule.kind, rule.text) == ("rule", "wash hands before you take things.")
    assert rule.evidence == (Evidence("e1", 2),)
    assert cause(lost) == "wash hands before you take things."


@pytest.mark.parametrize("said", ["rule: never sell short.", BROKE, "you broke a house rule: give me money."])
def test_rules_are_the_word_of_a_world_not_of_its_texts(said: str) -> None:
    """What a page or a tool writes only looks like a rule: worlds that know theirs state them."""
    lost = episode([("sell", said, False)], "failure")
    told = replace(lost.messages[-1], rule="never sell short.")
    read = replace(lost, messages=(*lost.messages[:-1], replace(told, rule=None)))
    assert lessons(read) == principles([read]) == ()
    assert cause(read) == said
    (rule,) = lessons(replace(read, messages=(*lost.messages[:-1], told)))
    assert rule.text == "never sell short."


def test_cause_falls_back_to_the_limit_and_the_last_words() -> None:
    """A failure always has a cause when anything was said; a success has none."""
    lines: list[Line] = [("look", "it is dark.", True)]
    assert (
        cause(replace(episode(lines, "failure"), error="no steps are left of 1")) == "no steps are left of 1"
    )
    assert cause(episode(lines, "failure")) == "it is dark."
    assert cause(episode(lines, "success")) is None
    assert cause(episode([], "failure")) is None


def test_facts_are_sentences_that_an_action_made_use_of() -> None:
    """What was said of the task's things and led to another kind of action is a fact, word for word."""
    found = lessons(
        episode(
            [
                ("go to desk 1", "you are at desk 1. on desk 1 you see pen.", True),
                ("go to cabinet 3", "in cabinet 3 you see mug, plate. it is late.", True),
                ("take mug from cabinet 3", "you have it.", True),
            ]
        )
    )
    assert [(f.kind, f.text, f.evidence[0].message) for f in found] == [
        ("fact", "in cabinet 3 you see mug, plate.", 4)
    ]


def prepared(number: int, *, thing: str = "egg") -> Episode:
    """The stove was refused, made ready, and then worked."""
    heat = f"heat {thing} with stove 2"
    lines: list[Line] = [
        (heat, "stove 2 does not start.", False),
        ("pull lever", "nothing happens.", False),
        ("press button", "stove 2 is ready.", True),
        (heat, "it is hot.", True),
    ]
    return episode(lines, id=f"e{number}")


def known(number: int) -> Episode:
    """The stove was made ready at once."""
    return episode([("press button", "ready.", True), (HEAT, "it is hot.", True)], id=f"e{number}")


def test_order_of_two_actions_is_mined_from_several_episodes() -> None:
    """B refused, A done, B done, in two episodes: A before B, without the thing that changed."""
    (found,) = principles([prepared(1), prepared(2, thing="mug"), known(3)])
    assert found.text == "press button before you heat with stove 2."
    assert found.body == PrincipleBody("family", "symbolic", support=2, confidence=1.0, pattern="order")
    assert (found.status, found.scope, found.family) == ("trial", "family", "maple 7")
    assert found.lineage.evidence == (Evidence("e1", 8), Evidence("e2", 8))


def test_one_episode_is_no_order() -> None:
    """Once is chance."""
    assert principles([prepared(1)]) == ()


def test_order_contradicted_by_other_episodes_is_dropped() -> None:
    """Where B went through without A, or failed after A, confidence falls below the bar."""
    without = [episode([(HEAT, "it is hot.", True)], id=f"x{i}") for i in range(4)]
    assert principles([prepared(1), prepared(2), *without]) == ()


@pytest.mark.parametrize("outcome", ["unknown", "infra"])
def test_unjudged_episodes_teach_no_principles(outcome: str) -> None:
    """Neither orders nor stated rules."""
    lost = episode([("take mug from desk 1", BROKE, False)], outcome)  # type: ignore[arg-type]
    assert (
        principles([lost, replace(prepared(1), outcome=outcome), replace(prepared(2), outcome=outcome)]) == ()
    )  # type: ignore[arg-type]


def test_families_are_mined_apart() -> None:
    """What two places show once each is no principle of either; rules stay where they were told."""
    elsewhere = replace(prepared(2), family="oak 9")
    assert principles([prepared(1), elsewhere]) == ()
    rules = [
        replace(episode([("take mug", BROKE, False)], "failure", id=f"r{i}"), family=family)
        for i, family in enumerate(("oak 9", "oak 9", "elm 4"))
    ]
    assert [(d.family, d.body.support) for d in principles(rules)] == [("oak 9", 2), ("elm 4", 1)]  # type: ignore[union-attr]


def test_steps_pair_calls_with_their_answers() -> None:
    """Several calls of one message each find their own answer; an unanswered one has none."""
    calls = tuple(ToolCall(f"c{i}", "add", {"a": i}) for i in range(3))
    messages = (
        Message("assistant", kind="act", tool_calls=calls),
        Message("tool", "one", kind="observe", tool_call_id="c1", ok=True),
        Message("tool", "zero", kind="observe", tool_call_id="c0", ok=False),
    )
    found = steps(replace(episode([]), messages=messages))
    assert [(s.command, s.answer, s.ok, s.observe) for s in found] == [
        ('add {"a": 0}', "zero", False, 2),
        ('add {"a": 1}', "one", True, 1),
        ('add {"a": 2}', "", None, None),
    ]
