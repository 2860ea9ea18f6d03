"""Which principles a run is shown, what it records of the coins, and frozen versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import AgentSettings, Run
from agent.types import Observation, Task, ToolSpec
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Draft, Episode, Evidence, Lineage, Mode, PrincipleBody, Status, ToolCall

TASK = Task("t1", "wash a mug", "house", "maple 7")
ACT = ToolSpec("act", "Do it.", {"type": "object", "properties": {"command": {"type": "string"}}})


class Sink:
    """A world that is done after one step."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        return Observation("you see a sink.")

    async def step(self, call: ToolCall) -> Observation:
        return Observation("the mug is clean.", True, True, "success", 1.0)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def rule(memory: Memory, text: str, status: Status = "trial", family: str | None = None) -> str:
    body = PrincipleBody("family" if family else "global", "symbolic", 3)
    draft = Draft("principle", text, body, status=status, family=family)
    draft = replace(draft, scope="family" if family else "namespace")
    (item,) = memory.remember("ns", [draft], principal="root", channel="operator")
    return item.id


async def live(store: Memory, name: str, settings: AgentSettings, **run: object) -> Episode:
    agent = Agent(ScriptedModel(["> turn tap"]), store, settings=settings)
    attempt = replace(Run("ns", "ann", name), **run)  # type: ignore[arg-type]
    return await agent.run(TASK, Sink(), attempt)


def said(episode: Episode) -> str:
    return next((m.text for m in episode.messages if m.role == "system"), "")


async def test_episodes_with_default_seeds_draw_differently(memory: Memory) -> None:
    """A trial is in about as many prompts as its rate says; the record names coins and prompt alike."""
    trial, active = rule(memory, "wipe feet."), rule(memory, "look first.", "active")
    settings = AgentSettings(trial_rate=0.5)
    shown = 0
    for number in range(40):
        episode = await live(memory, f"e{number}", settings)
        assert episode.recall is not None
        drawn = {one.item: one for one in episode.recall.principles}
        assert (drawn[trial].propensity, drawn[active].propensity) == (0.5, 1.0)
        assert drawn[trial].shown == ("wipe feet." in said(episode))
        assert (f"{trial}@1" in episode.recall.constitution) == drawn[trial].shown
        assert "look first." in said(episode)
        shown += drawn[trial].shown
    assert 10 <= shown <= 30


@pytest.mark.parametrize("mode", ["learn", "frozen", "shadow", "off"])
async def test_by_default_the_prompt_is_the_same_for_every_episode(memory: Memory, mode: Mode) -> None:
    """No coins unless somebody asks for them; what is shown depends on the mode alone."""
    rule(memory, "wipe feet."), rule(memory, "look first.", "active")
    prompts = {said(await live(memory, f"e{n}", AgentSettings(), memory=mode)) for n in range(8)}
    assert len(prompts) == 1
    assert ("wipe feet." in prompts.pop()) == (mode in {"learn", "frozen"})


async def test_a_frozen_mode_is_shown_what_is_proven(memory: Memory) -> None:
    """Where trials are drawn for elsewhere: no coins, no trials."""
    trial = rule(memory, "wipe feet.")
    rule(memory, "look first.", "active")
    for number in range(5):
        episode = await live(memory, f"e{number}", AgentSettings(trial_rate=0.8), memory="frozen")
        assert episode.recall is not None
        assert "wipe feet." not in said(episode)
        assert "look first." in said(episode)
        (drawn,) = [one for one in episode.recall.principles if one.item == trial]
        assert (drawn.propensity, drawn.shown) == (0.0, False)


async def test_a_run_may_be_served_a_frozen_version(memory: Memory) -> None:
    """Of another family, without coins, whatever is in force meanwhile; the episode names it."""
    advised = rule(memory, "wipe feet.", family="oak 2")
    kept = memory.freeze("ns", "oak 2", principal="advisor")
    rule(memory, "look first.", "active")
    settings = AgentSettings(trial_rate=0.1)
    for number in range(5):
        episode = await live(memory, f"e{number}", settings, constitution=kept.id)
        assert said(episode).endswith("experience:\n- wipe feet.")
        assert episode.constitution_version == kept.id
        assert episode.recall is not None
        assert episode.recall.constitution == (f"{advised}@1",)
    broken = await live(memory, "e9", settings, constitution="77-abc")
    assert broken.outcome == "infra"
    assert "no version" in str(broken.error)


async def test_learning_from_an_episode_reviews_the_principles(memory: Memory) -> None:
    """What two episodes bore out and a prompt has shown is promoted, and the next prompt is the same."""
    first = await live(memory, "e1", AgentSettings())
    second = await live(memory, "e2", AgentSettings())
    for episode in (first, second):
        memory.record(episode, principal="ann")
    evidence = Lineage(tuple(Evidence(name, 2) for name in ("e1", "e2")))
    draft = Draft("principle", "wipe feet.", PrincipleBody("global", "symbolic", 2), status="trial")
    (item,) = memory.remember("ns", [replace(draft, lineage=evidence)], principal="ann", channel="reflection")
    third = await live(memory, "e3", AgentSettings())
    agent = Agent(ScriptedModel([""]), memory, settings=AgentSettings(mined_episodes=0))
    await agent.learn(third)
    assert memory.get("ns", item.id).status == "active"
    assert said(await live(memory, "e4", AgentSettings())) == said(third)
