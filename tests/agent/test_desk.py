"""The desk: every verb of a planner is journaled, replayed alike, paid for, and under the guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from agent.desk import Desk, Kit, Planner
from agent.ending import Ending
from agent.guards.privilege import Policy, Privilege, Rule
from agent.guards.quota import Quota
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.toolbox import boxed
from agent.tools import FunctionTool, ToolWorld
from agent.types import Budget, Guard, Observation, Request, Snapshots, Task, ToolSpec, World
from memory.errors import BadInput, WorldError
from memory.types import Episode, Json, Message, ToolCall

TASK = Task("t1", "count to two", "count", "lab")
BUMP = ToolCall("", "bump", {})
RUN = Run("ns", "ann", "e1")


@dataclass
class Counting:
    """Counts what really happened; two is the end. Can be put back."""

    n: int = 0
    bumps: int = 0
    resets: int = 0

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("bump", "", {"type": "object", "properties": {}}),)

    async def reset(self, task: Task) -> Observation:
        self.n, self.resets = 0, self.resets + 1
        return Observation("0")

    async def step(self, call: ToolCall) -> Observation:
        self.n += 1
        self.bumps += 1
        done = self.n >= 2
        return Observation(str(self.n), ok=True, done=done, outcome="success" if done else None)

    def snapshot(self) -> Json:
        return self.n

    def restore(self, task: Task, snapshot: Json) -> None:
        self.n = int(str(snapshot))


@dataclass(frozen=True)
class Wandering:
    """Asks, steps, goes back, and steps until it is over."""

    seen: list[object] = field(default_factory=list)
    name: str = "wandering"

    async def run(self, desk: Desk) -> Ending:
        start = desk.snapshot()
        replies = await desk.ask(Request((Message("user", "which way?"),), n=2))
        desk.say(f"plan: {replies[0].message.text}")
        seen, ending = await desk.act(BUMP, "first")
        assert ending is None
        await desk.restore(start)
        again, ending = await desk.act(BUMP, "once more")
        assert ending is None
        self.seen.append((replies[1].message.text, seen.text, again.text))
        while ending is None:
            ending = desk.spent_up() or await desk.turn()
        return ending


def bump() -> Message:
    return Message("assistant", "on", tool_calls=(BUMP,))


async def wander(
    world: Counting, journal: MemoryJournal, seen: list[object]
) -> tuple[Episode, ScriptedModel]:
    model = ScriptedModel([Message("assistant", "left"), Message("assistant", "right"), bump()])
    planner: Planner = Wandering(seen)
    return await Agent(model, None, planner=planner).run(TASK, world, RUN, journal), model


async def test_a_planner_asks_acts_and_goes_back() -> None:
    """What was said stays said, the world is where it was; asking is paid for."""
    seen: list[object] = []
    episode, model = await wander(Counting(), MemoryJournal(), seen)
    assert seen == [("right", "1", "1")]
    assert episode.outcome == "success"
    said = [(message.kind, message.text) for message in episode.messages if message.role != "system"]
    assert ("plan", "plan: left") in said
    assert [text for kind, text in said if kind == "observe"][-3:] == ["1", "1", "2"]
    assert episode.usage.calls == len(model.history) + 1  # one request for two answers
    ids = [call.id for message in episode.messages for call in message.tool_calls]
    assert len(set(ids)) == 3


async def test_a_planner_is_replayed_from_its_journal() -> None:
    """Cut anywhere, it goes on where it was: nothing is asked or done twice, the end is the same."""
    journal = MemoryJournal()
    whole, _ = await wander(Counting(), journal, [])
    names = list(journal.record)
    for cut in range(len(names)):
        world = Counting()
        kept = {name: journal.record[name] for name in names[:cut]}
        episode = await wander_from(kept, world)
        assert episode.messages == whole.messages
        assert episode.outcome == "success"
        steps = sum(name.startswith("step") for name in names[:cut])
        assert world.bumps == 3 - steps


async def wander_from(kept: Mapping[str, Json], world: Counting) -> Episode:
    asked = "ask 1" in kept
    script = [bump()] if asked else [Message("assistant", "left"), Message("assistant", "right"), bump()]
    agent = Agent(ScriptedModel(script), None, planner=Wandering())
    return await agent.run(TASK, world, RUN, MemoryJournal(kept))


async def test_going_back_needs_a_world_that_can() -> None:
    """It is an end by infrastructure, in words."""
    episode, _ = await run_of(Bare(ToolWorld([tool("bump")])), Wandering())
    assert episode.outcome == "infra"
    assert "cannot be put back" in str(episode.error)


async def run_of(
    world: World,
    planner: Planner | None,
    *,
    kits: Sequence[Kit] = (),
    guards: Sequence[Guard] = (),
    script: Sequence[Message] = (),
    run: Run = RUN,
) -> tuple[Episode, ScriptedModel]:
    model = ScriptedModel(script or [Message("assistant", "a"), Message("assistant", "b"), bump(), bump()])
    agent = Agent(model, None, planner=planner, kits=kits, guards=guards)
    return await agent.run(TASK, world, run), model


@dataclass
class Bare:
    """Hides that a world can be put back."""

    world: World

    def tools(self) -> tuple[ToolSpec, ...]:
        return self.world.tools()

    async def reset(self, task: Task) -> Observation:
        return await self.world.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        return await self.world.step(call)


def tool(name: str, channel: str = "tool") -> FunctionTool:
    def ring() -> str:
        """Ring."""
        return f"{name} rang"

    return FunctionTool.of(ring, name=name, channel="external" if channel == "external" else "tool")


@dataclass(frozen=True)
class Twice:
    """Offers a tool that calls others from inside."""

    inner: tuple[str, ...]
    got: list[str] = field(default_factory=list)

    def equip(self, desk: Desk) -> None:
        async def do(arguments: Mapping[str, Json]) -> Observation:
            for name in self.inner:
                done = await desk.inside(ToolCall("", name, {}))
                self.got.append(done.observation.text)
            return Observation("both done", ok=True)

        desk.offer(ToolSpec("twice", "", {"type": "object"}), do)


def call(name: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(arguments)),))


async def test_calls_from_inside_stand_under_the_guards_and_count() -> None:
    """Refused ones are told inside; they count as steps and in quotas; strangers lower the trust."""
    forbid = Privilege((Policy((Rule("bell", "forbid"),), default="allow"),))
    kit = Twice(("bell", "gong", "gong"))
    world = ToolWorld([tool("bell"), tool("gong", "external")])
    script = [call("twice"), call("gong"), call("finish", answer="x")]
    quota = Quota(calls={"gong": 1})
    episode, _ = await run_of(world, None, kits=[kit], guards=[forbid, quota], script=script)
    assert kit.got[0].startswith("refused")
    assert kit.got[1] == "gong rang"
    assert "may be called 1 times" in kit.got[2]
    answers = [message for message in episode.messages if message.role == "tool"]
    assert answers[0].agent == "external"
    assert "may be called 1 times" in answers[1].text
    assert episode.steps == 3 + 3


async def test_what_ends_inside_ends_the_episode() -> None:
    """And nothing more is done inside after it."""
    kit, world = Twice(("bump", "bump", "bump")), Counting()
    episode, _ = await run_of(world, None, kits=[kit], script=[call("twice")])
    assert (episode.outcome, world.bumps) == ("success", 2)
    assert "any more" in kit.got[2]


async def test_an_answer_is_not_given_from_inside() -> None:
    """Nobody but the model speaks to its user."""
    kit = Twice(("finish",))
    episode, _ = await run_of(
        ToolWorld(), None, kits=[kit], script=[call("twice"), call("finish", answer="x")]
    )
    assert kit.got[0].startswith("refused")
    assert episode.messages[-1].text != "x"


async def test_nothing_is_called_from_inside_of_nothing() -> None:
    """A tool that is over cannot call on."""
    desks: list[Desk] = []

    @dataclass(frozen=True)
    class Keep:
        def equip(self, desk: Desk) -> None:
            desks.append(desk)

    await run_of(Counting(), None, kits=[Keep()])
    with pytest.raises(WorldError, match="no tool is running"):
        await desks[0].inside(BUMP)


async def test_a_remark_comes_after_each_turn_and_a_view_hides() -> None:
    """The model hears the one and does not see the other; both stand in the episode as they were."""

    @dataclass(frozen=True)
    class Remarks:
        def equip(self, desk: Desk) -> None:
            desk.nudge(lambda messages: [Message("user", f"{len(messages)} so far", kind="plan")])
            desk.show(lambda messages: [one for one in messages if one.role != "tool"])

    episode, model = await run_of(Counting(), None, kits=[Remarks()], script=[bump(), bump()])
    assert any("so far" in message.text for message in model.history[1].messages)
    assert not any(message.role == "tool" for message in model.history[1].messages)
    assert [message.text for message in episode.messages if message.role == "tool"] == ["1", "2"]


async def test_side_questions_end_with_the_money() -> None:
    """A planner that asks for ever is stopped by what it may spend."""

    @dataclass(frozen=True)
    class Asking:
        name: str = "asking"

        async def run(self, desk: Desk) -> Ending:
            while True:
                await desk.ask(Request((Message("user", "and?"),)))

    run = replace(RUN, budget=Budget(max_tokens=60))
    script = [Message("assistant", "word " * 20)] * 50
    episode, model = await run_of(Counting(), Asking(), script=script, run=run)
    assert episode.outcome == "unknown"
    assert "no tokens are left" in str(episode.error)
    assert 0 < len(model.history) < 50


def test_a_box_stands_where_its_world_does() -> None:
    """It can be put back if the world can; a taken name is told."""

    async def do(arguments: Mapping[str, Json]) -> Observation:
        return Observation("")

    assert isinstance(boxed(Counting()), Snapshots)
    assert not isinstance(boxed(Bare(Counting())), Snapshots)
    with pytest.raises(BadInput, match="'bump' of its own"):
        boxed(Counting()).offer(ToolSpec("bump", "", {}), do)
