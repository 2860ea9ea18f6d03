"""The advisor: what it freezes is served to another agent as it is, and a crash leaves nothing frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.builders.advisor import Advice, Calibration, advise
from agent.builders.building import BuildSettings
from agent.builders.settings import PATTERNS, MineSettings
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.types import Observation, Task, ToolSpec, World
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput
from memory.types import Json, Message, ToolCall

ACT = ToolSpec("act", "Do it.", {"type": "object", "properties": {"command": {"type": "string"}}})
RULE = "wash hands before you take things."
SINK = "press button before you use sink."
GONG = "do not strike gong 3: it does nothing."


def tasks(*families: str) -> tuple[Task, ...]:
    return tuple(Task(f"t{n}", "take the mug", "house", family) for n, family in enumerate(families))


TASKS = tasks("maple 1", "maple 1", "maple 2", "maple 2")


class House:
    """Hands must be washed at a sink that needs its button pressed; maple 2 has a gong that nobody hears."""

    def __init__(self, task: Task) -> None:
        self._task, self._ready, self._clean = task, False, False

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        return Observation("you see a sink, a gong and a mug.")

    async def step(self, call: ToolCall) -> Observation:
        match call.arguments["command"]:
            case "press button":
                self._ready = True
                return Observation("the sink is ready.", True)
            case "use sink" if self._ready:
                self._clean = True
                return Observation("your hands are clean.", True)
            case "take mug" if self._clean:
                return Observation("you have it. the task is done.", True, True, "success", 1.0)
            case "take mug":
                said = f"you broke a house rule: {RULE} the task is lost."
                return Observation(said, False, True, "failure", 0.0, RULE)
        return Observation("nothing happens.", False)


def habits(messages: tuple[Message, ...]) -> str:
    """Tries the sink, the gong, the button, the sink again and then the mug."""
    plan = ["use sink", "strike gong 3", "press button", "use sink", "take mug"]
    return f"> {plan[sum(message.role == 'assistant' for message in messages) % len(plan)]}"


def hasty(messages: tuple[Message, ...]) -> str:
    """Takes the mug at once."""
    return "> take mug"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def agent(memory: Memory, does: object = habits) -> Agent:
    return Agent(FunctionModel(does, style="plain"), memory)  # type: ignore[arg-type]


CALIBRATION = Calibration("c1", "ns", "ann", TASKS, settings=BuildSettings(MineSettings(PATTERNS)))


async def advised(memory: Memory, asked: Calibration = CALIBRATION, does: object = habits) -> Advice:
    return await advise(asked, agent(memory, does), memory, House)


async def shown(memory: Memory, version: str | None, name: str) -> str:
    """The first message that another agent is shown at another site, where it learns, too."""
    model = FunctionModel(hasty, style="plain")
    other = Agent(model, memory)
    run = Run("ns", "bob", name, constitution=version)
    (task,) = tasks("oak 9")
    await other.learn(await other.run(task, House(task), run))
    return model.history[0].messages[0].text


async def test_another_agent_is_served_what_was_frozen(memory: Memory) -> None:
    """Its own learning changes nothing of it, nor does what is learned elsewhere in the namespace."""
    advice = await advised(memory)
    assert advice.version is not None
    assert advice.version.frozen
    assert (advice.successes, len(advice.episodes), advice.refused, advice.error) == (4, 4, (), None)
    before = await shown(memory, advice.version.id, "o1")
    assert before in {f"rules: {SINK} {GONG}", f"rules: {GONG} {SINK}"}
    learned = {item.text for item in memory.items("ns", kind="principle")}
    assert RULE in learned
    after = await shown(memory, advice.version.id, "o2")
    assert after == before
    assert RULE not in after
    assert RULE in await shown(memory, None, "o3")
    kept = memory.frozen("ns", advice.version.id, token_budget=10_000, count_tokens=len)
    assert {item.text for item in kept.principles} == {SINK, GONG}


async def test_what_one_site_alone_shows_can_stay_at_home(memory: Memory) -> None:
    """For agents who work elsewhere; what all sites show holds everywhere."""

    class Quiet(House):
        """The gong is heard at maple 1."""

        async def step(self, call: ToolCall) -> Observation:
            if call.arguments["command"] == "strike gong 3" and self._task.family == "maple 1":
                return Observation("it sounds.", True)
            return await super().step(call)

    asked = replace(CALIBRATION, shared_only=True)
    advice = await advise(asked, agent(memory), memory, Quiet)
    assert advice.version is not None
    frozen = memory.frozen("ns", advice.version.id, token_budget=10_000, count_tokens=len)
    assert [(item.text, item.scope) for item in frozen.principles] == [(SINK, "namespace")]
    assert {item.text for item in memory.items("ns", kind="principle", family="maple 2")} >= {GONG}


async def test_who_learns_later_says_nothing_twice(memory: Memory) -> None:
    """What all sites share is counted on at a site, not told once more."""
    await advised(memory)
    (task,) = tasks("oak 9")
    other = agent(memory)
    for number in range(2):
        await other.learn(await other.run(task, House(task), Run("ns", "bob", f"o{number}")))
    told = [item for item in memory.items("ns", kind="principle") if item.text == SINK]
    assert [(item.scope, item.body.support) for item in told] == [("namespace", 6)]  # type: ignore[union-attr]


class Breaks:
    """A journal that breaks before a step."""

    def __init__(self, journal: MemoryJournal, at: str) -> None:
        self._journal, self._at = journal, at

    async def step(self, name: str, do: object) -> Json:
        if name == self._at:
            raise OSError("the disk is gone")
        return await self._journal.step(name, do)  # type: ignore[arg-type]

    async def event(self, name: str, data: Json) -> None:
        await self._journal.event(name, data)


@pytest.mark.parametrize("at", ["calibrate 2", "build", "apply", "freeze"])
async def test_a_crash_leaves_nothing_frozen_and_goes_on(memory: Memory, at: str) -> None:
    """With the same journal, behind what was done; the tasks are not run twice."""
    journal = MemoryJournal()
    with pytest.raises(OSError, match="the disk is gone"):
        await advise(CALIBRATION, agent(memory), memory, House, journal=Breaks(journal, at))
    assert not [one for one in memory.constitution_versions("ns") if one.frozen]
    done = len(memory.episodes("ns"))
    advice = await advise(CALIBRATION, agent(memory), memory, House, journal=journal)
    assert advice.version is not None
    assert len([one for one in memory.constitution_versions("ns") if one.frozen]) == 1
    assert len(memory.episodes("ns")) == 4
    assert done == (2 if at == "calibrate 2" else 4)


async def test_the_same_build_freezes_once(memory: Memory) -> None:
    """Even when the journal itself was lost: same key, same episodes, same version."""
    assert await advised(memory) == await advised(memory)
    assert len([one for one in memory.constitution_versions("ns") if one.frozen]) == 1


async def test_nothing_found_is_nothing_frozen(memory: Memory) -> None:
    """Two tasks that were never begun teach nothing."""
    advice = await advised(memory, replace(CALIBRATION, tasks=TASKS[:1]))
    assert advice.version is None
    assert advice.proposed == 0


async def test_the_calibrating_agent_knows_nothing(memory: Memory) -> None:
    """Else what is built would stand on what is there already."""
    await advised(memory)
    model = FunctionModel(habits, style="plain")
    await advise(replace(CALIBRATION, key="c2"), Agent(model, memory), memory, House)
    assert model.history[0].messages[0].text.startswith("you see a sink")


async def test_costs_are_told_apart(memory: Memory) -> None:
    """What the tasks took, and what the builder's model took."""
    text = "Always press the button before you use the sink."
    model = ScriptedModel([json.dumps({"principles": [{"candidates": ["C1"], "text": text}]})])
    asked = replace(CALIBRATION, builder="neuro-symbolic")
    advice = await advise(asked, agent(memory), memory, House, model=model)
    assert (advice.building.calls, advice.calibrating.calls) == (1, 20)
    assert advice.version is not None
    assert "neuro-symbolic" in advice.version.builders
    assert text in await shown(memory, advice.version.id, "o1")


async def test_what_cannot_be_built_is_said_before_a_task_is_run(memory: Memory) -> None:
    """A builder without its model, a set without tasks."""
    with pytest.raises(BadInput, match="the neural builder needs a model"):
        await advised(memory, replace(CALIBRATION, builder="neural"))
    assert memory.episodes("ns") == ()
    with pytest.raises(BadInput, match="at least one task"):
        replace(CALIBRATION, tasks=())


def test_worlds_are_made_for_their_task() -> None:
    """The signature that catalogues have."""
    world: World = House(TASKS[0])
    assert world.tools() == (ACT,)
    assert BuildSettings().most == 10
