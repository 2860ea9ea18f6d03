"""Programs: read, followed step by step, found in memory, and made better by what they score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.generate.flows import improve_flow, proven_flow
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.flow import STEP_DONE, Flow, best_flow, keep_flow
from agent.planners.named import planner_named
from agent.planners.program import Program, parse
from agent.tools import FunctionTool, ToolWorld
from agent.types import Judgement, Reply, Request, Task
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput
from memory.types import Episode, Message, ToolCall

TEXT = """
fetch ::: process ::: Fetch the beans. ::: next::check
check ::: decision ::: Are they ground? ::: yes::brew::no::grind
grind ::: process ::: Grind them. ::: next::brew
brew ::: process ::: Brew. ::: next::end
end ::: terminal ::: Say what it tastes of.
"""
TASK = Task("t", "make coffee", "tools", "kitchen", max_steps=12)
RUN = Run("ns", "ann", "e")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        yield memory


def test_a_program_is_read_and_written_alike() -> None:
    """Names without case; branches in order."""
    program = parse(TEXT.replace("grind :::", "Grind :::"))
    assert parse(program.text) == program
    assert program["check"].branches == (("yes", "brew"), ("no", "grind"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a program needs steps"),
        ("a ::: process", "line 1, 'a ::: process', is no step"),
        ("a ::: loop ::: x", "there is no type 'loop'"),
        ("a ::: process ::: x", "a process step has one branch"),
        ("a ::: decision ::: x ::: yes::a", "two branches or more"),
        ("a ::: terminal ::: x ::: next::a", "a terminal step has no branches"),
        ("a ::: process ::: x ::: next::b\nend ::: terminal ::: y", "leads to 'b', which is no step"),
        ("a ::: terminal ::: x\na ::: terminal ::: y", "two steps are called 'a'"),
        ("a ::: process ::: x ::: next::a", "has no end"),
        ("a ::: decision ::: x ::: yes::a::yes::a", "the same key"),
        ("a ::: process ::: x ::: next", "are no branches"),
    ],
)
def test_what_is_no_program_is_named(text: str, said: str) -> None:
    """With its line and what would do."""
    with pytest.raises(BadInput, match=said):
        parse(text)


def call(name: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(arguments)),))


class Cook:
    """Does what the step says; asked to decide, says what it was told to."""

    def __init__(self, ground: bool) -> None:
        self.ground = ground

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        last = messages[-1]
        if last.text.startswith("Decide"):
            return Message("assistant", "yes" if self.ground else "no")
        if last.role == "tool":
            return (
                call(STEP_DONE.name, note="ok")
                if "step_done" in _set(messages)
                else call("finish", answer="nuts")
            )
        words = {"Fetch": "fetch", "Grind": "grind", "Brew": "brew"}
        named = [tool for word, tool in words.items() if word in last.text]
        return call(named[0]) if named else call("finish", answer="nuts")


def _set(messages: Sequence[Message]) -> str:
    return next((one.text for one in reversed(messages) if one.kind == "plan"), "")


def kitchen(done: list[str]) -> ToolWorld:
    def tool(name: str) -> FunctionTool:
        def do() -> str:
            """Do it."""
            done.append(name)
            return f"{name} done"

        return FunctionTool.of(do, name=name)

    def check(task: Task, answer: str) -> Judgement:
        is_right = done[:1] == ["fetch"] and done[-1:] == ["brew"] and answer == "nuts"
        return Judgement(float(is_right), is_right)

    return ToolWorld([tool("fetch"), tool("grind"), tool("brew")], check=check)


@pytest.mark.parametrize(
    ("ground", "wanted"), [(True, ["fetch", "brew"]), (False, ["fetch", "grind", "brew"])]
)
async def test_branches_are_obeyed(ground: bool, wanted: list[str]) -> None:
    """The same model does nothing without the program; from the journal the run is the same."""
    done: list[str] = []
    journal = MemoryJournal()
    agent = Agent(FunctionModel(Cook(ground)), None, planner=Flow(parse(TEXT)))
    episode = await agent.run(TASK, kitchen(done), RUN, journal)
    assert (done, episode.outcome) == (wanted, "success")
    silent = Agent(ScriptedModel([], name=episode.model), None, planner=Flow(parse(TEXT)))
    assert await silent.run(TASK, kitchen([]), RUN, journal) == episode
    without: list[str] = []
    plain = await Agent(FunctionModel(Cook(ground)), None).run(TASK, kitchen(without), RUN)
    assert (without, plain.outcome) == ([], "failure")


async def test_a_circle_is_cut() -> None:
    """The model is told to go on by itself."""
    text = "a ::: decision ::: Again? ::: yes::a::no::end\nend ::: terminal ::: Stop."
    model = FunctionModel(
        lambda messages: "yes" if messages[-1].text.startswith("Decide") else call("finish", answer="x")
    )
    episode = await Agent(model, None, planner=Flow(parse(text), most=5)).run(TASK, kitchen([]), RUN)
    said = [one.text for one in episode.messages if one.kind == "plan"]
    assert sum(text.startswith("Decided") for text in said) == 5
    assert "goes in circles" in said[-1]


async def test_the_newest_flow_of_a_family_is_followed(memory: Memory) -> None:
    """Another family's is not; off, memory has none."""

    async def lived(family: str, name: str, **more: str) -> tuple[Episode, list[str]]:
        done: list[str] = []
        agent = Agent(FunctionModel(Cook(ground=True)), memory, planner=Flow())
        task = Task("t", "make coffee", "tools", family, max_steps=12)
        run = Run("ns", "ann", name, memory="off" if more else "frozen")
        return await agent.run(task, kitchen(done), run), done

    old = parse("a ::: process ::: Brew. ::: next::end\nend ::: terminal ::: Say it.")
    keep_flow(memory, "ns", old, "make coffee", "kitchen", principal="ann")
    assert (await lived("kitchen", "e0"))[1] == ["brew"]
    keep_flow(memory, "ns", parse(TEXT), "make coffee", "kitchen", principal="ann")
    assert (await lived("kitchen", "e1"))[1] == ["fetch", "brew"]
    assert (await lived("cellar", "e2"))[1] == []
    assert (await lived("kitchen", "e3", memory="off"))[1] == []


