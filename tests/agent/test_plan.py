"""Planner `plan`: the plan comes first, is revised when it fails, and the newest alone is in view."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.plan import Plan, newest
from agent.types import Observation, Task, ToolSpec
from memory.types import Episode, Json, Message, ToolCall

TASK = Task("t1", "open the safe", "safe", "lab", max_steps=9)
RUN = Run("ns", "ann", "e1")
CODE = ("red", "blue", "green")


@dataclass
class Safe:
    """Opens after three buttons in order; a wrong one says which would have been right."""

    pressed: list[str] = field(default_factory=list)

    def tools(self) -> tuple[ToolSpec, ...]:
        colour: Json = {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
        }
        assert isinstance(colour, dict)
        return (ToolSpec("press", "Press a button.", colour),)

    async def reset(self, task: Task) -> Observation:
        self.pressed.clear()
        return Observation("A safe with buttons red, green and blue.")

    async def step(self, call: ToolCall) -> Observation:
        wanted, colour = CODE[len(self.pressed)], str(call.arguments["colour"])
        if colour != wanted:
            return Observation(f"It buzzes: {wanted} comes after {len(self.pressed)} buttons.", ok=False)
        self.pressed.append(colour)
        done = len(self.pressed) == len(CODE)
        return Observation("It clicks.", ok=True, done=done, outcome="success" if done else None)


def obedient(messages: tuple[Message, ...]) -> Message:
    """Presses what the plan in view says is next; without a plan it presses red. Plans by what was told."""
    last = messages[-1].text
    if '"steps"' in last:
        told = dict(re.findall(r"buzzes: (\w+) comes after (\d)", "\n".join(one.text for one in messages)))
        known = {int(place): colour for colour, place in told.items()}
        clicks = sum(one.text == "It clicks." for one in messages)
        guess = [known.get(place, "red") for place in range(clicks, len(CODE))]
        return Message("assistant", json.dumps({"steps": [f"press {colour}" for colour in guess]}))
    plans = [place for place, one in enumerate(messages) if one.text.startswith("Plan:")]
    if not plans:
        return press("red")
    assert len(plans) == 1
    steps = re.findall(r"press (\w+)", messages[plans[0]].text)
    clicks = sum(one.text == "It clicks." for one in messages[plans[0] :])
    return press(steps[min(clicks, len(steps) - 1)])


def press(colour: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", "press", {"colour": colour}),))


def plan(*steps: str) -> Message:
    return Message("assistant", json.dumps({"steps": list(steps)}))


async def test_a_revised_plan_opens_what_no_plan_does() -> None:
    """The same model fails turn by turn: it does what its plan says, and plans by what it was told."""
    model = FunctionModel(obedient)
    with_plan = await Agent(model, None, planner=Plan(revise_every=0)).run(TASK, Safe(), RUN)
    without = await Agent(model, None).run(TASK, Safe(), RUN)
    assert (with_plan.outcome, without.outcome) == ("success", "failure")


async def test_plans_stay_in_the_episode_and_the_newest_alone_is_shown() -> None:
    """A plan that is still the same is not said again."""
    script = [plan("press red"), press("green"), plan("press red", "press blue"), press("red")]
    script += [press("blue"), plan("press red", "press blue"), press("green")]
    model = ScriptedModel(script)
    episode = await Agent(model, None, planner=Plan(revise_every=2)).run(TASK, Safe(), RUN)
    assert episode.outcome == "success"
    said = [one.text for one in episode.messages if one.kind == "plan"]
    assert said == ["Plan:\n1. press red", "Plan:\n1. press red\n2. press blue"]
    shown = [one.text for one in model.history[-1].messages if one.kind == "plan"]
    assert shown == said[1:]
    assert newest(episode.messages)[-1] == episode.messages[-1]
    assert episode.usage.calls == len(script)


async def test_a_plan_that_cannot_be_read_is_none() -> None:
    """Nothing is said, the run goes on; a long one is cut."""
    script = [Message("assistant", "let me think"), press("red"), press("blue"), press("green")]
    episode = await Agent(ScriptedModel(script), None, planner=Plan()).run(TASK, Safe(), RUN)
    assert episode.outcome == "success"
    assert not [one for one in episode.messages if one.kind == "plan"]
    script = [plan(*["press red"] * 30), press("red"), press("blue"), press("green")]
    cut = await Agent(ScriptedModel(script), None, planner=Plan(most_steps=5)).run(TASK, Safe(), RUN)
    (said,) = [one.text for one in cut.messages if one.kind == "plan"]
    assert said.count("press") == 5


async def test_a_plan_is_replayed() -> None:
    """From the journal, at the end nothing is asked again."""
    journal = MemoryJournal()
    first: Episode = await Agent(FunctionModel(obedient), None, planner=Plan()).run(
        TASK, Safe(), RUN, journal
    )
    again = await Agent(ScriptedModel([], name=first.model), None, planner=Plan()).run(
        TASK, Safe(), RUN, journal
    )
    assert again == first


async def test_plain_models_go_turn_by_turn() -> None:
    """They were not taught to plan."""
    model = ScriptedModel([Message("assistant", "> press")] * 9, style="plain")
    await Agent(model, None, planner=Plan()).run(TASK, Safe(), RUN)
    assert not any(one.schema for one in model.history)
