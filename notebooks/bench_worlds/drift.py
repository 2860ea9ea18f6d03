"""A thousand tasks in a row; half-way the customs change. Does memory adapt, does it grow, what does it cost?

ALFWorld's train games in the twin of `house`, in one strange town and then in another. The actor is the
teacher of `lessons`: rules that read what memory shows, so all that differs between arms is memory.
`python -m notebooks.bench_worlds.drift --alfworld-data FOLDER --seeds 1 2 3`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import Budget, Task
from agent.worlds.alfworld import KINDS, Alfworld
from memory.consolidation.proposals import ConsolidationSettings
from memory.core import Memory
from memory.minilm import MiniLm
from memory.types import Mode
from notebooks.bench_learning.lanes import OnceEncoder
from notebooks.bench_learning.notes import Notes
from notebooks.bench_worlds.lessons import SETTINGS, STEPS, HouseWorld, Teacher

ROOT = Path(__file__).resolve().parents[2]
TASKS = 1000
A_DAY = 20
"""Tasks in a day of the clock that memory is given."""
TIDY = ConsolidationSettings(unused_days=10.0)
ARMS = ("off", "as shipped", "tidied", "frozen at the change")
"""`tidied`: consolidated each night, what nobody used for ten days archived."""


@dataclass(slots=True)
class Clock:
    """Seconds, as memory is told them."""

    now: float = 1.7e9

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Met:
    """One episode."""

    is_won: bool
    steps: int
    prompt: int
    """Characters of memory in the prompt."""
    act_ms: float
    """CPU time of this process; so is the next."""
    learn_ms: float


@dataclass(frozen=True, slots=True)
class Stream:
    """One seed of one arm."""

    folder: Path
    memory: Memory
    notes: Notes
    arm: str
    seed: int
    clock: Clock = field(default_factory=Clock)

    async def live(self, tasks: Sequence[Task]) -> None:
        """All tasks, one line a day."""
        for begin in range(0, len(tasks), A_DAY):
            day, late = begin // A_DAY, begin >= len(tasks) // 2
            self.clock.now = 1.7e9 + 86400 * day
            mode: Mode = "learn"
            if self.arm == "off":
                mode = "off"
            elif late and self.arm == "frozen at the change":
                mode = "frozen"
            town = f"{self.seed}/{'second' if late else 'first'}"
            met = [await self._meet(task, town, mode) for task in tasks[begin : begin + A_DAY]]
            if self.arm == "tidied":
                self.memory.consolidate(self._space, settings=TIDY)
            held = self.memory.usage(self._space)
            self.notes.add(
                "drift", arm=self.arm, seed=self.seed, day=day, living=held.living, items=held.items,
                won=[one.is_won for one in met], steps=[one.steps for one in met],
                prompt=[one.prompt for one in met], act_ms=_median(one.act_ms for one in met),
                learn_ms=_median(one.learn_ms for one in met),
            )  # fmt: skip

    @property
    def _space(self) -> str:
        return f"drift/{self.arm}/{self.seed}".replace(" ", "_")

    async def _meet(self, task: Task, town: str, mode: Mode) -> Met:
        world = HouseWorld(self.folder, town)
        teacher = Teacher(world, random.Random(task.id), 0.0)
        agent = Agent(FunctionModel(teacher), self.memory, settings=SETTINGS)
        run = Run(
            self._space, "bench", f"{self._space}/{task.id}", memory=mode, budget=Budget(max_steps=STEPS)
        )
        began = time.process_time()
        episode = await agent.run(replace(task, max_steps=STEPS), world, run)
        acted = time.process_time()
        if mode == "learn":
            await agent.learn(episode)
        learned = time.process_time()
        assert episode.outcome in {"success", "failure"}, episode.error
        is_won = episode.outcome == "success"
        shown = sum(len(message.text) for message in episode.messages if message.kind == "memory")
        return Met(
            is_won, episode.steps if is_won else STEPS, shown, 1e3 * (acted - began), 1e3 * (learned - acted)
        )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alfworld-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench" / "raw")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-worlds", help="for databases")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tasks", type=int, default=TASKS)
    asked = parser.parse_args()
    kinds = Alfworld(asked.alfworld_data)
    games = [task for kind in KINDS for task in kinds.all(kind) if kinds.split_of(task) == "train"]
    asked.folder.mkdir(parents=True, exist_ok=True)
    encoder = OnceEncoder(MiniLm())
    for seed in asked.seeds:
        tasks = random.Random(f"drift/{seed}").sample(games, asked.tasks)
        for arm in ARMS:
            notes = Notes(asked.out / f"worlds-drift-{arm.replace(' ', '-')}-{seed}.jsonl")
            if notes.has("drift", day=asked.tasks // A_DAY - 1):
                continue
            store = asked.folder / f"drift-{arm.replace(' ', '-')}-{seed}.db"
            for left in asked.folder.glob(f"{store.name}*"):
                if left.is_file():
                    left.unlink()
            clock = Clock()
            with Memory.open(store, encoder=encoder, clock=clock) as memory:
                asyncio.run(Stream(asked.alfworld_data, memory, notes, arm, seed, clock).live(tasks))


if __name__ == "__main__":
    main()
