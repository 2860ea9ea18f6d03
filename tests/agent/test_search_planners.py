"""Planners `search` and `explore` in the real loop: they come back from what leads nowhere, and remember."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.desk import Planner
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.explore import Explore
from agent.planners.search import Search
from agent.tools import FunctionTool, ToolWorld
from agent.types import Judgement, Observation, Task, ToolSpec, World
from agent.verification.verify import Verifier
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Episode, Json, Message, ToolCall

TASK = Task("t1", "find the lamp", "rooms", "lab", max_steps=60)
RUN = Run("ns", "ann", "e1")
LAMP = ("west", "stairs", "cellar")
GO: dict[str, Json] = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
Speak = Callable[[tuple[Message, ...]], Message]


@dataclass
class Rooms:
    """Twenty rooms and more: each wing has rooms that lead to rooms; the lamp is in one cellar."""

    at: tuple[str, ...] = ()
    walked: int = 0

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("go", "", GO),)

    async def reset(self, task: Task) -> Observation:
        self.at = ()
        return Observation(self.seen())

    async def step(self, call: ToolCall) -> Observation:
        self.walked += 1
        to = str(call.arguments["to"])
        if to not in self.doors():
            return Observation("there is no such door", ok=False)
        self.at = (*self.at, to)
        done = self.at == LAMP
        return Observation(self.seen(), True, done, "success" if done else None)

    def doors(self) -> tuple[str, ...]:
        names = (("east", "west", "north"), ("hall", "stairs", "attic"), ("cellar", "closet", "shed"), ())
        return names[len(self.at)]

    def seen(self) -> str:
        return f"you are in house/{'/'.join(self.at)}. doors: {', '.join(self.doors()) or 'none'}."

    def snapshot(self) -> Json:
        return list(self.at)

    def restore(self, task: Task, snapshot: Json) -> None:
        assert isinstance(snapshot, list)
        self.at = tuple(map(str, snapshot))


def go(to: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", "go", {"to": to}),))


def scene(messages: Sequence[Message]) -> tuple[str, list[str]]:
    """Where the conversation stands, and its doors."""
    text = next(one.text for one in reversed(messages) if "you are in" in one.text)
    place, doors = re.findall(r"house/(\S*)\. doors: (.*)\.", text)[-1]
    return place, [] if doors == "none" else doors.split(", ")


def walker(first: Sequence[str] = ("east", "hall"), seed: int = 0) -> Speak:
    """Leans to the doors of `first`, wherever they are; imagines nothing."""
    rng = random.Random(seed)

    def speak(messages: tuple[Message, ...]) -> Message:
        if '"calls"' in messages[-1].text:
            return Message("assistant", json.dumps({"calls": []}))
        _, doors = scene(messages)
        liked = [door for door in doors if door in first]
        if not doors:
            return Message("assistant", "no way on")
        return go(liked[0] if liked and rng.random() < 0.3 else rng.choice(doors))

    return speak


async def lived(
    speak: Speak,
    planner: Planner | None,
    world: World | None = None,
    *,
    memory: Memory | None = None,
    task: Task = TASK,
    run: Run = RUN,
) -> tuple[Episode, FunctionModel]:
    model = FunctionModel(speak)
    return await Agent(model, memory, planner=planner).run(task, world or Rooms(), run), model


async def test_a_star_comes_back_from_a_wing_that_leads_nowhere() -> None:
    """The same model, turn by turn, stands in a room without doors until its steps are over."""
    by_turns, _ = await lived(walker(), None)
    searched, _ = await lived(walker(), Search(k=8))
    assert (by_turns.outcome, searched.outcome) == ("failure", "success")


async def test_plans_that_worked_in_the_family_lead_the_way(tmp_path: Path) -> None:
    """Over five seeds fewer steps than without; where memory shows nothing it leads nowhere."""
    memory = Memory.open(tmp_path / "m.db", encoder=HashEncoder())
    script = ScriptedModel([go(to) for to in LAMP])
    first = await Agent(script, None).run(TASK, Rooms(), replace(RUN, episode_id="e0"))
    memory.record(first, principal="ann")
    with_plans = without = 0
    for seed in range(5):
        run = replace(RUN, seed=seed)
        known, _ = await lived(walker(seed=seed), Search(k=12), memory=memory, run=run)
        off, _ = await lived(walker(seed=seed), Search(k=12), memory=memory, run=replace(run, memory="off"))
        with_plans, without = with_plans + known.steps, without + off.steps
    memory.close()
    assert with_plans < 0.6 * without


def tool_world(log: list[str]) -> ToolWorld:
    """Tools that cannot be undone: b works after a alone, and the answer after both."""

    def a() -> str:
        """First."""
        log.append("a")
        return "a is done"

    def b() -> str:
        """Second."""
        log.append("b")
        return "b is done"

    def check(_task: Task, answer: str) -> Judgement:
        return Judgement(1.0, ok=log == ["a", "b"] and answer == "b is done")

    return ToolWorld([FunctionTool.of(a), FunctionTool.of(b)], check=check)


def call(name: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(arguments)),))


async def test_without_going_back_the_plan_comes_first() -> None:
    """Half of the proposals are wrong; nothing is run before the plan stands; the answer has seen it run."""
    log: list[str] = []
    n = 0

    def speak(messages: tuple[Message, ...]) -> Message:
        nonlocal n
        text = messages[-1].text
        if "planned only" in text:
            assert not log
            n += 1
            line = next(iter(re.findall(r"not run yet:\n(.*?)\nMake", text, re.DOTALL)))
            right = {"nothing": "a", "a {}": "b", "a {}\nb {}": "finish"}.get(line, "b")
            name = right if n % 2 else "b"
            return call(name, answer="?") if name == "finish" else call(name)
        if '"calls"' in text:
            return Message("assistant", json.dumps({"calls": []}))
        return call("finish", answer=text)

    episode, _ = await lived(speak, Search(), tool_world(log))
    assert (episode.outcome, log) == ("success", ["a", "b"])


async def test_a_search_is_replayed_wherever_it_was_cut() -> None:
    """From its journal: the same episode, and no step is taken twice."""
    for planner, speak in ((Search(k=8), walker), (Explore(), explorer)):
        journal = MemoryJournal()
        model = FunctionModel(speak())
        whole = await Agent(model, None, planner=planner).run(TASK, Rooms(), RUN, journal)
        names = list(journal.record)
        for cut in (1, len(names) // 2, len(names)):
            world = Rooms()
            kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
            again = await Agent(FunctionModel(speak()), None, planner=planner).run(TASK, world, RUN, kept)
            assert again.outcome == whole.outcome == "success"
            if cut == len(names):
                assert (again.messages, world.walked) == (whole.messages, 0)


def explorer(*, heeds: bool = True) -> Speak:
    """Takes the first door not named as tried; judges by distance to the lamp, misled by the east wing."""

    def speak(messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if '"calls"' in text:
            return Message("assistant", json.dumps({"calls": []}))
        place, doors = scene(messages)
        if '"effect"' in text:
            return Message("assistant", json.dumps(judged(place)))
        tried = text if heeds and "Tried here before" in text else ""
        left = [door for door in doors if f'"{door}"' not in tried]
        return go(left[0] if left else "back")

    return speak


def judged(place: str) -> dict[str, Json]:
    right = "/".join(LAMP)
    score = 8 if right.startswith(place) else 5 if place == "east" else 1
    return {"effect": score, "promise": score, "next": "go on", "beside": f"nothing in {place}"}


async def test_exploring_finds_the_lamp_behind_a_wing_that_misleads() -> None:
    """Turn by turn the same model does not; the judge's two scores and the way back do it."""
    by_turns, _ = await lived(explorer(), None)
    explored, _ = await lived(explorer(), Explore())
    assert (by_turns.outcome, explored.outcome) == ("failure", "success")


