"""A run that looks back at itself in the middle: when, what it is told, and what that costs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.builders.steps import Step
from agent.journal import MemoryJournal
from agent.learning.midway import REFLECTION
from agent.learning.triggers import due
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings, Run
from agent.types import Observation, Task, ToolSpec
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Episode, Json, Message, Mode, ToolCall

TASK = Task("t1", "find the mug.", "house", "maple 7", max_steps=40)
DEAD = "do not open safe 9: it does nothing."


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


class House:
    """Everything is answered by its own name; safes do not open; `win` ends it."""

    def tools(self) -> tuple[ToolSpec, ...]:
        parameters: dict[str, Json] = {"type": "object", "properties": {"command": {"type": "string"}}}
        return (ToolSpec("act", "Do it.", parameters),)

    async def reset(self, task: Task) -> Observation:
        return Observation("you are home.")

    async def step(self, call: ToolCall) -> Observation:
        command = str(call.arguments["command"])
        if command == "win":
            return Observation("done.", ok=True, done=True, outcome="success")
        is_shut = "safe" in command
        return Observation("nothing happens." if is_shut else f"{command} it is.", ok=not is_shut)


def step(command: str, answer: str = "yes", ok: bool | None = True) -> Step:
    return Step(0, None, command, answer, ok, is_text=True)


def walk(n: int) -> list[Step]:
    return [step(f"go {place}") for place in range(n)]


@pytest.mark.parametrize(
    ("taken", "looked", "why"),
    [
        ([], 0, None),
        (walk(9), 8, None),
        (walk(10), 9, "every"),
        (walk(11), 9, "every"),  # two calls in one message
        (walk(11), 10, None),
        (walk(20), 19, "every"),
        ([step("look"), *walk(3), step("look"), step("look")], 5, "stall"),
        ([step("look"), step("look", "no"), step("look")], 2, None),
        ([step("open", ok=False)], 0, "error"),
        ([step("open", ok=False)] * 2, 1, None),
        ([step("open", ok=False)] * 3, 2, "stall"),
        ([*walk(9), step("open", ok=False)], 9, "error"),
        ([step("open", ok=None)], 0, None),
    ],
)
def test_when_to_look_back(taken: list[Step], looked: int, why: str | None) -> None:
    """Every ten calls, at the third time of the same, when something new is refused; the end comes first."""
    assert due(taken, looked, 10) == why
    assert due(taken, looked, 10, is_over=True) == "end"


async def lived(
    memory: Memory, *commands: str, mode: Mode = "learn", **settings: Any
) -> tuple[Episode, list[Any], ScriptedModel]:
    model = ScriptedModel([f"so. > {command}" for command in commands], style="plain")
    journal = MemoryJournal()
    agent = Agent(model, memory, settings=AgentSettings(**settings))
    done = await agent.run(TASK, House(), Run("ns", "ann", "e1", memory=mode), journal)
    return done, [data for name, data in journal.events if name == "reflect"], model


async def test_a_run_looks_back_at_ten_at_twenty_on_errors_and_on_stalls(memory: Memory) -> None:
    """And at the end, which is left to learning; what counters found is told once."""
    commands = [f"go to desk {n}" for n in range(12)]
    commands += ["open safe 9", *[f"go to bed {n}" for n in range(8)], "look", "look", "look", "win"]
    done, events, model = await lived(memory, *commands, reflect_every=10)
    assert [(one["step"], one["trigger"]) for one in events] == [
        (10, "every"),
        (13, "error"),
        (20, "every"),
        (24, "stall"),
        (25, "end"),
    ]
    assert [one["said"] for one in events[:3]] == [[], [DEAD], []]
    assert events[3]["said"] == ["do not look again and again: the answer stays the same."]
    told = [m for m in done.messages if m.agent == REFLECTION]
    assert [(m.role, m.kind, m.text) for m in told] == [
        ("user", "memory", DEAD),
        ("user", "memory", events[3]["said"][0]),
    ]
    assert DEAD in [m.text for m in model.history[-1].messages]
    assert done.outcome == "success"


@pytest.mark.parametrize("mode", ["learn", "frozen", "shadow", "off"])
async def test_only_runs_that_learn_and_are_shown_look_back(memory: Memory, mode: Mode) -> None:
    """The other arms see nothing of it."""
    done, events, _ = await lived(memory, "open safe 9", "win", mode=mode, reflect_every=10)
    assert bool(events) == any(m.agent == REFLECTION for m in done.messages) == (mode == "learn")


async def test_nothing_is_looked_back_at_by_default(memory: Memory) -> None:
    """Small models were not trained on it."""
    done, events, model = await lived(memory, *["look"] * 3, "open safe 9", "win")
    assert events == []
    assert not any(m.agent == REFLECTION for m in done.messages)
    assert model.left == 0


def large(commands: list[str]) -> FunctionModel:
    """Acts by a list, and says the same of itself whenever it is asked."""

    def say(messages: tuple[Message, ...]) -> Message:
        if messages[0].role == "system" and "Look back" in messages[0].text:
            text = {"lessons": [{"kind": "rule", "text": "open safe 9", "messages": [3]}]}
            return Message("assistant", json.dumps(text))
        turn = sum(m.role == "assistant" for m in messages)
        return Message("assistant", "so", tool_calls=(ToolCall("x", "act", {"command": commands[turn]}),))

    return FunctionModel(say)


@pytest.mark.parametrize(("calls", "asked"), [(0, 0), (1, 0), (2, 1), (9, 3)])
async def test_a_model_is_asked_as_long_as_calls_are_left(memory: Memory, calls: int, asked: int) -> None:
    """One is kept for the end; what it cost is in the episode."""
    commands = ["open safe 9", "open safe 8", "open safe 7", "win"]
    model = large(commands)
    agent = Agent(model, memory, settings=AgentSettings(reflect_every=10, reflection_calls=calls))
    done = await agent.run(TASK, House(), Run("ns", "ann", "e1"))
    assert done.learning.calls == asked
    assert done.outcome == "success"
    report = await agent.learn(done)
    assert report.episode.learning.calls == asked + min(calls, 1)
    assert memory.episode("ns", "e1").learning == report.episode.learning


async def test_a_resumed_run_is_told_what_it_was_told(memory: Memory) -> None:
    """From the journal: nothing is counted or asked again."""
    commands = ["open safe 9", "look", "win"]
    settings = AgentSettings(reflect_every=10, reflection_calls=2)
    model, journal = large(commands), MemoryJournal()
    first = await Agent(model, memory, settings=settings).run(TASK, House(), Run("ns", "ann", "e1"), journal)
    assert [m.text for m in first.messages if m.agent == REFLECTION]
    assert "look back 1" in journal.record
    again = large(commands)
    kept = MemoryJournal(journal.record)
    second = await Agent(again, memory, settings=settings).run(TASK, House(), Run("ns", "ann", "e1"), kept)
    assert (second.messages, second.learning) == (first.messages, first.learning)
    assert again.history == []
