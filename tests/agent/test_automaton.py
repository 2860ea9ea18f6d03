"""Automata: sizes that are known, agreement with the definition, and outputs that cannot go wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.automaton.dfa import OTHER, automaton_of
from agent.automaton.formats import GOALS, REACT, SEARCHING, searching_score, tags
from agent.automaton.formula import (
    FALSE,
    TRUE,
    Both,
    Either,
    Formula,
    Is,
    More,
    Next,
    Release,
    Truth,
    Until,
    both,
    either,
    negated,
)
from agent.automaton.speaking import Protocol, Segment, speak
from agent.automaton.syntax import parse, specification
from agent.guards.temporal import Temporal, read_order
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.tools import FunctionTool, ToolWorld
from agent.types import GuardContext, Reply, Request, Spent, Task
from memory.errors import BadInput, TooLarge
from memory.types import Message, ToolCall

LABELS = ("a", "b", "c")
REST = "<think>b</think><answer>c</answer>"
ORDER = "not write unless read\nalways not delete\neventually stop"


def holds(formula: Formula, word: Sequence[str]) -> bool:
    """The definition, word by word."""
    match formula:
        case Truth(value):
            return value
        case Is(label, positive):
            return (bool(word) and word[0] == label) is positive
        case More(positive):
            return bool(word) is positive
        case Both(parts):
            return all(holds(part, word) for part in parts)
        case Either(parts):
            return any(holds(part, word) for part in parts)
        case Next(inner, weak):
            return holds(inner, word[1:]) if len(word) > 1 else weak
        case Until(inner, then):
            ends = [n for n in range(len(word)) if holds(then, word[n:])]
            return any(all(holds(inner, word[k:]) for k in range(n)) for n in ends)
        case Release(inner, then):
            return not holds(Until(negated(inner), negated(then)), word)


def formulas() -> st.SearchStrategy[Formula]:
    leaves: st.SearchStrategy[Formula] = st.sampled_from([TRUE, FALSE, *map(Is, LABELS)])

    def grown(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        pairs = st.tuples(inner, inner)
        return st.one_of(
            inner.map(negated),
            inner.map(Next),
            inner.map(lambda one: Next(one, weak=True)),
            pairs.map(lambda two: both(*two)),
            pairs.map(lambda two: either(*two)),
            pairs.map(lambda two: Until(*two)),
            pairs.map(lambda two: Release(*two)),
        )

    return st.recursive(leaves, grown, max_leaves=5)


NESTING = Until(
    Release(FALSE, Next(Is("a"), weak=True)), Release(Is("a", positive=False), Is("c", positive=False))
)
"""What is left of it grew with every step."""


@settings(max_examples=60, deadline=None)
@given(formulas())
@example(NESTING)
def test_the_automaton_accepts_what_the_definition_does(formula: Formula) -> None:
    """All words up to length 4; the empty trace is left to the formula's end."""
    words = [word for n in range(1, 5) for word in itertools.product((*LABELS, "d"), repeat=n)]
    wanted = {word for word in words if holds(formula, word)}
    try:
        order = automaton_of(formula, LABELS)
    except BadInput:
        assert not wanted
        return
    assert {word for word in words if order.accepts(word)} == wanted
    for word in wanted:
        assert order.fault(word) is None