async def test_what_was_tried_beside_is_told_and_keeps_duplicates_away() -> None:
    """Without reflections the same door is proposed again at every place, and nothing else is ever found."""
    told, model = await lived(explorer(), Explore(simulates=False))
    untold, _ = await lived(explorer(), Explore(simulates=False, reflects=False))
    assert told.outcome == "success"
    assert untold.outcome == "failure"
    asked = "\n".join(request.messages[-1].text for request in model.history)
    assert "(nothing in east)" in asked
    assert "What was thought after the last step: go on" in asked


def _ways(episode: Episode) -> list[str]:
    """Rooms that were entered, in order."""
    return [scene([one])[0] for one in episode.messages if one.role == "tool" and "you are in" in one.text]


async def test_a_simulated_step_that_is_good_becomes_a_place() -> None:
    """The lamp's own stairs are judged at 0.95 in passing, and gone on from without proposing them again."""

    def speak(messages: tuple[Message, ...]) -> Message:
        said = explorer()(messages)
        if '"effect"' in messages[-1].text and scene(messages)[0] == "west/stairs":
            return Message("assistant", json.dumps({"effect": 9.5, "promise": 9.5}))
        if scene(messages)[0] == "west" and said.tool_calls:
            return go("stairs")
        return said

    keeping, _ = await lived(speak, Explore())
    dropping, _ = await lived(speak, Explore(keeps_above=1.0))
    assert keeping.outcome == dropping.outcome == "success"
    assert _ways(keeping).count("west/stairs") < _ways(dropping).count("west/stairs")


async def test_later_parts_that_are_met_already_are_left_out() -> None:
    """Parts around a planner: what is left is asked after each; what is done by then is not begun."""
    plans = iter([["go west", "find stairs", "reach the cellar"], ["reach the cellar"], [], []])
    parts: list[str] = []

    def speak(messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if '"parts"' in text:
            return Message("assistant", json.dumps({"parts": next(plans)}))
        begun = [one.text for one in messages if one.text.startswith("Do this part")]
        if begun and (not parts or parts[-1] != begun[-1]):
            parts.append(begun[-1])
        if '"effect"' in text:
            return Message("assistant", json.dumps(judged(scene(messages)[0])))
        place, _ = scene(messages)
        wanted = LAMP[len(place.split("/")) if place else 0]
        if len(parts) == 1 and wanted == "cellar":
            return call("finish", answer="at the stairs")
        return go(wanted)

    model = FunctionModel(speak)
    verifier = Verifier(in_parts=True, model=ScriptedModel([json.dumps({"claims": []})] * 9))
    episode = await Agent(model, None, planner=Explore(simulates=False), verifier=verifier).run(
        TASK, Rooms(), RUN
    )
    assert episode.outcome == "success"
    assert [part.rpartition(": ")[2] for part in parts] == ["go west", "reach the cellar"]
