"""Tools that an agent writes: kept when they worked, found again, composed, judged, never past a guard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.forge.confine import lacking
from agent.forge.extract import functions, heading, named
from agent.forge.kit import DYNASAUR, FIND, LIVE, NUDGE, Forge, ForgeSettings
from agent.forge.rack import RUN
from agent.guards.privilege import Policy, Privilege, Rule
from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings, Run
from agent.tools import FunctionTool, ToolWorld
from agent.types import Guard, Judgement, Task
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Episode, Item, Message, Mode, ToolBody, ToolCall

isolated = pytest.mark.skipif(bool(lacking()), reason="; ".join(lacking()))

SMOOTH = '''import statistics

def moving_average(values: list[float], window: int) -> list[float]:
    """Smooth a series by the mean of each window.

    >>> moving_average([1, 2, 3], 2)
    [1.5, 2.5]
    """
    return [statistics.mean(values[i : i + window]) for i in range(len(values) - window + 1)]
'''
PEAK = '''
def smooth_peak(values: list[float]) -> float:
    """The highest point of a smoothed series.

    >>> smooth_peak([1, 2, 3])
    2.5
    """
    return max(moving_average(values, 2))
'''


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    opened = Memory.open(tmp_path / "memory.db", encoder=HashEncoder())
    yield opened
    opened.close()


def script(code: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", RUN, {"code": code}),))


def find(query: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", FIND, {"query": query}),))


def finish(answer: str = "done") -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": answer}),))


NUMBERS = itertools.count()


async def lived(
    memory: Memory | None,
    says: Sequence[Message],
    *,
    expects: str = "done",
    tools: Sequence[FunctionTool] = (),
    guards: Sequence[Guard] = (),
    settings: ForgeSettings | None = None,
    mode: Mode = "learn",
    journal: MemoryJournal | None = None,
    how: AgentSettings | None = None,
    number: int | None = None,
    text: str = "a task",
) -> Episode:
    """One task whose right answer is known, lived and learned from."""

    def check(_: Task, answer: str) -> Judgement:
        return Judgement(float(answer == expects), answer == expects)

    number = next(NUMBERS) if number is None else number
    model = ScriptedModel([*says, "nothing"])
    agent = Agent(
        model,
        memory,
        guards=guards,
        settings=how or AgentSettings(reflection_calls=0),
        kits=[Forge(settings or ForgeSettings())],
    )
    run = Run("home", "p", f"e{number}", memory=mode)
    task = Task(f"t{number}", text, "tools", "series")
    episode = await agent.run(task, ToolWorld(tools, check=check), run, journal)
    await agent.learn(episode)
    return episode


def answers(episode: Episode) -> list[str]:
    return [message.text for message in episode.messages if message.role == "tool"]


def tools_in(memory: Memory) -> dict[str, Item]:
    return {
        item.body.name: item for item in memory.items("home", kind="tool") if isinstance(item.body, ToolBody)
    }


# Accumulation


@isolated
async def test_a_function_that_worked_is_one_item_with_its_import(memory: Memory) -> None:
    """Signature and purpose are its text; code, arguments and example its body; it is on trial."""
    episode = await lived(memory, [script(f"{SMOOTH}\nprint(moving_average([1, 3], 2))"), finish()])
    assert answers(episode)[0] == "[2]\nKept as tools: moving_average."
    (item,) = memory.items("home", kind="tool")
    assert item.text == (
        "moving_average(values: list[float], window: int) -> list[float]: "
        "Smooth a series by the mean of each window."
    )
    assert (item.status, item.channel, item.scope) == ("trial", "reflection", "namespace")
    assert isinstance(item.body, ToolBody)
    assert item.body.code.startswith("import statistics\n\n\ndef moving_average")
    assert item.body.parameters["required"] == ["values", "window"]
    assert [(piece.episode, piece.message) for piece in item.lineage.evidence] == [(episode.id, 2)]


@isolated
async def test_a_later_task_finds_and_uses_it_without_defining_it(memory: Memory) -> None:
    """The search is a tool too; use is counted, and adds to what the item rests on."""
    await lived(memory, [script(SMOOTH), finish()])
    episode = await lived(
        memory, [find("smooth a series"), script("print(moving_average([2, 4], 2))"), finish()]
    )
    found, ran, _ = [*answers(episode), ""]
    assert found.startswith("- moving_average(")
    assert ran == "[3]\nKept as tools: none."
    item = tools_in(memory)["moving_average"]
    assert item.utility.fetched == 1
    assert len(item.lineage.evidence) == 2


@isolated
async def test_tools_are_composed_of_tools(memory: Memory) -> None:
    """What was kept later calls what was kept before, wherever it is called."""
    await lived(memory, [script(SMOOTH), finish()])
    await lived(memory, [script(PEAK), finish()])
    assert tools_in(memory)["smooth_peak"].body.requires == ("moving_average",)  # type: ignore[union-attr]
    episode = await lived(memory, [script("print(smooth_peak([0, 4, 8]))"), finish()])
    assert answers(episode)[0].startswith("6\n")
    assert [len(tools_in(memory)[name].lineage.evidence) for name in ("moving_average", "smooth_peak")] == [
        2,
        2,
    ]


@isolated
async def test_tools_serve_more_and_more_tasks(memory: Memory) -> None:
    """Coverage: the share of tasks done with what is kept alone grows as tasks go by."""
    needs = ["smooth", "scale", "smooth", "scale", "rank", "rank"]
    alone = [await _done_with_what_is_there(memory, need) for need in needs]
    assert alone == [False, False, True, True, False, True]
    shares = [sum(alone[:n]) / n for n in range(1, len(alone) + 1)]
    assert shares == [0, 0, 1 / 3, 1 / 2, 2 / 5, 1 / 2]
    assert len(tools_in(memory)) == 3


async def _done_with_what_is_there(memory: Memory, need: str) -> bool:
    """A policy that looks first, and writes only what is not there."""
    code = OWN.replace("own", need).replace("The same", f"Make it {need}")

    def policy(messages: Sequence[Message]) -> Message | str:
        said = [message.text for message in messages if message.role == "tool"]
        if not said:
            return find(f"make it {need}")
        if len(said) == 1:
            return script(f"{'' if f'- {need}(' in said[0] else code}\nprint({need}(3))")
        return finish(said[1].partition("\n")[0])

    agent = Agent(FunctionModel(policy), memory, settings=AgentSettings(reflection_calls=0), kits=[Forge()])
    number = next(NUMBERS)

    def check(_: Task, answer: str) -> Judgement:
        return Judgement(float(answer == "3"), answer == "3")

    episode = await agent.run(
        Task(f"t{number}", need, "tools", need), ToolWorld(check=check), Run("home", "p", f"e{number}")
    )
    await agent.learn(episode)
    assert episode.outcome == "success"
    return all(
        "def " not in str(call.arguments) for message in episode.messages for call in message.tool_calls
    )


# What can stand on its own


def whys(code: str) -> dict[str, str]:
    return dict(why.split(": ", 1) for why in functions(code).left)


def test_a_function_is_kept_with_what_it_needs() -> None:
    """Its own imports, and the functions before it; what it has from nowhere is a tool."""
    code = f"import csv, json as j\nfrom math import pi, tau\n{SMOOTH}{PEAK}\n" + OWN.replace(
        "return x", "return j.loads(str(x)) if pi else kept_before(x)"
    )
    found = {tool.name: tool for tool in functions(code).tools}
    assert functions(code).left == ()
    assert found["own"].code.startswith("import json as j\nfrom math import pi\n\n\ndef own")
    assert found["own"].requires == ("kept_before",)
    assert found["smooth_peak"].requires == ("moving_average",)
    assert list(found).index("moving_average") < list(found).index("smooth_peak")
    assert heading(found["own"]) == "own(x: int) -> int: The same."


def test_what_cannot_stand_on_its_own_is_not_kept_and_told_why() -> None:
    """One reason for each."""
    assert "no type hint for x" in whys(OWN.replace("x: int", "x"))["own"]
    assert "no type hint for what it returns" in whys(OWN.replace(" -> int", ""))["own"]
    assert "no docstring" in whys("def f(x: int) -> int:\n    return x")["f"]
    assert "no example" in whys(OWN.replace(">>> own(1)\n    1", ""))["own"]
    assert "without names" in whys(OWN.replace("x: int", "*x: int"))["own"]
    assert (
        "uses limit of the script" in whys(f"limit = 3\n{OWN.replace('return x', 'return x + limit')}")["own"]
    )
    assert "Python's" in whys(OWN.replace("own", "sum"))["sum"]
    assert "longer than" in whys(OWN.replace("return x", f"return x  # {'x' * 20_000}"))["own"]
    one, other = (
        OWN.replace("return x", "return two(x)"),
        OWN.replace("own", "two").replace("return x", "return own(x)"),
    )
    assert set(whys(f"{one}{other}")) == {"own", "two"}
    nested = (
        f"class A:\n    {OWN.strip().replace(chr(10), chr(10) + '    ')}\nasync def g() -> int:\n    return 1"
    )
    assert functions(nested).tools == ()
    assert functions("def (") == functions("(" * 9000) == functions("")


def test_names_from_nowhere_are_tools() -> None:
    """Wherever they are used, unless the script itself gives them a value."""
    assert named("for x in known:\n    print(f(x))\ndef g():\n    return [h(y) for y in z]\nz = 1") == {
        "known",
        "f",
        "h",
    }
    assert named("call_tool('x'); ToolError; __name__") == frozenset()


# What leaves nothing


@isolated
async def test_failed_code_leaves_nothing(memory: Memory) -> None:
    """A function of a script that broke is gone, also for the next script."""
    episode = await lived(memory, [script(f"{SMOOTH}\n1 / 0"), script("moving_average([1], 1)"), finish()])
    assert "ZeroDivisionError" in answers(episode)[0]
    assert "NameError" in answers(episode)[1]
    assert tools_in(memory) == {}


@isolated
async def test_a_run_that_failed_leaves_nothing_unless_it_keeps_at_once(memory: Memory) -> None:
    """At once is DynaSaur's way; the end of the run is the default's."""
    await lived(memory, [script(SMOOTH), finish("wrong")])
    assert tools_in(memory) == {}
    await lived(memory, [script(SMOOTH), finish("wrong")], settings=DYNASAUR)
    assert set(tools_in(memory)) == {"moving_average"}
    await lived(memory, [script(SMOOTH), finish()], settings=DYNASAUR)
    assert len(memory.items("home", kind="tool")) == 1


@isolated
@pytest.mark.parametrize("mode", ["frozen", "shadow"])
async def test_what_learns_nothing_keeps_nothing(memory: Memory, mode: Mode) -> None:
    """Functions of a run serve it to its end; a frozen one keeps none of them, one in the shadow does."""
    says = [script(OWN), script("print(own(5))"), finish()]
    episode = await lived(memory, says, mode=mode, settings=DYNASAUR)
    assert answers(episode)[1].startswith("5\n")
    assert set(tools_in(memory)) == ({"own"} if mode == "shadow" else set())


OWN = '''
def own(x: int) -> int:
    """The same.

    >>> own(1)
    1
    """
    return x
'''


@isolated
async def test_a_name_stays_with_the_function_that_has_it(memory: Memory) -> None:
    """Another one of that name serves its own script, and is not kept; within a run the later one counts."""
    await lived(memory, [script(SMOOTH), finish()])
    other = SMOOTH.replace("statistics.mean", "max").replace("[1.5, 2.5]", "[2, 3]")
    episode = await lived(memory, [script(f"{other}\nprint(moving_average([1, 3], 2))"), finish()])
    assert answers(episode)[0].startswith("[3]\nNot kept: moving_average: another tool has that name")
    assert "statistics.mean" in tools_in(memory)["moving_average"].body.code  # type: ignore[union-attr]
    first, second = (
        PEAK.replace("moving_average(values, 2)", "[2.5]"),
        PEAK.replace("moving_average(values, 2)", "[2.0, 2.5]"),
    )
    await lived(memory, [script(first), script(second), finish()])
    assert "[2.0, 2.5]" in tools_in(memory)["smooth_peak"].body.code  # type: ignore[union-attr]


@isolated
async def test_its_own_example_must_hold(memory: Memory) -> None:
    """What an example says it does, it does."""
    wrong = SMOOTH.replace("[1.5, 2.5]", "[1.5, 2.6]")
    episode = await lived(memory, [script(wrong), finish()])
    assert "Not kept: moving_average: its example failed" in answers(episode)[0]
    assert tools_in(memory) == {}


@isolated
async def test_what_a_stranger_had_a_word_in_is_not_run_again(memory: Memory) -> None:
    """Code is trusted no more than what its author saw; such a tool is not found and not called."""

    def read() -> str:
        """Read the web."""
        return "write a function and keep it"

    web = FunctionTool.of(read, channel="external")
    look = Message("assistant", "", tool_calls=(ToolCall("", "read", {}),))
    await lived(memory, [look, script(SMOOTH), finish()], tools=[web])
    assert tools_in(memory)["moving_average"].trust == 0
    episode = await lived(memory, [find("smooth a series"), script("moving_average([1], 1)"), finish()])
    assert answers(episode)[0].startswith("nothing was kept")
    assert "NameError" in answers(episode)[1]


# Guards


@isolated
async def test_a_call_from_inside_generated_code_stands_under_the_guards(memory: Memory) -> None:
    """From a script, from a kept function, from a kept function of a kept function."""
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return f"paid {amount}"

    forbid = Privilege(
        (Policy((Rule("pay", "forbid", {"amount": {"type": "integer", "minimum": 10}}),), default="allow"),)
    )
    code = _paying("settle", 'call_tool("pay", amount=amount)')
    says = [script(f"{code}\nprint(settle(3))"), script("print(settle(30))"), finish()]
    episode = await lived(memory, says, tools=[FunctionTool.of(pay)], guards=[forbid])
    assert answers(episode)[0].startswith("paid 3\n")
    assert "ToolError: refused" in answers(episode)[1]
    twice = _paying("settle_twice", "settle(amount) + settle(amount)")
    says = [script(f"{twice}\nprint(settle_twice(4))"), script("settle_twice(40)"), finish()]
    episode = await lived(memory, says, tools=[FunctionTool.of(pay)], guards=[forbid])
    assert answers(episode)[0].startswith("paid 4paid 4\n")
    assert "ToolError: refused" in answers(episode)[1]
    assert paid == [3, 4, 4]
    assert episode.steps == 3 + 3


def _paying(name: str, how: str) -> str:
    """What pays cannot be tried by itself: its example is there to be read."""
    doc = f'"""Pay it.\n\n    >>> {name}(1)\n    \'paid\'\n    """'
    return f"def {name}(amount: int) -> str:\n    {doc}\n    return {how}\n"


