"""Real episodes: scripted agents at work in bundled worlds, and in small ones of tools, by every planner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.desk import Planner
from agent.guards.safety import Safety
from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.goals import Goals
from agent.planners.plan import Plan
from agent.planners.team import Team
from agent.tools import FunctionTool, ToolWorld
from agent.types import ANSWER_TOOL, Guard, Judgement, Model, Task, World
from agent.verification.verify import Verifier
from agent.worlds.catalogue import ACT, catalogue
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft, Episode, Message, ToolCall
from tests.agent.test_goals import Engine, Reader
from tests.agent.test_parts import ANSWER, SCRIPT, search
from tests.agent.test_parts import TASK as MUG
from tests.agent.test_parts import judged as right
from tests.agent.test_parts import plan as parts
from tests.agent.test_plan import TASK as SAFE
from tests.agent.test_plan import Safe, obedient
from tests.agent.test_team import Fetch, Fetcher

SITE = "maple 27"
NAMESPACE = "home"
SEARCHES = (
    ("the mayor of Ormar", "the river of Belton"),
    ("the mayor of Caswick", "the river of Dunley"),
)


def household(n: int = 4) -> tuple[Task, ...]:
    """Tasks at one site."""
    return catalogue("household").tasks(site=SITE, split="work", n=n)


async def lived(
    id_: str,
    task: Task,
    world: World,
    model: Model,
    *,
    planner: Planner | None = None,
    guards: Sequence[Guard] = (),
    verifier: Verifier | None = None,
    memory: Memory | None = None,
    at: float = 0.0,
) -> Episode:
    """One attempt, with verdicts as they are kept; begun at `at`."""
    ticks = count()
    agent = Agent(
        model,
        memory,
        planner=planner,
        guards=guards,
        verifier=verifier,
        clock=lambda: at + 0.001 * next(ticks),
    )
    return judged(await agent.run(task, world, Run(NAMESPACE, "ann", id_)))


async def way_of(task: Task) -> tuple[str, ...]:
    """The shortest way that the world's own expert knows."""
    world = catalogue(task.world).make()
    await world.reset(task)
    commands: list[str] = []
    while ahead := world.expert():  # type: ignore[attr-defined]
        commands.append(ahead[0])
        await world.step(ToolCall("c", ACT.name, {"command": ahead[0]}))
    return tuple(commands)


@dataclass(frozen=True)
class Reciter:
    """Says commands in order, and the last one again; each with a thought."""

    commands: tuple[str, ...]
    thought: str = "so be it ."

    def __call__(self, messages: tuple[Message, ...]) -> str:
        n_said = sum(one.role == "assistant" for one in messages)
        return f"{self.thought} > {self.commands[min(n_said, len(self.commands) - 1)]}"


async def walked(
    id_: str, task: Task, commands: Sequence[str], *, at: float = 0.0, thought: str = "so be it ."
) -> Episode:
    """An attempt at a household task by these commands."""
    model = FunctionModel(Reciter(tuple(commands), thought), name="reciter", style="plain")
    return await lived(id_, task, catalogue(task.world).make(), model, at=at)


async def attempts(task: Task, name: str, *, at: float = 0.0) -> tuple[Episode, ...]:
    """A failure after a refused act, a success that put such an act right, and a straight success."""
    way = await way_of(task)
    stray = "use nothing 9"
    return (
        await walked(f"{name}-lost", task, (way[0], stray, "look"), at=at),
        await walked(f"{name}-mended", task, (way[0], stray, *way[1:]), at=at + 10),
        await walked(f"{name}-straight", task, way, at=at + 20),
    )


async def planned() -> tuple[Episode, ...]:
    """A safe opened under a plan that is revised once it fails, and not opened without one."""
    model, task = FunctionModel(obedient), replace(SAFE, max_steps=9)
    return (
        await lived("plan-with", task, Safe(), model, planner=Plan(revise_every=0), at=1.0),
        await lived("plan-without", task, Safe(), model),
    )


async def searched() -> tuple[Episode, ...]:
    """Two facts each, looked up goal by goal; the first one's page is spoilt at first."""
    found = []
    for n, wanted in enumerate(SEARCHES):
        world = Engine({wanted[0]: frozenset({0})}).world(wanted)
        task = Task(f"search-{n}", f"Say {' and '.join(wanted)}.", "tools", "archive", max_steps=40)
        model = FunctionModel(Reader())
        found.append(await lived(f"search-{n}", task, world, model, planner=Goals("external")))
    return tuple(found)


async def teamed() -> tuple[Episode, ...]:
    """Two members fetch four things; another team runs out of steps."""
    task = Task("rooms-0", "fetch the four things", "rooms", "house", max_steps=60)
    model = FunctionModel(Fetcher(0))
    return (
        await lived("team-done", task, Fetch(0), model, planner=Team()),
        await lived("team-lost", replace(task, max_steps=3), Fetch(0), model, planner=Team()),
    )


