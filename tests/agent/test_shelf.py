"""Procedures by their titles: absent until read, read by a tool like any other, counted, credited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.builders.steps import steps
from agent.guards.privilege import Policy, Privilege, Rule
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings, Run, situation
from agent.prompt import FETCH
from agent.shelf import Shelf
from agent.toolbox import boxed
from agent.tools import FunctionTool, ToolWorld
from agent.types import Guard, Model, Observation, Task, ToolSpec
from agent.verification.checks import evidence_of
from distill.shapes.masks import trajectory
from distill.shapes.stripping import StripMemory
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput
from memory.types import (
    Draft,
    Episode,
    Item,
    Message,
    Mode,
    NoteBody,
    ProcedureBody,
    ToolCall,
)
from memory.value.states import acted

TASK = Task("t1", "brew tea in the kitchen", "tools", "kitchen")
INDEX = AgentSettings(procedures="index")
STEPS = "boil water, then pour it"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        yield memory


def tea(memory: Memory, namespace: str = "home") -> Item:
    body = ProcedureBody("brew tea in the kitchen", "brew", (), ("boil water", "pour it"))
    draft = Draft("procedure", f"brew tea in the kitchen: {STEPS}", body)
    (item,) = memory.remember(namespace, [draft], principal="ann", channel="operator")
    return item


def call(tool: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("x", tool, dict(arguments)),))


async def lived(
    memory: Memory,
    model: Model,
    settings: AgentSettings = INDEX,
    name: str = "e1",
    mode: Mode = "learn",
    guards: tuple[Guard, ...] = (),
) -> Episode:
    agent = Agent(model, memory, settings=settings, guards=guards)
    return await agent.run(TASK, ToolWorld(), Run("home", "ann", name, memory=mode))


async def test_a_body_is_absent_until_it_is_read(memory: Memory) -> None:
    """Its title stands in the prompt; the tool is there; what it gives is marked as memory."""
    item = tea(memory)
    model = ScriptedModel([call(FETCH, id=item.id), call("finish", answer="tea")])
    episode = await lived(memory, model)
    first, second = model.history
    told = "\n".join(message.text for message in first.messages)
    assert item.id in told
    assert f"brew tea in the kitchen [{FETCH} tells how]" in told
    assert STEPS not in told
    assert FETCH in [tool.name for tool in first.tools]
    assert STEPS in second.messages[-1].text
    assert [m.kind for m in episode.messages if STEPS in m.text] == ["memory"]
    assert episode.recall is not None
    assert [(one.item, one.shown) for one in episode.recall.items] == [(item.id, True)]


async def test_what_was_read_counts_and_outlives_the_server(tmp_path: Path) -> None:
    """Once for each reading; credited like what is shown, read or not; taken back with nothing."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        item = tea(memory)
        read = ScriptedModel([call(FETCH, id=item.id), call("finish", answer="tea")])
        unread = ScriptedModel([call("finish", answer="tea")])
        for name, model in (("e1", read), ("e2", unread)):
            episode = await lived(memory, model, name=name)
            memory.record(episode, principal="ann")
            memory.feedback("home", name, principal="ann", outcome="success")
        memory.feedback("home", "e1", principal="ann", outcome="failure")
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        utility = memory.get("home", item.id).utility
        assert (utility.fetched, utility.n, utility.reward_sum) == (1, 2, 1.0)
        assert memory.check() == ()


@pytest.mark.parametrize("mode", ["frozen", "shadow", "off"])
async def test_only_learning_moves_the_counter(memory: Memory, mode: Mode) -> None:
    """Frozen memory may be read and stays as it is; where nothing is shown there is nothing to read."""
    item = tea(memory)
    model = ScriptedModel([call(FETCH, id=item.id), call("finish", answer="tea")])
    episode = await lived(memory, model, mode=mode)
    assert any(STEPS in message.text for message in episode.messages) == (mode == "frozen")
    assert memory.get("home", item.id).utility.fetched == 0


async def test_nothing_else_can_be_read(memory: Memory) -> None:
    """Not what was not recalled, not what another namespace has, not what has fallen meanwhile."""
    item, other = tea(memory), tea(memory, "work")
    note = Draft("tool_note", "brew tea in the kitchen with care", NoteBody("tea", "with care"))
    (hidden,) = memory.remember("home", [note], principal="ann", channel="operator")

    def act(messages: tuple[Message, ...]) -> Message:
        n = sum(message.role == "tool" for message in messages)
        if n == 3:
            memory.forget("home", item.id, principal="ann", channel="operator")
        return (
            call(FETCH, id=(other.id, hidden.id, "nothing", item.id)[n])
            if n < 4
            else call("finish", answer="")
        )

    episode = await lived(memory, FunctionModel(act))
    answers = [m for m in episode.messages if m.role == "tool" and m.text]
    assert [(m.ok, m.kind) for m in answers] == [(False, "observe")] * 4
    assert memory.get("home", item.id).utility.fetched == 0


