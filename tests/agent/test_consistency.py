"""Consistency: features by hand, questions and plans, the rule, and planted wrong runs beside a judge."""

import json
import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.critics.consistency import Consistency, Fitted, Verdict, load, planned, questions, save
from agent.critics.trajectories import (
    Graph,
    argument_overlap,
    edit_distance,
    edit_likeness,
    features,
    graph_distance,
    graph_likeness,
)
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import Observation, Request, Task, ToolSpec
from agent.verification.verify import Verifier
from distill.critic import auc
from memory.errors import BadInput
from memory.types import Json, Message, ToolCall
from tests.agent.asks import Asked, last
from tests.agent.planted import ENCODER, TOOLS, judged_by_looks, runs

CRITIC = Consistency(ENCODER)


def run(*names: str, **arguments: str) -> list[ToolCall]:
    return [ToolCall(str(place), name, dict(arguments)) for place, name in enumerate(names)]


# Features, by hand.


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("abc", "abc", 0),
        ("abc", "abd", 1),
        ("abc", "ac", 1),
        ("abc", "cba", 2),
        ("", "ab", 2),
        ("ab", "xy", 2),
    ],
)
def test_edit_distances_are_those_one_finds_by_hand(one: str, other: str, distance: int) -> None:
    """Insertions, deletions, changes."""
    assert edit_distance(one, other) == distance
    assert edit_likeness(list(one), list(other)) == pytest.approx(1.0 - distance / max(len(one), len(other)))


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("abc", "abc", 0),
        ("abc", "xbc", 1),  # a is renamed
        ("abc", "ab", 2),  # c goes, and the edge to it
        ("abc", "acb", 2),  # b and c change names
        ("ab", "abab", 1),  # the edge back
        ("aa", "a", 1),  # the edge to itself
        ("abc", "bc", 2),
        ("ab", "", 3),
        ("", "", 0),
    ],
)
def test_graph_edit_distances_are_those_one_finds_by_hand(one: str, other: str, distance: int) -> None:
    """Nodes in, out or renamed; edges in or out."""
    assert graph_distance(Graph.of(one), Graph.of(other)) == distance
    size = Graph.of(one).size + Graph.of(other).size
    assert graph_likeness(list(one), list(other)) == pytest.approx(1.0 - distance / size if size else 1.0)


short = st.text("abc", max_size=4)


@given(short, short)
def test_distances_are_those_of_a_slow_reference(one: str, other: str) -> None:
    """All ways to match, without bounds; symmetric, and nothing only for the same graph."""
    first, second = Graph.of(one), Graph.of(other)
    assert graph_distance(first, second) == slow_distance(first, second) == graph_distance(second, first)
    assert (graph_distance(first, second) == 0) == (
        set(first.nodes) == set(second.nodes) and first.edges == second.edges
    )
    assert edit_distance(one, other) == edit_distance(other, one) <= max(len(one), len(other))


def slow_distance(one: Graph, other: Graph) -> int:
    """The cheapest of all injective maps of nodes, counted from the definition."""
    costs = []
    for images in product((*other.nodes, None), repeat=len(one.nodes)):
        used = [image for image in images if image is not None]
        if len(set(used)) < len(used):
            continue
        image_of = dict(zip(one.nodes, images, strict=True))
        moved = {(image_of[a], image_of[b]) for a, b in one.edges}
        kept = {pair for pair in moved if None not in pair}
        nodes = sum(a != b for a, b in image_of.items()) + len(other.nodes) - len(used)
        dropped = sum(None in (image_of[a], image_of[b]) for a, b in one.edges)
        costs.append(nodes + dropped + len(kept ^ other.edges))
    return min(costs)


def test_arguments_overlap_by_tool_name_and_value() -> None:
    """The same value for another tool, or under another name, is not the same."""
    assert argument_overlap(run("open", what="box"), run("open", what="box")) == 1.0
    assert argument_overlap(run("open", what="box"), run("shut", what="box")) == 0.0
    assert argument_overlap(run("open", what="box", how="slow"), run("open", what="box")) == 0.5
    assert argument_overlap(run("look"), run("look")) == 1.0


def test_features_are_means_over_the_alternates() -> None:
    """Of a run beside itself all are 1; beside others the mean."""
    base = run("find", "open", "take", what="box")
    assert features(base, [base, base], ENCODER).row == pytest.approx((1.0,) * 5)
    found = features(base, [base, run("sing", where="hall")], ENCODER)
    assert (found.exact, found.edit, found.arguments) == (0.5, 0.5, 0.5)
    assert found.graph == pytest.approx((1.0 + 0.0) / 2 + 0.5 / 6, abs=0.1)
    assert 0.4 < found.meaning < 0.8


# Questions, plans, the rule, the classifier.


class Assistant:
    """Makes three questions of an answer; plans for each what `plans` say of it."""

    def __init__(self, plans: dict[str, list[str]]) -> None:
        self.plans = plans

    def __call__(self, request: Request) -> str:
        assert request.schema is not None
        if "questions" in request.schema["required"]:
            return json.dumps({"questions": list(self.plans)})
        named = next(one for one in self.plans if one in last(request))
        return json.dumps({"calls": [{"tool": name, "arguments": {"id": "7"}} for name in self.plans[named]]})


