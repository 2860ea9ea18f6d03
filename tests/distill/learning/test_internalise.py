"""What memory told, in the weights: known without it, and in spite of it; and memory is still read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.types import Task
from distill.recipes import recipe_named
from distill.select import Success
from distill.shapes.masks import MaskErrors, Whole
from distill.signals.outcomes import Uniform
from distill.types import Recipe
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft, Episode, Message
from tests.distill.learning.halls import (
    HALLS,
    MAPLE,
    NAMESPACE,
    VOCABULARY,
    House,
    acting,
    knowing,
    right_act,
    walked,
)
from tests.distill.learning.schooling import SHORT, lived, made, scored, taught, tell
from tests.distill.tiny import make_folder

LENGTH, SLACK = 1, 0
HALF = tuple(MAPLE.way)[:6]
"""Halls of which memory tells at the gate."""


@contextmanager
def remembered(house: House, halls: Sequence[str]) -> Iterator[Memory]:
    """A case of each of these halls."""
    with (
        TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "m.db", encoder=HashEncoder(64)) as memory,
    ):
        for task in house.tasks(LENGTH, SLACK):
            if task.config["halls"][0] in halls:  # type: ignore[index]
                memory.remember(NAMESPACE, [draft_of(house, task)], principal="ann", channel="user")
        yield memory


def draft_of(house: House, task: Task) -> Draft:
    case = CaseBody(task.text, (), right_act(house, f"in hall {task.config['halls'][0]}"))  # type: ignore[index]
    return Draft("case", task.text, case, family=house.name, outcome="success")


def helped(house: House, memory: Memory) -> list[Episode]:
    """Every task, done with what memory tells."""

    async def live() -> list[Episode]:
        done = [
            await walked(house, task, acting(knowing(house)), task.id, memory=memory)
            for task in house.tasks(LENGTH, SLACK)
        ]
        return [replace(one, recall=None) for one in done]

    return asyncio.run(live())


def told(episode: Episode, text: str) -> Episode:
    """The episode with memory in its prompt."""
    shown = Message("user", text, kind="memory")
    return replace(episode, messages=(shown, *episode.messages))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Does what memory tells, in houses that are never the same."""
    folder, walks = tmp_path_factory.mktemp("reader"), []
    for n in range(12):
        house = House.drawn(f"{n}", HALLS)
        for task, one in zip(
            house.tasks(LENGTH, SLACK), lived(house, [knowing(house)] * 24, length=1), strict=True
        ):
            body = draft_of(house, task).body
            walks.append(told(one, f"case 1: at {house.name}: {body.task} success. {body.lesson}"))
    blank = make_folder(folder / "blank", hidden=64, words=VOCABULARY, spread=0.1)
    settings = replace(SHORT, min_updates=100, batch_size=16)
    return taught([made(Recipe("reading", Success(), Uniform(), Whole()), walks)], blank, folder, settings)


@dataclass(frozen=True)
class Known:
    """Success where memory is off, where it tells of half of the halls, and where it tells of all."""

    off: float
    half: float
    all: float

    @classmethod
    def of(cls, folder: Path) -> Known:
        found = [scored(folder, MAPLE, length=LENGTH, slack=SLACK)]
        for halls in (HALF, HALLS):
            with remembered(MAPLE, halls) as memory:
                found.append(scored(folder, MAPLE, length=LENGTH, slack=SLACK, memory=memory))
        return cls(*(one.success for one in found))


@pytest.fixture(scope="module")
def done() -> list[Episode]:
    with remembered(MAPLE, HALLS) as memory:
        return helped(MAPLE, memory)


def internalised(recipe: Recipe, done: list[Episode], reader: Path, out: Path) -> Known:
    settings = replace(SHORT, min_updates=80, batch_size=16, learning_rate=2e-3)
    found = Known.of(taught([made(recipe, done)], reader, out, settings))
    tell(f"{recipe.name}: {found}")
    return found


def test_what_memory_told_is_known_without_it_and_in_spite_of_it(
    reader: Path, done: list[Episode], tmp_path: Path
) -> None:
    """Before, only what is told is known; after, all of it, whatever memory is shown."""
    before = Known.of(reader)
    tell(f"before: {before}")
    assert before.all >= 0.9
    assert max(before.off, before.half) <= 0.7
    after = internalised(recipe_named("internalise"), done, reader, tmp_path)
    assert min(after.off, after.half, after.all) >= 0.9


@pytest.mark.slow
def test_each_part_of_the_mixture_is_needed(reader: Path, done: list[Episode], tmp_path: Path) -> None:
    """Rows with memory leave it there; without others' memory it is known only where none is shown."""
    recipe = recipe_named("internalise")
    shown = internalised(replace(recipe, shape=MaskErrors(), mixture=()), done, reader, tmp_path / "shown")
    own = internalised(replace(recipe, mixture=recipe.mixture[:1]), done, reader, tmp_path / "own")
    assert shown.off <= 0.6
    assert own.off >= 0.9
    assert own.half <= 0.75
