"""Do the ways that worlds of others call right lead to the goal here?

`python -m notebooks.bench_worlds.gold scienceworld --split dev --n 3`: n tasks of each kind, played by their
gold way, one line for each that does not get there. Beside the share that does it says how many gold commands
are among those that the world offers at the time, which bounds whoever only chooses.
"""

import argparse
import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from agent.types import Task
from agent.worlds.alfworld import KINDS, Alfworld
from agent.worlds.game import GameWorld
from agent.worlds.miniwob import MiniWob
from agent.worlds.scienceworld import ScienceWorld
from memory.errors import BadInput
from memory.types import ToolCall

Kind = Alfworld | MiniWob | ScienceWorld


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of one gold way."""

    is_won: bool
    score: float
    steps: int
    offered: int
    """Steps whose command was among those offered."""


async def replay(world: GameWorld, task: Task, way: tuple[str, ...]) -> Replay:
    """Play it until the world ends it."""
    await world.reset(replace(task, max_steps=len(way)))
    offered = 0
    for steps, command in enumerate(way, 1):
        offered += command in world.commands()
        seen = await world.step(ToolCall("gold", "act", {"command": command}))
        if seen.done:
            return Replay(seen.outcome == "success", world.score, steps, offered)
    return Replay(False, world.score, len(way), offered)


async def main() -> None:
    """Parse, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", choices=["alfworld", "miniwob", "scienceworld"])
    parser.add_argument("--split", required=True)
    parser.add_argument("--n", type=int, default=1, help="tasks of each kind, or as many as there are")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alfworld-data", type=Path, help="the folder json_2.1.1")
    asked = parser.parse_args()
    kind, sites = opened(asked.world, asked.alfworld_data)
    world, done = kind.make(), []
    for site in sites:
        for task in drawn(kind, site, asked.split, asked.n, asked.seed):
            result = await replay(world, task, kind.gold(task))
            done.append(result)
            if not result.is_won:
                print(f"lost at {result.score:.2f}: {task.config}", flush=True)
    won, steps = sum(one.is_won for one in done), sum(one.steps for one in done)
    offered = sum(one.offered for one in done)
    print(
        f"{asked.world} {asked.split}: {won} of {len(done)} won; {offered} of {steps} gold commands offered"
    )


def opened(world: str, alfworld_data: Path | None) -> tuple[Kind, tuple[str, ...]]:
    """A world of others by its name, with its kinds of task, but for the slow ones."""
    if world == "alfworld":
        return Alfworld(alfworld_data), KINDS
    if world == "miniwob":
        pages = MiniWob()
        return pages, pages.sites()
    science = ScienceWorld()
    return science, science.sites(is_quick=True)


def drawn(kind: Kind, site: str, split: str, n: int, seed: int) -> tuple[Task, ...]:
    """`n` tasks of a site, or all where it has fewer."""
    for fewer in range(n, 0, -1):
        try:
            return kind.tasks(site=site, split=split, n=fewer, seed=seed)
        except BadInput:
            continue
    return ()


if __name__ == "__main__":
    asyncio.run(main())
