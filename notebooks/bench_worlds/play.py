"""The policy in ALFWorld's own engine: lives on train games, then games of `valid_seen` with memory frozen.

`python -m notebooks.bench_worlds.play --policy FOLDER --alfworld-data FOLDER --seeds 1 2 3`. Every arm of a
seed meets the same tasks. A line of JSON an episode; what is there already is not played again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import AgentSettings, Run
from agent.types import Budget, Model, Task
from agent.worlds.alfworld import KINDS, Alfworld
from agent.worlds.game import GameWorld
from memory.core import Memory
from memory.minilm import MiniLm
from memory.types import Mode
from notebooks.bench_learning.lanes import OnceEncoder
from notebooks.bench_learning.notes import Notes
from notebooks.bench_worlds.imported import recorded, remember, verified
from notebooks.bench_worlds.lessons import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
STEPS = 30
"""What the server allows where nobody says otherwise; the paper allows 50."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What of memory is shown."""

    said: str
    mode: Mode
    settings: AgentSettings = SETTINGS
    space: str = "life"
    """Whose memory."""


ARMS: Mapping[str, Arm] = MappingProxyType({
    "off": Arm("no memory", "off"),
    "cases": Arm("recalled cases", "frozen", replace(SETTINGS, constitution_budget=0)),
    "constitution": Arm("principles", "frozen", replace(SETTINGS, token_budget=0)),
    "both": Arm("both", "frozen"),
    "imported": Arm("another agent's runs", "frozen", space="imported"),
})  # fmt: skip
"""On unseen games, with what the life of the seed has left in memory, or what was brought from elsewhere."""
REFLEXION = "reflexion"
"""Two tries at each unseen game, with a memory of that game alone."""


@dataclass(frozen=True, slots=True)
class Table:
    """What all episodes share."""

    world: GameWorld
    model: Model
    memory: Memory
    notes: Notes
    seed: int
    name: str
    """Of the policy."""

    async def episode(
        self,
        what: str,
        arm: str,
        place: int,
        task: Task,
        settings: AgentSettings,
        mode: Mode,
        space: str,
        turn: int = 0,
    ) -> None:
        """Play one, learn from it where the mode does, note it."""
        own = {"policy": self.name, "arm": arm, "seed": self.seed, "place": place, "turn": turn}
        if self.notes.has(what, **own):
            return
        agent = Agent(self.model, self.memory, settings=settings)
        run = Run(
            f"{self.name}/{self.seed}/{space}",
            "bench",
            f"{what}/{self.name}/{arm}/{self.seed}/{place}/{turn}",
            memory=mode,
            budget=Budget(max_steps=STEPS),
        )
        episode = await agent.run(replace(task, max_steps=STEPS), self.world, run)
        assert episode.outcome in {"success", "failure"}, episode.error
        if mode == "learn":
            await agent.learn(episode)
        shown = sum(one.shown for one in episode.recall.items) if episode.recall else 0
        rules = len(episode.recall.constitution) if episode.recall else 0
        tokens = episode.usage.prompt_tokens + episode.usage.completion_tokens
        self.notes.add(
            what, **own, task=task.id, kind=task.family, success=episode.outcome == "success",
            steps=episode.steps if episode.outcome == "success" else STEPS,
            tokens=tokens, items=shown, principles=rules,
        )  # fmt: skip


def drawn(kinds: Alfworld, split: str, n: int, seed: int) -> list[Task]:
    """`n` games of each kind, in an order of the seed."""
    tasks = [task for kind in KINDS for task in kinds.tasks(site=kind, split=split, n=n, seed=seed)]
    random.Random(f"{split}/{seed}").shuffle(tasks)
    return tasks


async def play(table: Table, train: Sequence[Task], unseen: Sequence[Task], arms: Sequence[str]) -> None:
    """One seed: a life, its control, then all arms on games of the other split, and Reflexion on the same."""
    if table.notes.has("life", policy=table.name, seed=table.seed, place=0) and not table.memory.items(
        f"{table.name}/{table.seed}/life", limit=1
    ):
        raise SystemExit("the memory of this seed's life is gone: delete its lines, and play again")
    for place, task in enumerate(train):
        await table.episode("life", "both", place, task, SETTINGS, "learn", "life")
        await table.episode("life", "off", place, task, SETTINGS, "off", "life")
    for place, task in enumerate(unseen):
        for name in (one for one in arms if one in ARMS):
            arm = ARMS[name]
            await table.episode("unseen", name, place, task, arm.settings, arm.mode, arm.space)
        for turn in range(2 if REFLEXION in arms else 0):
            await table.episode("retries", REFLEXION, place, task, SETTINGS, "learn", task.id, turn)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--alfworld-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench" / "raw")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-worlds", help="for databases")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--train", type=int, default=8, help="games of each kind to live on")
    parser.add_argument("--unseen", type=int, default=5, help="games of each kind to be measured on")
    parser.add_argument("--runs", type=Path, nargs="+", help="KnowAgent's recorded runs, for `imported`")
    parser.add_argument(
        "--arms", nargs="+", default=[*list(ARMS)[:-1], REFLEXION], choices=[*ARMS, REFLEXION]
    )
    asked = parser.parse_args()
    kinds, name = Alfworld(asked.alfworld_data), asked.policy.name
    model, world = LocalModel.load(asked.policy, name=f"local:{name}"), kinds.make()
    asked.folder.mkdir(parents=True, exist_ok=True)
    encoder = OnceEncoder(MiniLm())
    try:
        for seed in asked.seeds:
            train = drawn(kinds, "train", asked.train, seed)
            unseen = drawn(kinds, "valid_seen", asked.unseen, seed)
            with Memory.open(asked.folder / f"{name}-{seed}.db", encoder=encoder) as memory:
                if "imported" in asked.arms and not memory.items(f"{name}/{seed}/imported", limit=1):
                    runs = [
                        run for path in asked.runs for run in verified(recorded(path), asked.alfworld_data)
                    ]
                    living = remember(memory, f"{name}/{seed}/imported", runs, kinds, asked.alfworld_data)
                    asyncio.run(living)
                notes = Notes(asked.out / f"worlds-alfworld-{name}-{seed}.jsonl")
                asyncio.run(play(Table(world, model, memory, notes, seed, name), train, unseen, asked.arms))
    finally:
        world.close()
        model.close()


if __name__ == "__main__":
    main()
