"""Real episodes: scripted agents at work in bundled worlds, and in small ones of tools, by every planner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from agent.desk import Planner
from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import Guard, Model, Task, World
from agent.worlds.catalogue import ACT, catalogue
from memory.types import Episode, Message, ToolCall

SITE = "maple 27"
NAMESPACE = "home"


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
    at: float = 0.0,
) -> Episode:
    """One attempt without memory, with verdicts as they are kept; begun at `at`."""
    ticks = count()
    agent = Agent(model, None, planner=planner, guards=guards, clock=lambda: at + 0.001 * next(ticks))
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
