"""Tools from functions, the world they make, and the dispatcher in front of them."""

import asyncio
import threading
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from agent.dispatch import Dispatched, Dispatcher
from agent.guards.privilege import Policy, Privilege, Rule
from agent.guards.quota import Quota
from agent.tools import MAX_OUTPUT, FunctionTool, ToolWorld
from agent.types import Guard, GuardContext, Judgement, Observation, Spent, Task, ToolSpec
from memory.errors import BadInput, WorldError
from memory.types import Json, ToolCall

TASK = Task("t1", "add things", "tools", "sums")
CONTEXT = GuardContext((), Spent(), 3)


class Point(BaseModel):
    x: int
    y: int = 0


def add(a: int, b: Annotated[int, Field(ge=0, description="not negative")] = 1) -> int:
    """Add two numbers."""
    return a + b


async def greet(name: str, mood: Literal["glad", "sad"] = "glad") -> dict[str, str]:
    """Greet somebody."""
    return {"to": name, "mood": mood}


def test_schema_comes_from_the_signature() -> None:
    """Types, defaults, descriptions and literals are in the schema; the docstring describes the tool."""
    spec = FunctionTool.of(add).spec
    assert (spec.name, spec.description) == ("add", "Add two numbers.")
    assert spec.parameters["required"] == ["a"]
    assert spec.parameters["additionalProperties"] is False
    assert spec.parameters["properties"]["b"] == {  # type: ignore[index,call-overload]
        "default": 1,
        "description": "not negative",
        "minimum": 0,
        "title": "B",
        "type": "integer",
    }
    assert FunctionTool.of(greet, name="hi", description="").spec.description == ""


async def test_sync_async_and_structured_functions_run() -> None:
    """Results are text as they are, everything else as JSON; models are built from their JSON."""

    def length(points: list[Point]) -> str:
        return f"{sum(p.x for p in points)}"

    assert await FunctionTool.of(add).call({"a": 2}) == Observation("3", ok=True)
    assert (await FunctionTool.of(greet).call({"name": "ann"})).text == '{"to": "ann", "mood": "glad"}'
    assert (await FunctionTool.of(length).call({"points": [{"x": 1}, {"x": 2}]})).text == "3"


async def test_sync_function_does_not_block_the_loop() -> None:
    """It runs in a thread."""
    seen: list[int] = []

    def where() -> str:
        seen.append(threading.get_ident())
        return ""

    await FunctionTool.of(where).call({})
    assert seen != [threading.get_ident()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"a": "x"}, "a: "), ({}, "a: Field required"), ({"a": 1, "c": 2}, "c: "), ({"a": 1, "b": -1}, "b: ")],
)
async def test_wrong_arguments_are_told_not_raised(arguments: dict[str, Json], says: str) -> None:
    """The agent reads which argument was wrong."""
    observation = await FunctionTool.of(add).call(arguments)
    assert observation.ok is False
    assert observation.text.startswith(f"bad arguments for add: {says}")


async def test_exception_of_a_tool_is_an_observation_but_a_broken_world_is_not() -> None:
    """Ordinary failures are the agent's to handle; WorldError ends the episode."""

    def divide(a: int) -> float:
        return 1 / a

    def crash() -> str:
        raise WorldError("gone")

    observation = await FunctionTool.of(divide).call({"a": 0})
    assert (observation.ok, observation.text) == (False, "divide failed: ZeroDivisionError: division by zero")
    with pytest.raises(WorldError, match="gone"):
        await FunctionTool.of(crash).call({})


async def test_long_output_loses_its_middle() -> None:
    """Head and tail stay, and the reader is told."""

    def much() -> str:
        return "a" * MAX_OUTPUT + "b" * MAX_OUTPUT

    text = (await FunctionTool.of(much).call({})).text
    assert len(text) < MAX_OUTPUT + 100
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert f"[{MAX_OUTPUT} characters left out]" in text


def test_functions_without_annotations_are_refused() -> None:
    """A tool that cannot be described is a programming error found at once."""

    def untyped(a) -> str:  # type: ignore[no-untyped-def]
        return str(a)

    def variadic(*a: int) -> str:
        return str(a)

    for function in (untyped, variadic):
        with pytest.raises(BadInput, match="'a'"):
            FunctionTool.of(function)


def test_names_of_tools_are_their_own() -> None:
    """Two tools of one name, or one called finish, cannot share a world."""
    with pytest.raises(BadInput, match="add"):
        ToolWorld([FunctionTool.of(add), FunctionTool.of(add)])
    with pytest.raises(BadInput, match="finish"):
        ToolWorld([FunctionTool.of(add, name="finish")])


async def test_answer_ends_the_task_with_an_unknown_outcome() -> None:
    """Nobody judged it, so nothing will be learned from it."""
    world = ToolWorld([FunctionTool.of(add)])
    assert await world.reset(TASK) == Observation("")
    assert [tool.name for tool in world.tools()] == ["add", "finish"]
    done = await world.step(ToolCall("c", "finish", {"answer": "3"}))
    assert (done.done, done.outcome, done.reward) == (True, "unknown", None)


@pytest.mark.parametrize(("answer", "outcome", "reward"), [("3", "success", 1.0), ("4", "failure", 0.25)])
async def test_checker_gives_outcome_and_reward(answer: str, outcome: str, reward: float) -> None:
    """With a checker the answer is judged."""

    async def check(task: Task, said: str) -> Judgement:
        return Judgement(1.0, True) if said == "3" else Judgement(0.25, False, "too high")

    world = ToolWorld(check=check)
    await world.reset(TASK)
    done = await world.step(ToolCall("c", "finish", {"answer": answer}))
    assert (done.outcome, done.reward) == (outcome, reward)


