"""What the modes do to coins, records and reminders inside one run."""

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
from memory.types import CaseBody, Draft, Episode, Mode, PrincipleBody, ToolCall

TASK = Task("t1", "wash a mug", "house", "maple 7")
ACT = ToolSpec("act", "Do it.", {"type": "object", "properties": {"command": {"type": "string"}}})
EARLIER = "wash a mug in the sink"
STUCK = "a stuck tap does not move by pull: turn it"


class Sink:
    """A world whose tap opens only by turning."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        return Observation("you see a sink.")

    async def step(self, call: ToolCall) -> Observation:
        if call.arguments["command"] == "turn tap":
            return Observation("the mug is clean.", True, True, "success", 1.0)
        return Observation("the stuck tap does not move.", ok=False)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Two cases and a principle on trial."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        cases = [
            Draft("case", text, CaseBody(text, (), text), outcome="success") for text in (EARLIER, STUCK)
        ]
        rule = Draft("principle", "wipe the sink first", PrincipleBody("global", "neural", 1), status="trial")
        opened.remember("ns", [*cases, rule], principal="ann", channel="user")
        yield opened


async def live(memory: Memory, mode: Mode, **settings: float) -> Episode:
    model = ScriptedModel(["> pull tap", "> turn tap"], style="plain")
    chosen = replace(AgentSettings(k=1, recall_on_failure=True), **settings)  # type: ignore[arg-type]
    agent = Agent(model, memory, settings=chosen)
    return await agent.run(TASK, Sink(), Run("ns", "ann", f"e-{mode}", memory=mode))


def prompt(episode: Episode) -> str:
    return " ".join(m.text for m in episode.messages if m.role == "system" or m.kind == "memory")


@pytest.mark.parametrize("mode", ["learn", "frozen", "shadow", "off"])
async def test_the_episode_says_its_mode(memory: Memory, mode: Mode) -> None:
    """Also when it is read back."""
    episode = await live(memory, mode)
    memory.record(episode, principal="ann")
    assert memory.episode("ns", episode.id).mode == episode.mode == mode


async def test_a_frozen_run_tosses_no_coins(memory: Memory) -> None:
    """What learning would hold out nearly always is shown for certain; trials under way are left out."""
    held = await live(memory, "learn", drop_rate=0.999, trial_rate=0.001)
    assert held.recall is not None
    assert [one.shown for one in held.recall.items] == [False]
    assert EARLIER not in prompt(held)
    frozen = await live(memory, "frozen", drop_rate=0.999, trial_rate=0.001)
    assert frozen.recall is not None
    assert [(one.shown, one.propensity) for one in frozen.recall.items] == [(True, 1.0)]
    assert EARLIER in prompt(frozen)
    assert "wipe" not in prompt(frozen)


async def test_a_frozen_run_shows_trials_where_none_are_drawn_for(memory: Memory) -> None:
    """With the default settings being on trial is how a principle is served."""
    assert "wipe the sink first" in prompt(await live(memory, "frozen"))


async def test_a_shadow_run_records_what_it_would_have_shown(memory: Memory) -> None:
    """Items, principles and reminders, all with probability 0; the prompt is that of a run without memory."""
    shadow = await live(memory, "shadow")
    assert shadow.recall is not None
    items = [*shadow.recall.items, *shadow.recall.principles, *shadow.reminders[0].items]
    assert len(items) == 3
    assert {(one.shown, one.propensity) for one in items} == {(False, 0.0)}
    assert (shadow.recall.constitution, shadow.recall.tokens, shadow.constitution_version) == ((), 0, None)
    assert shadow.messages == (await live(memory, "off")).messages


async def test_a_shadow_run_is_never_credited(memory: Memory) -> None:
    """Neither as a use nor as a hold-out, not by late word either; the same run in `learn` is."""
    for mode, n in (("shadow", 0), ("learn", 1)):
        episode = await live(memory, mode)  # type: ignore[arg-type]
        memory.record(episode, principal="ann")
        memory.reinforce(episode, principal="ann")
        memory.feedback("ns", episode.id, principal="ann", reward=0.5)
        used = [(item.utility.n, item.utility.held_out_n) for item in memory.items("ns", kind="case")]
        assert used == [(n, 0), (n, 0)]