async def test_the_flow_that_did_better_is_served(memory: Memory) -> None:
    """Whichever is newer: runs are credited to the flow they followed, and to that alone; one never run goes
    before one that failed.
    """
    good = keep_flow(memory, "ns", parse(TEXT), "make coffee", "kitchen", principal="ann")
    poor = parse("a ::: process ::: Brew. ::: next::end\nend ::: terminal ::: Say it.")
    bad = keep_flow(memory, "ns", poor, "make coffee", "kitchen", principal="ann")

    async def lived(name: str, planner: str) -> list[str]:
        done: list[str] = []
        agent = Agent(FunctionModel(Cook(ground=True)), memory, planner=planner_named(planner))
        episode = await agent.run(TASK, kitchen(done), Run("ns", "ann", name))
        memory.record(episode, principal="ann")
        await agent.learn(episode)
        return done

    assert await lived("e0", "flow") == ["brew"]
    assert await lived("e1", "flow") == ["fetch", "brew"]
    assert await lived("e2", "flow") == ["fetch", "brew"]
    assert best_flow(memory, "ns", "kitchen") == memory.get("ns", good.id)
    used = [memory.get("ns", one.id).utility for one in (good, bad)]
    assert [(one.n, one.q) for one in used] == [(2, 1.0), (1, 0.0)]
    assert await lived("e3", f"flow:{bad.id}") == ["brew"]
    assert memory.get("ns", bad.id).utility.n == 2


def program(*order: str) -> Program:
    lines = [
        f"{name} ::: process ::: {name} ::: next::{then}"
        for name, then in zip(order, (*order[1:], "end"), strict=True)
    ]
    return parse("\n".join([*lines, "end ::: terminal ::: say"]))


async def graded(found: Program) -> float:
    """Share of three steps in their right place."""
    names = [step.name for step in found.steps[:-1]]
    return sum(a == b for a, b in zip(names, ("fetch", "grind", "brew"), strict=False)) / 3


async def test_a_flow_is_made_better_by_its_score() -> None:
    """Errors go back; a worse one never takes the incumbent's place; what was tried is told."""
    said = [
        "nonsense ::: process",
        f"Here it is:\n```\n{program('fetch', 'brew', 'grind').text}\n```",
        program("brew", "grind", "fetch").text,
        program("fetch", "grind", "brew").text,
        program("grind", "fetch", "brew").text,
    ]
    asked: list[Request] = []

    async def ask(request: Request) -> tuple[Reply, ...]:
        asked.append(request)
        return (Reply(Message("assistant", said[len(asked) - 1])),)

    first = program("brew", "fetch", "grind")
    best, rounds = await improve_flow(ask, graded, first, goal="coffee", epochs=4)
    assert (best.program, best.score) == (program("fetch", "grind", "brew"), 1.0)
    assert [len(one.kept) for one in rounds] == [1, 0, 1, 0]
    assert "error: line 1" in asked[1].messages[-1].text
    told = [message.text for message in asked[-1].messages]
    assert [text for text in told if text.startswith("score")] == [
        "score 0.00",
        "score 0.33",
        "score 0.33",
        "score 1.00",
    ]


async def test_the_incumbent_stays_where_nothing_is_better() -> None:
    """However often it is tried."""

    async def ask(request: Request) -> tuple[Reply, ...]:
        return (Reply(Message("assistant", program("brew", "fetch", "grind").text)),)

    best, _ = await improve_flow(ask, graded, program("fetch", "brew", "grind"), goal="x", epochs=3)
    assert best.program == program("fetch", "brew", "grind")


@pytest.mark.parametrize(("elsewhere", "better"), [(("fetch", "grind", "brew"), True), (("brew",), False)])
async def test_what_does_more_on_other_tasks_is_better(elsewhere: tuple[str, ...], better: bool) -> None:
    """A flow that fits its training tasks alone is not; the first is scored once on those."""
    scored: list[Program] = []

    async def ask(request: Request) -> tuple[Reply, ...]:
        return (Reply(Message("assistant", program("fetch", "grind", "brew").text)),)

    async def score(found: Program) -> float:
        scored.append(found)
        return await graded(found)

    async def held_out(found: Program) -> float:
        return float(found == program(*elsewhere))

    first = program("brew", "fetch", "grind")
    found = await proven_flow(ask, score, held_out, first, goal="coffee", epochs=1)
    assert (found.first.score, found.best.score, found.is_better) == (0.0, 1.0, better)
    assert scored.count(first) == 1