async def test_broken_checker_breaks_the_world() -> None:
    """A judge that is down is infra, never a failure of the agent."""

    def check(task: Task, said: str) -> Judgement:
        raise OSError("no judge")

    world = ToolWorld(check=check)
    await world.reset(TASK)
    with pytest.raises(WorldError, match="no judge"):
        await world.step(ToolCall("c", "finish", {"answer": "3"}))


async def test_tool_world_goes_on_from_its_snapshot() -> None:
    """The task is all the state it has; another task's snapshot is refused."""
    first, second = ToolWorld([FunctionTool.of(add)]), ToolWorld([FunctionTool.of(add)])
    with pytest.raises(WorldError, match="before reset"):
        await second.step(ToolCall("c", "add", {"a": 1}))
    await first.reset(TASK)
    second.restore(TASK, first.snapshot())
    assert (await second.step(ToolCall("c", "add", {"a": 1}))).text == "2"
    with pytest.raises(WorldError, match="not of task"):
        second.restore(Task("t2", "", "tools", ""), first.snapshot())


async def world_of(*tools: FunctionTool) -> ToolWorld:
    world = ToolWorld(tools)
    await world.reset(TASK)
    return world


async def dispatched(call: ToolCall, *guards: Guard, is_approved: bool = False) -> Dispatched:
    world = await world_of(FunctionTool.of(add), FunctionTool.of(greet, channel="external"))
    return await Dispatcher(world, guards).dispatch(call, CONTEXT, is_approved=is_approved)


async def test_dispatched_call_reaches_the_world_with_its_channel() -> None:
    """The answer's trust is that of the tool's channel."""
    own = await dispatched(ToolCall("c", "add", {"a": 1}))
    strange = await dispatched(ToolCall("c", "greet", {"name": "x"}))
    assert (own.observation.text, own.ran, own.trust) == ("2", True, 2)
    assert (strange.ran, strange.trust) == (True, 0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (ToolCall("c", "fly", {}), "there is no tool 'fly'; there are: add, greet, finish"),
        (ToolCall("c", "add", {}), "bad arguments for 'add': the value: 'a' is a required property"),
        (ToolCall("c", "add", {"a": "1"}), "['a']: '1' is not of type 'integer'"),
    ],
)
async def test_calls_that_fit_no_tool_are_refused(call: ToolCall, says: str) -> None:
    """Unknown tools and arguments outside the schema never reach the world."""
    done = await dispatched(call)
    assert (done.ran, done.observation.ok, done.verdict.action) == (False, False, "block")
    assert says in done.observation.text


async def test_first_guard_that_objects_decides() -> None:
    """A block is an observation; later guards are not asked; stop says so."""
    call = ToolCall("c", "add", {"a": 1})
    blocked = await dispatched(call, Privilege((Policy(),)), Quota(max_steps=0))
    stopped = await dispatched(call, Quota(max_steps=0), Privilege((Policy(),)))
    assert (blocked.verdict.action, blocked.observation.ok) == ("block", False)
    assert blocked.observation.text.startswith("refused: ")
    assert (stopped.verdict.action, stopped.ran) == ("stop", False)


async def test_a_question_is_asked_where_nothing_else_stands_against_the_call() -> None:
    """A yes answers every question, and no other guard."""
    call = ToolCall("c", "add", {"a": 1})
    careful = Privilege((Policy((Rule("add", "forbid", fallback="ask"),)),))
    asked, refused = await dispatched(call, careful), await dispatched(call, careful, Privilege((Policy(),)))
    assert [(one.verdict.action, one.ran) for one in (asked, refused)] == [("ask", False), ("block", False)]
    assert asked.observation.text.startswith("refused: not approved: ")
    assert (await dispatched(call, careful, careful, is_approved=True)).ran
    assert not (await dispatched(call, careful, Privilege((Policy(),)), is_approved=True)).ran


async def test_slow_tool_is_answered_for() -> None:
    """The time limit turns into an observation, and the tool is cancelled."""
    cancelled = asyncio.Event()

    async def sleepy() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    world = await world_of(FunctionTool.of(sleepy))
    done = await Dispatcher(world, timeout_s=0.02).dispatch(ToolCall("c", "sleepy", {}), CONTEXT)
    assert (done.observation.ok, done.observation.text) == (
        False,
        "sleepy did not answer within 0.02 seconds.",
    )
    assert cancelled.is_set()


class Broken:
    """A world whose steps raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def tools(self) -> tuple[ToolSpec, ...]:
        return (FunctionTool.of(add).spec,)

    async def reset(self, task: Task) -> Observation:
        return Observation("")

    async def step(self, call: ToolCall) -> Observation:
        raise self.error


@pytest.mark.parametrize("error", [WorldError("gone"), KeyError("gone"), TimeoutError("gone")])
async def test_broken_world_is_a_world_error(error: Exception) -> None:
    """Whatever a world raises comes out as WorldError, also a time-out of its own."""
    with pytest.raises(WorldError, match="gone"):
        await Dispatcher(Broken(error)).dispatch(ToolCall("c", "add", {"a": 1}), CONTEXT)