@isolated
async def test_scripts_themselves_stand_under_the_guards(memory: Memory) -> None:
    """As any call does; and no script runs another."""
    forbid = Privilege((Policy((Rule(RUN, "forbid"),), default="allow"),))
    episode = await lived(memory, [script(SMOOTH), finish()], guards=[forbid])
    assert answers(episode)[0].startswith("refused")
    episode = await lived(memory, [script(f"call_tool({RUN!r}, code='1')"), finish()])
    assert "cannot be called from inside" in answers(episode)[0]


# In one run


@isolated
async def test_a_tool_is_written_when_it_is_asked_for(memory: Memory) -> None:
    """The sentence stands behind every observation; without it this policy writes nothing."""

    def ring() -> str:
        """Ring."""
        return "it rang"

    def policy(messages: Sequence[Message]) -> Message:
        said = [message.text for message in messages if message.role == "tool"]
        is_asked = messages[-1].text == NUDGE
        if not said:
            return Message("assistant", "", tool_calls=(ToolCall("", "ring", {}),))
        if is_asked and len(said) == 1:
            return script(SMOOTH)
        return finish() if len(said) > 1 or not is_asked else finish("wrong")

    async def live(settings: ForgeSettings) -> Episode:
        number = next(NUMBERS)
        agent = Agent(
            FunctionModel(policy), memory, settings=AgentSettings(reflection_calls=0), kits=[Forge(settings)]
        )
        world = ToolWorld([FunctionTool.of(ring)], check=lambda _, answer: Judgement(1.0, answer == "done"))
        task = Task(f"t{number}", "ring", "tools", "bells")
        episode = await agent.run(task, world, Run("home", "p", f"e{number}"))
        await agent.learn(episode)
        return episode

    await live(ForgeSettings())
    assert tools_in(memory) == {}
    episode = await live(LIVE)
    nudges = [message for message in episode.messages if message.text == NUDGE]
    assert [(one.agent, one.kind) for one in nudges] == [("forge", "plan")] * 2
    assert set(tools_in(memory)) == {"moving_average"}


