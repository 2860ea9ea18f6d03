"""Models made of episodes, and how they do."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from agent.models.adapted import Adapted
from agent.models.local.chat import Chat
from agent.models.local.model import LocalModel
from agent.models.local.weights import context_of, load_model
from agent.models.scripted import FunctionModel
from agent.types import Model, Request
from distill.build import build
from distill.bundle import Admission, Bundle
from distill.settings import TrainSettings
from distill.stages import Place, stage_of, train_stages
from distill.types import Dataset, Recipe, Row
from memory.core import Memory
from memory.types import Episode, Message
from tests.distill.learning.halls import (
    NAMESPACE,
    Answer,
    House,
    acting,
    last_seen,
    walked,
    wrong_door,
)

SHORT = TrainSettings(
    method="full", learning_rate=5e-3, epochs=0.01, min_updates=40, batch_size=8, checkpoint_every=10_000
)
"""Every arm of a comparison is given as many updates, whatever its rows."""


def tell(numbers: str) -> None:
    """One line for `pytest --log-cli-level=INFO`."""
    logging.getLogger("learning").info(numbers)


@dataclass(frozen=True, slots=True)
class Score:
    """How a model did on a house's tasks."""

    success: float
    wrong: float
    """Share of its acts."""


def lived(house: House, answers: Sequence[Answer], *, length: int = 4, slack: int = 8) -> list[Episode]:
    """One episode of each answerer; they take the house's tasks in turn."""
    tasks = house.tasks(length, slack)

    async def live() -> list[Episode]:
        return [
            await walked(house, tasks[n % len(tasks)], acting(answer), f"{house.name}-{n:04}")
            for n, answer in enumerate(answers)
        ]

    return asyncio.run(live())


def made(recipe: Recipe, episodes: Sequence[Episode], general: Sequence[Row] = ()) -> Dataset:
    """Rows of the episodes."""
    return build(recipe, Bundle(NAMESPACE, tuple(episodes), {}), 0, Admission(), general)


def taught(stages: Sequence[Dataset], base: Path, out: Path, settings: TrainSettings = SHORT) -> Path:
    """A model folder: the base after these stages."""
    chat = Chat.open(base)
    told = [stage_of(one, chat, context_of(base)) for one in stages]
    trained = train_stages(told, Place(base, out / "run", settings, 0))
    folder = Path(shutil.copytree(base, out / "model"))
    trained.model.save_pretrained(folder)
    return folder


def scored(
    folder: Path,
    house: House,
    *,
    length: int = 4,
    slack: int = 2,
    stumbles: bool = False,
    memory: Memory | None = None,
    prefix: str = "",
    draws: int = 0,
) -> Score:
    """The model at every task of the house; where it `stumbles`, its first act is a wrong one.

    It says what is likeliest; with `draws` it does every task so many times, drawing its words.
    """
    tasks, heat = house.tasks(length, slack) * max(1, draws), 1.0 if draws else 0.0
    with closing(LocalModel.load(folder, name="model")) as loaded:
        model: Model = stumbling(loaded, house) if stumbles else loaded
        if prefix:
            model = Adapted(model, prefix=prefix)

        async def walk() -> list[Episode]:
            runs = (
                walked(house, one, model, f"gate-{n}", memory=memory, seed=n, temperature=heat)
                for n, one in enumerate(tasks)
            )
            return list(await asyncio.gather(*runs))

        episodes = asyncio.run(walk())
    answers = [one.ok for episode in episodes for one in episode.messages if one.role == "tool"]
    acts = len(answers) - stumbles * len(episodes)
    wrong = sum(ok is False for ok in answers) - stumbles * len(episodes)
    return Score(sum(one.outcome == "success" for one in episodes) / len(episodes), wrong / max(1, acts))


def stumbling(model: Model, house: House) -> FunctionModel:
    """The model, whose first act is made for it."""

    async def answer(messages: tuple[Message, ...]) -> Message | str:
        if not any(one.role == "assistant" for one in messages):
            return f"> {wrong_door(house, last_seen(messages))}"
        (reply,) = await model.complete(Request(messages, max_tokens=8))
        return replace(reply.message, tool_calls=())

    return FunctionModel(answer, name="stumbling", style="plain")


def chances(
    folder: Path, messages: Sequence[Message], options: Sequence[str], before: str = ""
) -> list[float]:
    """Probability of each one-word answer behind what is said before it."""
    chat, model = Chat.open(folder), load_model(folder, None)
    tokens = [*chat.prompt(messages), *chat.encode(before)]
    with torch.inference_mode():
        last = model(torch.tensor([tokens])).logits[0, -1].softmax(-1)
    return [float(last[chat.encode(option)[0]]) for option in options]
