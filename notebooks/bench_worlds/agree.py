"""Does the twin of `house` say what ALFWorld's engine says? Gold ways with detours, in both, word for word.

`python -m notebooks.bench_worlds.agree --alfworld-data FOLDER --n 2`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path

from agent.types import Task
from agent.worlds.alfworld import KINDS, Alfworld
from memory.types import ToolCall
from notebooks.bench_worlds.house import read

DETOUR = 0.3
"""Share of commands that are drawn of those that do something."""


async def differences(kinds: Alfworld, folder: Path, task: Task) -> tuple[int, list[str]]:
    """Answers compared, and those that differ."""
    house, world, rng = read(folder, str(task.config["game"])), kinds.make(), random.Random(task.id)
    pairs = [("", house.opening(), (await world.reset(task)).text)]
    way = list(kinds.gold(task))
    while way:
        command = rng.choice(house.commands()) if rng.random() < DETOUR else way.pop(0)
        said = await world.step(ToolCall("c", "act", {"command": command}))
        pairs.append((command, house.act(command), said.text))
        if said.done or house.is_won():
            pairs.append(("won", str(house.is_won()), str(said.outcome == "success")))
            break
    world.close()
    return len(pairs), [f"{task.config['game']} > {name}\n  {a}\n  {b}" for name, a, b in pairs if a != b]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alfworld-data", type=Path, required=True)
    parser.add_argument("--n", type=int, default=2, help="games of each kind")
    parser.add_argument("--split", default="train")
    asked = parser.parse_args()
    kinds, n, found = Alfworld(asked.alfworld_data), 0, []
    for kind in KINDS:
        for task in kinds.tasks(site=kind, split=asked.split, n=asked.n, seed=7):
            compared, differ = asyncio.run(differences(kinds, asked.alfworld_data, task))
            n += compared
            found += differ
    print("\n".join(found))
    print(f"{n - len(found)} of {n} answers are the engine's")


if __name__ == "__main__":
    main()
