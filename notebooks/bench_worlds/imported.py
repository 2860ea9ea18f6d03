"""What another agent did in the same houses: verified by playing it again, then remembered as one's own.

KnowAgent's recorded runs (Zhu et al. 2024, arXiv 2403.03101; a model of 13 B weights, Apache-2.0) on
ALFWorld's train games. Their grammar says "put X in/on Y" for "move X to Y", and not where one arrives.
`python -m notebooks.bench_worlds.imported RUNS… --alfworld-data FOLDER` counts what plays as it was recorded.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import Budget
from agent.worlds.alfworld import Alfworld
from memory.core import Memory
from memory.types import Message, ToolCall
from notebooks.bench_worlds.house import NOTHING, House, read
from notebooks.bench_worlds.lessons import SETTINGS, STEPS, HouseWorld

_PUT = re.compile(r"put (.+) in/on (.+)")
_ARRIVED = re.compile(r"You arrive at [^.]+\. ")
_MOVED = re.compile(r"You move the (.+) to the (.+)\.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run."""

    game: str
    """Its folder, as in `Task.config`."""
    steps: tuple[tuple[str, str], ...]
    """Command, in today's grammar, and answer."""
    is_won: bool


def recorded(path: Path) -> list[Recorded]:
    """The runs of a file; those that broke off are left out."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Recorded(f"train/{row['name']}", tuple(_steps(row["traj"])), row["result"] is True)
        for row in rows
        if isinstance(row["result"], bool)
    ]


def _steps(text: str) -> list[tuple[str, str]]:
    """What was done and answered; thoughts and paths are not."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith(("> Think:", "> ActionPath:")):
            continue
        if line.startswith("> "):
            found.append((_PUT.sub(r"move \1 to \2", line.removeprefix("> ").strip()), ""))
        elif found and line.strip() and not found[-1][1]:
            found[-1] = (found[-1][0], line.strip())
    return found


def agrees(house: House, run: Recorded) -> tuple[int, int, bool]:
    """Answers that are the recorded ones, answers, and is the outcome the recorded one?"""
    same = 0
    for command, theirs in run.steps:
        ours = _ARRIVED.sub("", house.act(command))
        same += _MOVED.sub(r"You put the \1 in/on the \2.", ours) == theirs
    return same, len(run.steps), house.is_won() == run.is_won


def verified(runs: Sequence[Recorded], folder: Path) -> list[Recorded]:
    """Successes that succeed when they are played again."""
    return [run for run in runs if run.is_won and agrees(read(folder, run.game), run)[2]]


async def remember(
    memory: Memory, space: str, runs: Sequence[Recorded], kinds: Alfworld, folder: Path
) -> None:
    """Live them again, by the agent's own loop, and learn as from any episode."""
    for number, run in enumerate(runs):
        world = HouseWorld(folder)
        calls = iter([command for command, answer in run.steps if answer != NOTHING])

        def next_call(_: object, calls: object = calls) -> Message:
            command = next(calls, "look")  # type: ignore[call-overload]
            return Message("assistant", "", tool_calls=(ToolCall("c", "act", {"command": command}),))

        agent = Agent(FunctionModel(next_call), memory, settings=SETTINGS)
        task = replace(kinds.task({"game": run.game}), max_steps=STEPS)
        one = Run(space, "imported", f"{space}/{number}", budget=Budget(max_steps=STEPS))
        await agent.learn(await agent.run(task, world, one))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--alfworld-data", type=Path, required=True)
    asked = parser.parse_args()
    for path in asked.runs:
        runs = recorded(path)
        told = [agrees(read(asked.alfworld_data, run.game), run) for run in runs]
        same, all_, ends = (sum(one[place] for one in told) for place in range(3))
        kept = verified(runs, asked.alfworld_data)
        print(
            f"{path.name}: {len(runs)} runs, {sum(run.is_won for run in runs)} won; {same} of {all_} answers"
            f" and {ends} outcomes play as recorded; {len(kept)} successes verified"
        )


if __name__ == "__main__":
    main()