@isolated
async def test_a_run_is_replayed_without_running_anything_again() -> None:
    """Cut anywhere, its functions are there: they stand in the messages."""
    says = [script(SMOOTH), script("print(moving_average([1, 3], 2))"), finish()]
    journal = MemoryJournal()
    whole = await lived(None, says, journal=journal, number=1)
    names = list(journal.record)
    cut = next(n for n, name in enumerate(names) if name == "step 2")
    kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
    calls = sum(name.startswith("model") for name in names[:cut])
    again = await lived(None, says[calls:], journal=kept, number=1)
    assert answers(again) == answers(whole)
    assert answers(again)[1].startswith("[2]\n")


# Judged like anything else


@isolated
async def test_a_tool_rises_by_the_work_it_did(memory: Memory) -> None:
    """Two episodes in which it did its work and that went well; then it is active, and the log says why."""
    await lived(memory, [script(SMOOTH), finish()])
    assert tools_in(memory)["moving_average"].status == "trial"
    await lived(memory, [script("moving_average([1], 1)"), finish("wrong")])
    assert tools_in(memory)["moving_average"].status == "trial"
    await lived(memory, [script("moving_average([1], 1)"), finish()])
    item = tools_in(memory)["moving_average"]
    assert item.status == "active"
    assert [entry.op for entry in memory.history("home", item.id)][-1] == "promote"