async def tidied() -> tuple[Episode, ...]:
    """Tidying: one run deletes, is refused and moves instead; one moves at once."""

    def run(command: str) -> str:
        """Run a command."""
        return f"done: {command}"

    def check(_: Task, answer: str) -> Judgement:
        return Judgement(float(answer == "tidy"), answer == "tidy")

    def said(*calls: ToolCall) -> list[Message]:
        return [Message("assistant", "", tool_calls=(call,)) for call in calls]

    task = Task("tidy-0", "Tidy up.", "tools", "disk", max_steps=9)
    delete, move = (ToolCall("", "run", {"command": one}) for one in ("rm -rf photos", "mv photos archive"))
    finish = ToolCall("", ANSWER_TOOL, {"answer": "tidy"})
    found = []
    for name, script in (("tidy-bold", (delete, move, finish)), ("tidy-calm", (move, finish))):
        world = ToolWorld([FunctionTool.of(run)], check=check)
        found.append(await lived(name, task, world, ScriptedModel(said(*script)), guards=(Safety(),)))
    return tuple(found)


async def informed() -> tuple[Episode, ...]:
    """A model that writes down what it takes itself to know, and answers."""

    def check(_: Task, answer: str) -> Judgement:
        return Judgement(float(answer == "Rome"), answer == "Rome")

    text = "<think> who knows </think> <information> Rome is old. </information> so be it."
    finish = ToolCall("", ANSWER_TOOL, {"answer": "Rome"})
    model = ScriptedModel([Message("assistant", text, tool_calls=(finish,))])
    task = Task("know-0", "Name a town.", "tools", "archive", max_steps=9)
    return (await lived("informed", task, ToolWorld(check=check), model),)


async def asked() -> tuple[Episode, ...]:
    """Three attempts at one question, two of which agree, at one where all do, and at one that fails."""

    def check(task: Task, answer: str) -> Judgement:
        return Judgement(float(answer == "Rome"), answer == "Rome")

    found = []
    for n, answers in enumerate((("Rome", "Rome", "Paris"), ("Rome",) * 3, ("Oslo", "Bonn", "Kyiv"))):
        task = Task(f"town-{n}", f"Name town {n}.", "tools", "archive", max_steps=9)
        for k, answer in enumerate(answers):
            finish = ToolCall("", ANSWER_TOOL, {"answer": answer})
            model = ScriptedModel([Message("assistant", f"thought {k}", tool_calls=(finish,))])
            found.append(await lived(f"town{n}-{k}", task, ToolWorld(check=check), model))
    return tuple(found)


async def checked() -> tuple[Episode, ...]:
    """A run in parts: calls of what is not there and a lie are found out, and the part done again."""
    first, *rest = SCRIPT
    peeks = [Message("assistant", "", tool_calls=(ToolCall("x", "peek", {"at": n}),)) for n in range(3)]
    after = [ANSWER, parts("report"), ANSWER, parts(), parts(), ANSWER]
    model = ScriptedModel([first, *peeks, *rest, *after])
    world, task = ToolWorld([FunctionTool.of(search)], check=right), replace(MUG, id="mug-0")
    return (await lived("checked", task, world, model, verifier=Verifier(in_parts=True)),)


async def helped() -> tuple[Episode, ...]:
    """A household task done with what memory told."""
    task = household(4)[-1]
    case = CaseBody(task.text, (), "it is where it was.")
    draft = Draft("case", f"{SITE}: {task.text}", case, outcome="success")
    model = FunctionModel(Reciter(await way_of(task)), name="reciter", style="plain")
    world = catalogue(task.world).make()
    with (
        TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "memory.db", encoder=HashEncoder(64)) as memory,
    ):
        memory.remember(NAMESPACE, [draft], principal="ann", channel="user")
        found = await lived("helped", task, world, model, memory=memory)
    # The record names what was recalled by an id that is drawn by chance.
    return (replace(found, recall=None),)


async def written() -> tuple[Episode, ...]:
    """Two demonstrations that nobody lived: one goes so in the world, the other does not."""
    task = household(5)[-1]
    true = replace(await walked("doc-true", task, await way_of(task)), origin="synthetic")
    told = tuple(replace(m, content="fine.") if m.kind == "observe" else m for m in true.messages)
    return (true, replace(true, id="doc-false", messages=told))


async def everything() -> tuple[Episode, ...]:
    """All of these, sorted by id."""
    found: list[Episode] = []
    for n, task in enumerate(household(3)):
        found += await attempts(task, f"home{n}", at=100.0 * n)
    for more in (
        planned(),
        searched(),
        teamed(),
        tidied(),
        informed(),
        asked(),
        checked(),
        helped(),
        written(),
    ):
        found += await more
    return tuple(sorted(found, key=lambda one: one.id))