async def test_a_held_out_procedure_has_no_tool(memory: Memory) -> None:
    """What the coin took away cannot be read either, or it would not be away."""
    tea(memory)
    model = ScriptedModel([call("finish", answer="tea")])
    episode = await lived(memory, model, replace(INDEX, drop_rate=0.999))
    assert episode.recall is not None
    assert [one.shown for one in episode.recall.items] == [False]
    assert FETCH not in [tool.name for tool in model.history[0].tools]


async def test_guards_are_asked_as_for_any_tool(memory: Memory) -> None:
    """A policy that forbids reading is obeyed; nothing is counted."""
    item = tea(memory)
    model = ScriptedModel([call(FETCH, id=item.id), call("finish", answer="tea")])
    policy = Policy((Rule(FETCH, "forbid"),), default="allow")
    episode = await lived(memory, model, guards=(Privilege((policy,)),))
    assert any(m.text.startswith("refused") for m in episode.messages)
    assert not any(STEPS in m.text for m in episode.messages)
    assert memory.get("home", item.id).utility.fetched == 0


async def test_small_models_are_shown_it_whole(memory: Memory) -> None:
    """They have one tool and no way to name another."""
    tea(memory)
    model = FunctionModel(lambda _: "hm. > look", style="plain")
    agent = Agent(model, memory, settings=INDEX)
    episode = await agent.run(TASK, ToolWorld(), Run("home", "ann", "e1"))
    assert STEPS in next(m.text for m in episode.messages if m.kind == "memory")
    assert FETCH not in str(model.history[0])


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        (AgentSettings(), ("case", "procedure", "tool_note")),
        (AgentSettings(procedures="index"), ("case", "procedure", "tool_note")),
        (AgentSettings(procedures="off"), ("case", "tool_note")),
        (AgentSettings(tool_notes=False), ("case", "procedure")),
    ],
)
def test_each_tier_is_switched_off_by_one_setting(settings: AgentSettings, kinds: tuple[str, ...]) -> None:
    """Principles by their token budget, these two by what is asked for."""
    assert situation(TASK, Run("home", "ann", "e1"), settings).kinds == kinds


async def test_a_resumed_run_reads_once(memory: Memory) -> None:
    """The journal answers for what was read before the crash."""
    item, journal = tea(memory), MemoryJournal()
    world, run = ToolWorld(), Run("home", "ann", "e1")

    def cut_off(messages: tuple[Message, ...]) -> Message:
        if messages[-1].role == "tool":
            raise asyncio.CancelledError
        return call(FETCH, id=item.id)

    crash = FunctionModel(cut_off)
    with pytest.raises(asyncio.CancelledError):
        await Agent(crash, memory, settings=INDEX).run(TASK, world, run, journal)
    after = ScriptedModel([call("finish", answer="tea")])
    episode = await Agent(after, memory, settings=INDEX).run(TASK, ToolWorld(), run, journal)
    assert [m.kind for m in episode.messages if STEPS in m.text] == ["memory"]
    assert memory.get("home", item.id).utility.fetched == 1


async def test_reading_is_no_step_of_the_world(memory: Memory) -> None:
    """For miners, values of steps, verifiers and training it has not happened."""
    item = tea(memory)

    def touch(place: str) -> str:
        """Touch something."""
        return f"you touched {place}"

    world = ToolWorld([FunctionTool.of(touch)])
    script = [call(FETCH, id=item.id), call("touch", place="cup"), call("finish", answer="tea")]
    agent = Agent(ScriptedModel(script), memory, settings=INDEX)
    episode = await agent.run(TASK, world, Run("home", "ann", "e1"))
    assert [step.verb for step in steps(episode)] == ["touch", "finish"]
    assert [one.action.split()[0] for one in acted(episode.task, episode.messages)] == ["touch", "finish"]
    evidence = evidence_of(episode, TASK, world.tools())
    assert [act.call.name for act in evidence.acts] == ["touch"]
    assert STEPS not in evidence.seen
    (row,) = StripMemory()([trajectory(episode, (1.0,) * len(episode.messages))], {})
    assert FETCH not in str(row.messages)
    assert {c.id for m in row.messages for c in m.tool_calls} >= {m.tool_call_id for m in row.messages} - {
        None
    }


class Other:
    """A world without snapshots, with a tool of our name."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec(FETCH, "", {"type": "object"}),)

    async def reset(self, task: Task) -> Observation:
        return Observation("")

    async def step(self, call: ToolCall) -> Observation:
        return Observation("")


def test_a_shelf_takes_no_other_tools_name(memory: Memory) -> None:
    """And offers nothing where there is nothing to read."""
    shelf, box = Shelf(memory, Run("home", "ann", "e1")), boxed(Other())
    shelf.offer((), box)
    assert box.tools() == Other().tools()
    with pytest.raises(BadInput, match=f"a tool '{FETCH}' of its own"):
        shelf.offer(("x",), box)