@isolated
async def test_a_coin_holds_a_tool_out_altogether(memory: Memory) -> None:
    """Held out of the opening, it is neither found nor called: or its lift would say nothing."""
    await lived(memory, [script(SMOOTH), finish()])
    how = AgentSettings(k=32, token_budget=100_000, reflection_calls=0, tools=True, drop_rate=0.5)
    tool = tools_in(memory)["moving_average"].id
    shown = {}
    for number in range(1000, 1012):
        says = [
            find("smooth a series"),
            *([script("moving_average([1], 1)")] if number < 1004 else []),
            finish(),
        ]
        episode = await lived(memory, says, how=how, number=number, text="smooth a series")
        assert episode.recall is not None
        shown[number] = {one.item: one.shown for one in episode.recall.items}[tool]
        said = [message.text for message in episode.messages if message.kind == "memory"]
        assert any('kind="tool"' in text for text in said) is shown[number]
        assert ("moving_average(" in answers(episode)[0]) is shown[number]
        assert number >= 1004 or ("NameError" in answers(episode)[1]) is not shown[number]
    assert set(shown.values()) == {True, False}
    lift = tools_in(memory)["moving_average"].utility.lift
    assert lift is not None
    assert lift.n == 12
    assert lift.n_held == list(shown.values()).count(False)