async def verdict_on(plans: dict[str, list[str]]) -> tuple[Verdict, Asked]:
    ask = Asked(Assistant(plans))
    tools = [ToolSpec(name, "", {"type": "object"}) for name in ("get_order", "refund", "cancel", "finish")]
    base = run("get_order", "refund", id="7")
    return await CRITIC.judge("Order 7 was refunded.", base, ask, planned(ask, tools)), ask


async def test_a_run_is_trusted_when_questions_made_from_its_answer_lead_to_the_same_calls() -> None:
    """And not when they scatter; the first question is never shown."""
    same, ask = await verdict_on(
        {"please refund 7": ["get_order", "refund"], "7 back": ["get_order", "refund"]}
    )
    assert (same.judgement.ok, same.judgement.score) == (True, 1.0)
    assert "finish" not in last(ask.heard[-1])
    other, _ = await verdict_on(
        {"stop order 7": ["cancel"], "where is 7?": ["get_order"], "refund 7": ["refund"]}
    )
    assert other.judgement.ok is False
    assert other.features is not None
    assert other.features.edit == pytest.approx((0.0 + 0.5 + 0.5) / 3)


async def test_without_a_question_nothing_is_said() -> None:
    """Nothing is not trust."""
    ask = Asked(lambda request: "I would rather not")
    found = await CRITIC.judge("done", run("refund"), ask, planned(ask, ()))
    assert (found.judgement.ok, found.features) == (None, None)
    assert await questions(ask, "done", 3) == ()


async def test_at_most_so_many_different_questions_are_asked() -> None:
    """Each once."""
    ask = Asked(lambda request: json.dumps({"questions": ["a", "a", "b", "c", "d"]}))
    assert await questions(ask, "done", 3) == ("a", "b", "c")


def test_a_fitted_classifier_decides_in_the_place_of_the_rule(tmp_path: Path) -> None:
    """Saved as numbers in JSON, for one encoder."""
    trusting = Fitted((0.0,) * 5, (1.0,) * 5, (0.0,) * 5, 3.0, ENCODER.generation)
    base, others = run("refund"), [run("cancel"), run("look")]
    assert CRITIC.compared(base, others).judgement.ok is False
    assert Consistency(ENCODER, trusting).compared(base, others).judgement.ok is True
    save(trusting, tmp_path / "c")
    assert load(tmp_path / "c", ENCODER.generation) == trusting
    with pytest.raises(BadInput, match="fit it again"):
        load(tmp_path / "c", "another")
    with pytest.raises(BadInput, match=r"distill\.consistency"):
        load(tmp_path / "nothing", ENCODER.generation)


# In a run whose world does not say how it went.


class Shop:
    """Takes every call, and does not tell how it went."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(name, "", {"type": "object"}) for name in ("get_order", "refund", "finish"))

    async def reset(self, task: Task) -> Observation:
        return Observation("a shop")

    async def step(self, call: ToolCall) -> Observation:
        return Observation("fine", ok=True, done=call.name == "finish")


def clerk(sure: bool) -> FunctionModel:
    """Looks at the order and refunds it; asked again it does the same, or something else each time."""
    script = iter(["get_order", "refund", "finish"])
    plans = iter([["get_order", "refund"]] * 3 if sure else [["refund"], ["get_order"], []])

    def says(messages: tuple[Message, ...]) -> Message:
        told = messages[-1].text
        if "different questions" in told:
            return Message("assistant", json.dumps({"questions": ["refund 7?", "7, money back", "return 7"]}))
        if "Which of these tools" in told:
            calls = [{"tool": name, "arguments": {"id": "7"}} for name in next(plans)]
            return Message("assistant", json.dumps({"calls": calls}))
        name = next(script)
        arguments: dict[str, Json] = {"answer": "Order 7 is refunded."} if name == "finish" else {"id": "7"}
        return Message("assistant", "", tool_calls=(ToolCall("c", name, arguments),))

    return FunctionModel(says)


@pytest.mark.parametrize(("sure", "outcome", "by"), [(True, "success", "judge"), (False, "unknown", None)])
async def test_a_run_that_nobody_judged_is_a_success_only_if_it_is_consistent(
    sure: bool, outcome: str, by: str | None
) -> None:
    """What scatters is no failure either; the features stay with the episode, the cost with its learning."""
    model = clerk(sure)
    agent = Agent(model, None, verifier=Verifier(model, consistency=CRITIC))
    episode = await agent.run(Task("t", "refund order 7", "shop", "shop"), Shop(), Run("n", "p", "e"))
    assert (episode.outcome, episode.outcome_by) == (outcome, by)
    said = episode.feedback["verification"]
    assert isinstance(said, dict)
    assert isinstance(said["features"], dict)
    assert (said["features"]["edit"] == 1.0) is sure
    assert (episode.usage.calls, episode.learning.calls) == (3, 4)


# Planted wrong runs: right ones change little from question to question, wrong ones much.


def test_the_rule_tells_planted_wrong_runs_from_right_ones_and_a_judge_by_looks_does_not() -> None:
    """Area under the curve over .9 without a label; a judge who looks at the run alone has less."""
    planted = runs(200, random.Random(5))
    went_well = np.array([one.is_right for one in planted], dtype=np.float64)
    scores = np.array([CRITIC.compared(one.base, one.alternates).judgement.score for one in planted])
    judge = np.array([judged_by_looks(one) for one in planted])
    assert auc(scores, went_well) > 0.9
    assert auc(judge, went_well) < auc(scores, went_well) - 0.1
    assert sum(went_well) in range(60, 140)
    assert {call.name for one in planted for call in one.base} <= set(TOOLS)
