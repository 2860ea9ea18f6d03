"""Planner `explore`: a call that cannot be made is mended before it is made; an expected end ends it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.planners.explore import Explore
from agent.planners.places import fault_of
from agent.types import ANSWER_TOOL, Observation, Reply, ToolSpec
from agent.verification.verify import Verifier
from memory.types import Episode, Message, ToolCall
from tests.agent.test_search_planners import (
    GO,
    LAMP,
    RUN,
    TASK,
    Rooms,
    Speak,
    call,
    explorer,
    go,
    judged,
    lived,
    scene,
)

WRONG = {
    "arguments": Message("assistant", "", tool_calls=(ToolCall("", "go", {"door": "west"}),)),
    "name": Message("assistant", "", tool_calls=(ToolCall("", "walk", {"to": "west"}),)),
    "words": Message("assistant", "Action: go {to: west"),
}
TOLD = "That call cannot be made: "


def clumsy(wrong: Message, *, learns: bool = True) -> Speak:
    """As the explorer, but what it says first cannot be made; when told, it says what it meant."""

    def speak(messages: tuple[Message, ...]) -> Message:
        told = [n for n, one in enumerate(messages) if TOLD in one.text]
        said = explorer()(messages[: told[0] - 1] if told else messages)
        return wrong if said.tool_calls and not (told and learns) else said

    return speak


@pytest.mark.parametrize("kind", sorted(WRONG))
async def test_a_call_that_cannot_be_made_is_mended_before_it_is_made(kind: str) -> None:
    """The lamp is found and the world hears no call at fault; without repairs nothing is found."""
    mended, model = await lived(clumsy(WRONG[kind]), Explore())
    made, _ = await lived(clumsy(WRONG[kind]), Explore(repairs=0))
    assert (mended.outcome, made.outcome) == ("success", "failure")
    assert not [one for one in mended.messages if one.ok is False and "there is no such door" not in one.text]
    told = [request.messages[-1].text for request in model.history if TOLD in request.messages[-1].text]
    reasons = {
        "arguments": "'to' is a required property",
        "name": "there is no tool 'walk'",
        "words": "not JSON",
    }
    assert told
    assert all(reasons[kind] in one for one in told)


async def test_it_is_mended_three_times_at_most_then_the_place_is_given_up() -> None:
    """Three places at the root, four proposals each, and not one step; then turns of the model."""
    journal = MemoryJournal()
    model = FunctionModel(clumsy(WRONG["name"], learns=False))
    task = replace(TASK, max_steps=2)
    episode = await Agent(model, None, planner=Explore(expects=False)).run(task, Rooms(), RUN, journal)
    assert sum(name.startswith("ask ") for name in journal.record) == 12
    assert (episode.outcome, episode.steps) == ("failure", 2)


def test_what_was_meant_as_a_call_is_no_answer() -> None:
    """Words may be the answer; a call that cannot be read may not."""
    tools = (ToolSpec("go", "", GO), ToolSpec(ANSWER_TOOL, "", {"type": "object"}))
    for text, fault in (
        ("Action: go {to", "the arguments of 'go' are not JSON"),
        ('Action: fly {"to": "x"}', "there is no tool 'fly'"),
        ("It is in the cellar.", None),
        ('Action: go {"to": "west"}', None),
    ):
        found = fault_of(Reply(Message("assistant", text)), tools)
        assert (found or "").startswith(fault or "")
        assert bool(found) == bool(fault)
    assert fault_of(Reply(Message("assistant", "well")), tools[:1]) == "there is no call in it"


@dataclass
class Quiet(Rooms):
    """The same rooms; nobody says that something is found."""

    async def step(self, call: ToolCall) -> Observation:
        return replace(await super().step(call), done=False, outcome=None)


STAIRS = "house/west/stairs."


def expecting(end: str = STAIRS, *, says: str | None = None) -> Speak:
    """As the explorer, and knows what it looks for; misled, it thinks most of the closet behind it."""

    def speak(messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if '"expected"' in text:
            return Message("assistant", says or json.dumps({"expected": end}))
        if '"effect"' not in text:
            return explorer()(messages)
        place, _ = scene(messages)
        seen = next(one.text for one in reversed(messages) if one.role == "tool")
        word = judged(place) | ({"effect": 9, "promise": 9} if "closet" in place else {})
        is_asked = f"Expected at the end: {end}" in text
        return Message("assistant", json.dumps(word | ({"met": end in seen} if is_asked else {})))

    return speak


def places(episode: Episode) -> list[str]:
    return [scene([one])[0] for one in episode.messages if one.role == "tool" and "you are in" in one.text]


async def test_exploring_ends_where_the_expected_end_is_seen() -> None:
    """And the run goes on from there; without an expectation it walks on to what it thinks best."""
    met, model = await lived(expecting(), Explore(simulates=False), Quiet())
    on, walked = await lived(expecting(), Explore(simulates=False, expects=False), Quiet())
    told, walked_on = ([request.messages for request in one.history] for one in (model, walked))
    assert '"expected"' in told[0][-1].text
    assert any(one.text == f"Expected at the end: {STAIRS}" for one in met.messages)
    assert judgements(told) < judgements(walked_on)
    assert "west/stairs/closet" not in places(met)[: judgements(told)]
    assert "west/stairs/closet" in places(on)[: judgements(walked_on)]
    first_turn = told[max(n for n, one in enumerate(told) if '"effect"' in one[-1].text) + 1]
    assert scene(first_turn)[0] == "west/stairs"


async def test_a_model_that_expects_nothing_explores_as_before() -> None:
    """What cannot be read, or is empty, is no expectation."""
    for says in ("hm", '{"expected": " "}'):
        episode, model = await lived(expecting(says=says), Explore())
        assert episode.outcome == "success"
        assert not any('"met": true' in one.messages[-1].text for one in model.history)


def judgements(told: list[tuple[Message, ...]]) -> int:
    """How many places were judged."""
    return sum('"effect"' in one[-1].text for one in told)


async def test_each_part_has_an_end_of_its_own() -> None:
    """Two parts: each is asked for what will be seen, explored until it is, and answered."""
    ends = {"go west": "house/west.", "find the cellar": "house/west/stairs/cellar."}
    plans = iter([list(ends), ["find the cellar"], [], []])
    heard: list[str] = []

    def speak(messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if '"parts"' in text:
            return Message("assistant", json.dumps({"parts": next(plans)}))
        part = [one.text for one in messages if one.text.startswith("Do this part")][-1].rpartition(": ")[2]
        if '"expected"' in text:
            heard.append(part)
            return Message("assistant", json.dumps({"expected": ends[part]}))
        seen = [one.text for one in messages if one.role == "tool" and "you are in" in one.text]
        if '"effect"' in text:
            word = judged(scene(messages)[0]) | {"met": ends[part] in seen[-1]}
            return Message("assistant", json.dumps(word))
        place, _ = scene(messages)
        if seen and ends[part] in seen[-1]:
            return call("finish", answer=place)
        return go(LAMP[len(place.split("/")) if place else 0])

    model = FunctionModel(speak)
    verifier = Verifier(in_parts=True, model=ScriptedModel([json.dumps({"claims": []})] * 9))
    planner = Explore(simulates=False)
    episode = await Agent(model, None, planner=planner, verifier=verifier).run(TASK, Rooms(), RUN)
    assert episode.outcome == "success"
    assert heard == list(ends)


async def test_repairs_and_expectations_are_replayed_from_every_cut() -> None:
    """The same episode wherever the journal was cut off."""

    def speak(messages: tuple[Message, ...]) -> Message:
        asked = '"expected"' in messages[-1].text or '"effect"' in messages[-1].text
        end = "house/west/stairs/cellar."
        return expecting(end)(messages) if asked else clumsy(WRONG["name"])(messages)

    journal, planner = MemoryJournal(), Explore(simulates=False)
    whole = await Agent(FunctionModel(speak), None, planner=planner).run(TASK, Rooms(), RUN, journal)
    names = list(journal.record)
    assert whole.outcome == "success"
    for cut in range(len(names) + 1):
        kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
        again = await Agent(FunctionModel(speak), None, planner=planner).run(TASK, Rooms(), RUN, kept)
        assert (again.messages, again.outcome) == (whole.messages, whole.outcome)