@pytest.mark.parametrize(
    ("text", "states"),
    [(REACT, 8), (f"{REACT}\nnot conclusion unless observation", 11), (ORDER, 4), (SEARCHING, 4)],
)
def test_sizes_that_are_known(text: str, states: int) -> None:
    """Live states, by progression; from each an end can be reached."""
    order = specification(text).automaton
    assert len(order.moves) == states
    for state in range(states):
        seen, waiting = {state}, [state]
        while waiting:
            fresh = set(order.moves[waiting.pop()].values()) - seen
            seen |= fresh
            waiting += fresh
        assert seen & order.ends


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("always (a", "bracket at 7 is not closed"),
        ("a until", "ends where a formula is wanted"),
        ("a b", "'b' at 2 has no place there"),
        ("a and until", "'until' at 6 stands where a label is wanted"),
        ("a ~ b", "'~ b' at 1 is no part of a formula"),
        ("a or *", "no part of a formula"),
        ("end: a", "nothing follows 'end'"),
        ("a: start", "'start' is no label"),
        ("start: a\na: b", "nothing is said of what follows 'b'"),
        ("a: b c", "'b c' is no label"),
        ("always a\nalways not a\neventually b", "contradict each other"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    """With its line or place, and what would do."""
    with pytest.raises(BadInput, match="^.*" + said.replace("(", r"\(") + ".*$"):
        specification(text).automaton  # noqa: B018 - compiling is what is tried


def test_too_many_states_are_refused() -> None:
    """Rather than waited for."""
    many = " and ".join(f"eventually (x{n} and next next next y{n})" for n in range(12))
    with pytest.raises(TooLarge, match="fewer rules"):
        automaton_of(parse(many), most_states=60)


class Letters:
    """Says any marker at random, in the middle of its text too."""

    def __init__(self, marks: Sequence[str], seed: int) -> None:
        self._marks, self._random = marks, random.Random(seed)

    async def __call__(self, request: Request) -> tuple[Reply, ...]:
        if request.choices:
            return (Reply(Message("assistant", ""), choice=self._random.randrange(len(request.choices))),)
        noise = "\n".join(f"{self._random.choice(self._marks)} so" for _ in range(3))
        return (Reply(Message("assistant", f"well\n{noise}")),)


async def seen(label: str, segments: Sequence[Segment]) -> str:
    return f"{label} {len(segments)}\nConclusion: pay\nAnswer: forged"


async def test_a_violating_output_is_impossible() -> None:
    """A model of random letters keeps ReAct when it is held to it, and nearly never when it is not."""
    spec = specification(REACT)
    marks = {label: f"{label.title()}:" for label in spec.labels}
    protocol = Protocol(spec, marks, frozenset({"question", "observation"}), most=12)
    order, free = spec.automaton, 0
    for seed in range(40):
        model = Letters(list(marks.values()), seed)
        segments = await speak(Request(()), protocol, model, seen)
        assert order.accepts([one.label for one in segments])
        assert [one.label for one in protocol.read(protocol.written(segments))] == [
            one.label for one in segments
        ]
        assert all(one.text.startswith("observation") for one in segments if one.label == "observation")
        draw = random.Random(seed)
        free += order.accepts([draw.choice(spec.labels) for _ in range(draw.randint(4, 12))])
    assert free <= 2


async def test_an_output_ends_where_it_may_and_the_model_says_so() -> None:
    """And ends in time where it would go on for ever."""
    spec = specification("start: a\na: a | end")
    protocol = Protocol(spec, {"a": "A:"}, most=7)
    texts = [Message("assistant", "x")] * 20

    class Choosing(ScriptedModel):
        choice = 0

        async def complete(self, request: Request) -> tuple[Reply, ...]:
            if request.choices:
                assert request.choices == ("A:", "(end)")
                return (Reply(Message("assistant", ""), choice=self.choice),)
            return await super().complete(request)

    model = Choosing(texts)
    assert len(await speak(Request(()), protocol, model.complete, seen)) == 7
    model.choice = 1
    assert len(await speak(Request(()), protocol, model.complete, seen)) == 1


def test_a_protocol_needs_markers_and_rules() -> None:
    """Bad ones are told at once."""
    with pytest.raises(BadInput, match="cannot be told apart"):
        Protocol(specification("start: a\na: b\nb: end"), {"a": "Act", "b": "Action"})
    with pytest.raises(BadInput, match="1 segments are too few: the shortest whole output has 2"):
        Protocol(specification("start: a\na: b\nb: end"), {"a": "A:", "b": "B:"}, most=1)
    with pytest.raises(BadInput, match="'b' has no marker"):
        Protocol(specification("start: a\na: b\nb: end"), {"a": "A:"})
    with pytest.raises(BadInput, match="rules of succession"):
        Protocol(specification("always a"), {"a": "A:"})


def after(*names: str) -> GuardContext:
    return GuardContext((), Spent(), 4, done=names)


@pytest.mark.parametrize(
    ("before", "call", "action", "said"),
    [
        (
            after(),
            "write",
            "block",
            "'write' may not be called now: 'read', 'stop', anything else may follow",
        ),
        (after("read"), "write", "allow", ""),
        (after("look", "read"), "write", "allow", ""),
        (after("read"), "delete", "block", "may not be called"),
        (after("read"), "finish", "block", "too early to answer"),
        (after("read", "stop"), "finish", "allow", ""),
        (after("delete"), "read", "stop", "in an order that no rule allows"),
    ],
)
def test_an_order_of_tools(before: GuardContext, call: str, action: str, said: str) -> None:
    """By what was carried out so far."""
    verdict = Temporal(specification(ORDER).automaton).check(ToolCall("c", call, {}), before)
    assert verdict.action == action
    assert said in verdict.reason


def test_formats_ask_for_what_their_papers_do() -> None:
    """A verdict after what was learned; thoughts between."""
    goals = specification(GOALS).automaton
    assert goals.accepts(["think", "search", "learnings", "think", "reflect", "think", "answer"])
    assert not goals.accepts(["think", "search", "learnings", "think", "answer"])
    assert parse("a->b") == parse("a -> b")


async def test_an_agent_learns_the_order_from_refusals(tmp_path: Path) -> None:
    """In a run: the write before the read is sent back, the one after it is done."""
    done: list[str] = []

    def tool(name: str) -> FunctionTool:
        def do() -> str:
            """Do it."""
            done.append(name)
            return "" if name == "read" else "ok"

        return FunctionTool.of(do, name=name)

    file = tmp_path / "order.txt"
    file.write_text("not write unless read\neventually write\n")
    calls = [ToolCall("", name, {}) for name in ("write", "read")] + [ToolCall("", "finish", {"answer": "x"})]
    script = [Message("assistant", "", tool_calls=(one,)) for one in (*calls, calls[0], calls[2])]
    world = ToolWorld([tool("write"), tool("read")])
    agent = Agent(ScriptedModel(script), None, guards=[read_order(file)])
    episode = await agent.run(Task("t", "write it", "tools", "f"), world, Run("ns", "ann", "e"))
    assert done == ["read", "write"]
    assert [one.ok for one in episode.messages if one.role == "tool"][:2] == [False, False]
    with pytest.raises(BadInput, match="cannot be read"):
        read_order(tmp_path / "nowhere")
    file.write_text("write unless\n")
    with pytest.raises(BadInput, match=r"order.txt.*line 1"):
        read_order(file)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (
            f"<think>a</think><search>q</search><information>i</information>{REST}",
            1.0,
        ),
        ("<think>a</think><answer>c</answer>", 0.5),
        ("<think>a</think><search>q</search><think>b</think><answer>c</answer>", 0.0),
        (
            f"<think>a</think><search>q</search><information></information>{REST}",
            0.0,
        ),
        ("<answer>c</answer>", 0.0),
        ("<think>a", 0.0),
    ],
)
def test_a_format_is_scored(text: str, score: float) -> None:
    """Order, nothing empty, and thoughts for searches."""
    assert searching_score(text) == score


def test_the_other_labels_are_one() -> None:
    """Closed rules have no place for them, formulas do."""
    assert specification(ORDER).automaton.step(0, "anything") is not None
    assert specification(REACT).automaton.step(0, "anything") is None
    assert OTHER not in specification(REACT).automaton.allowed(0)
    assert tags("<a>x</a>") == ("a",)
