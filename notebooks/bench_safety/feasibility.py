"""Can I do this? A model with a competence for each domain and a high opinion of itself, task after task."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.evals.calibration import balanced_accuracy, brier
from agent.guards.feasible import Feasibility, FeasibleSettings
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.planners.admitted import NAME, Admitted
from agent.planners.react import React
from agent.settings import Run
from agent.tools import ToolWorld
from agent.types import Judgement, Task
from memory.codec import from_json
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Message, ToolCall

DOMAINS = {
    "sort": ("sort the numbers of list {} by size", 0.95),
    "translate": ("translate letter {} into French", 0.6),
    "predict": ("predict the winning numbers of lottery {}", 0.05),
}
"""By name: a task, and how often the model gets it right."""
BELIEF = 0.85
"""How often it says that it can, whatever the domain."""
N_TASKS = 60


@dataclass(frozen=True)
class Told:
    """One task: what was predicted, and what came of it."""

    domain: str
    found: Feasibility
    outcome: str

    @property
    def won(self) -> bool:
        """Was it right?"""
        return self.outcome == "success"


class Skilled:
    """Knows how often it is right; the luck is its own."""

    def __init__(self, seed: int) -> None:
        self._luck = random.Random(f"skill {seed}")

    def model(self) -> FunctionModel:
        """The model of it."""
        return FunctionModel(self._say, name="skilled")

    def _say(self, messages: Sequence[Message]) -> Message:
        if messages[-1].kind == "critique":
            return Message("assistant", "yes" if self._luck.random() < BELIEF else "no")
        text = next(one.text for one in messages if one.kind == "task")
        skill = next(skill for name, (_, skill) in DOMAINS.items() if text.startswith(name))
        answer = "right" if self._luck.random() < skill else "wrong"
        return Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": answer}),))


async def lived(seed: int, folder: Path, settings: FeasibleSettings, n: int = N_TASKS) -> list[Told]:
    """`n` tasks, the domains in turn, all of one family; what ended well or badly is remembered."""
    model = Skilled(seed).model()
    told = []
    with Memory.open(folder / f"feasible-{seed}.db", encoder=HashEncoder()) as memory:
        agent = Agent(model, memory, planner=Admitted(React(), settings))
        for place in range(n):
            domain = list(DOMAINS)[place % len(DOMAINS)]
            text = DOMAINS[domain][0].format(place)
            task = Task(f"{domain}-{place}", text, "tools", "desk")
            world = ToolWorld(check=lambda _, said: Judgement(float(said == "right"), said == "right"))
            episode = await agent.run(task, world, Run("bench", "bench", f"e{place:03d}-{seed}", seed=seed))
            memory.record(episode, principal="bench")
            told.append(Told(domain, from_json(Feasibility, episode.feedback[NAME]), episode.outcome))
    return told


def quality(told: Sequence[Told]) -> tuple[float, float]:
    """Brier score and balanced accuracy; all of them must have been begun."""
    won, said = [one.won for one in told], [one.found.p for one in told]
    return brier(said, won), balanced_accuracy([p >= 0.5 for p in said], won)
