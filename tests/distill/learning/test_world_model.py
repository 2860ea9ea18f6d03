"""The world learned from noisy walks, and used to look one act ahead."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.models.local.model import LocalModel
from agent.models.scripted import FunctionModel
from agent.prompt import parse_action
from agent.types import Model, Request
from agent.worlds.catalogue import ACT
from distill.recipes import recipe_named
from distill.select import Everything
from distill.shapes.masks import Whole
from distill.shapes.roles import AsWorldModel
from distill.signals.outcomes import Uniform
from distill.types import Recipe, Row
from memory.types import Message
from tests.distill.learning.halls import MAPLE, erring, walked
from tests.distill.learning.schooling import SHORT, lived, made, taught, tell

pytestmark = pytest.mark.slow
LENGTH, SLACK = 1, 0


def test_the_world_is_foreseen_and_looking_ahead_helps_an_unchanged_policy(
    novice: Path, tmp_path: Path
) -> None:
    """WebEvolver: what is answered in episodes it has not seen, word for word; the act that leads on."""
    pool = lived(MAPLE, [erring(MAPLE, 0.6, n) for n in range(240)], length=LENGTH)
    unseen = lived(MAPLE, [erring(MAPLE, 0.6, f"unseen {n}") for n in range(48)], length=LENGTH)
    policy = taught(
        [made(Recipe("cloning", Everything(), Uniform(), Whole()), pool)], novice, tmp_path / "policy"
    )
    recipe = replace(recipe_named("world_model"), shape=AsWorldModel(per_action=400))
    settings = replace(SHORT, min_updates=320, batch_size=16)
    world = taught([made(recipe, pool)], novice, tmp_path / "world", settings)
    with (
        closing(LocalModel.load(policy, name="p")) as acts,
        closing(LocalModel.load(world, name="w")) as foresees,
    ):
        rows = made(recipe, unseen).rows
        right = asyncio.run(_foreseen(foresees, rows))
        alone, ahead = (asyncio.run(_success(one)) for one in (_drawing(acts), looking_ahead(acts, foresees)))
    tell(f"world model: {right:.2f} of {len(rows)} answers; success alone {alone:.2f}, ahead {ahead:.2f}")
    assert right >= 0.9
    assert ahead >= alone + 0.2


async def _foreseen(model: Model, rows: tuple[Row, ...]) -> float:
    replies = await asyncio.gather(
        *(model.complete(Request(one.messages[:-1], max_tokens=8)) for one in rows)
    )
    said = [reply.message.text for (reply,) in replies]
    return sum(one == row.messages[-1].text for one, row in zip(said, rows, strict=True)) / len(rows)


async def _success(model: Model) -> float:
    tasks = MAPLE.tasks(LENGTH, SLACK) * 4
    walks = await asyncio.gather(*(walked(MAPLE, one, model, f"{n}", seed=n) for n, one in enumerate(tasks)))
    return sum(one.outcome == "success" for one in walks) / len(walks)


def _drawing(policy: Model) -> FunctionModel:
    async def answer(messages: tuple[Message, ...]) -> str:
        return (await _drawn(policy, messages, 1))[0]

    return FunctionModel(answer, name="drawing", style="plain")


def looking_ahead(policy: Model, world: Model) -> FunctionModel:
    """The policy, of whose acts the first is done of which the world model says nothing bad."""

    async def answer(messages: tuple[Message, ...]) -> str:
        acts = await _drawn(policy, messages, 6)
        for act in acts:
            if "cellar" not in await _imagined(world, messages, act):
                return act
        return acts[0]

    return FunctionModel(answer, name="looking ahead", style="plain")


async def _drawn(policy: Model, messages: tuple[Message, ...], n: int) -> list[str]:
    seed = sum(map(ord, "".join(one.text for one in messages)))
    replies = await policy.complete(Request(messages, n=n, max_tokens=8, temperature=1.0, seed=seed))
    return [one.message.text for one in replies]


async def _imagined(world: Model, messages: tuple[Message, ...], said: str) -> str:
    """What would be answered, asked as the shape has it."""
    _, call = parse_action(said, (ACT,))
    if call is None:
        return "cellar"
    act = Message("assistant", said, kind="act", tool_calls=(replace(call, id="next"),))
    told = (*messages, act, Message("tool", "", kind="observe", tool_call_id="next"))
    row = AsWorldModel()([Row("", told, tuple(range(len(told))))], {})[-1]
    (reply,) = await world.complete(Request(row.messages[:-1], max_tokens=8))
    return reply.message.text
