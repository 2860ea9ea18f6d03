"""An arm of a comparison: rows, the model they make of the bundled one, and how that does on the gate."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agent.models.local.chat import Chat
from agent.models.local.model import LocalModel
from agent.models.local.weights import context_of, frozen
from agent.prompt import compose, conditioned, parse_action
from agent.types import Model, Observation, Request, Task
from agent.worlds.catalogue import ACT
from distill.build import build
from distill.bundle import Bundle
from distill.render import tokenise
from distill.train import train
from distill.types import Dataset, Recipe, Row
from memory.types import Episode, Message
from notebooks.bench_distill.plan import TINY, Plan
from notebooks.bench_distill.pools import NAMESPACE, astray, oracle, simulation


@dataclass(frozen=True, slots=True)
class Score:
    """On so many tasks: solved, acts that were not the oracle's, steps (of what is lost, the limit)."""

    n: int
    success: float
    wrong: float
    steps: float


def made(recipe: Recipe, episodes: Sequence[Episode], seed: int, general: Sequence[Row] = ()) -> Dataset:
    """The recipe's dataset of a pool."""
    return build(recipe, Bundle(NAMESPACE, tuple(episodes), {}), seed, general=general)


def trained(dataset: Dataset, plan: Plan, name: str, seed: int) -> LocalModel:
    """The bundled model after so many updates on the dataset."""
    folder = plan.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    chat = Chat.open(TINY)
    rows = tokenise(dataset.rows, chat, context_of(TINY))
    result = train(rows, TINY, folder, plan.train, seed=seed)
    return LocalModel.wrap(frozen(result.model), chat, name=name)


def scored(model: Model, tasks: Sequence[Task], *, stumble: bool = False, prefix: str = "") -> Score:
    """How the model does without memory; `stumble` forces its first act to be a wrong one.

    `prefix` is asked of it before the task's text.
    """

    async def attempts() -> list[tuple[bool, int, int, int]]:
        return list(await asyncio.gather(*(_attempt(model, task, stumble, prefix) for task in tasks)))

    runs = asyncio.run(attempts())
    n_acts = sum(acts for _, _, acts, _ in runs)
    return Score(
        len(runs),
        sum(solved for solved, *_ in runs) / len(runs),
        sum(wrong for *_, wrong in runs) / max(1, n_acts),
        sum(steps for _, steps, _, _ in runs) / len(runs),
    )


async def _attempt(model: Model, task: Task, stumble: bool, prefix: str) -> tuple[bool, int, int, int]:
    """Solved, steps, acts of the model, wrong ones among them."""
    sim = simulation(task)
    opening = compose(task, Observation(sim.opening()), None, None, "plain")
    messages = list(conditioned(opening, prefix))
    acts = wrong = 0
    while True:
        if stumble and not sim.state.steps:
            said = " > ".join(astray(Random(f"stumble/{task.id}"), sim))
        else:
            said = await _said(model, messages)
            acts += 1
        _, call = parse_action(said, (ACT,))
        command = str(call.arguments["command"]) if call else ""
        wrong += command != oracle(sim)[1]
        seen = sim.step(command)
        messages += [Message("assistant", said, kind="act"), Message("tool", seen.text, kind="observe")]
        if seen.done:
            solved = seen.outcome == "success"
            return solved, sim.state.steps if solved else task.max_steps, acts, wrong - stumble


async def _said(model: Model, messages: Sequence[Message]) -> str:
    (reply,) = await model.complete(Request(tuple(messages), max_tokens=40))
    return reply.message.text
