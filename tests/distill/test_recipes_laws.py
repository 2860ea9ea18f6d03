"""The laws of all recipes, over pools of real episodes and of made ones."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.prompt import command_of
from distill.build import build
from distill.bundle import Admission, Bundle
from distill.dataset import from_line, to_line
from distill.recipes import RECIPES, recipe_named
from distill.signals.combined import Scaled
from distill.types import Dataset, Recipe, Row
from memory.errors import DistillError
from memory.types import Episode, Message
from tests.distill.episodes import NAMESPACE, episode_lists
from tests.distill.lived import everything

ADMISSION = Admission(origins=("real", "synthetic"))
GENERAL = tuple(
    Row(f"g{n}", (Message("user", f"hi {n}", weight=0.0), Message("assistant", "hello", weight=1.0)), (0, 1))
    for n in range(300)
)
NAMES = [recipe.name for recipe in RECIPES]
WORLD = ("world_model",)
"""What trains here is what the world answered."""
WRITTEN = ("critique", "plan", "reflect")
"""Kinds of targets that a shape words: verdicts, plans, goals and thoughts, of what the episode holds."""
ASKED = ("knowrl", "agent0_proposer", "mae_proposer")
"""Here the answer to a question about tasks trains."""
by_recipe = pytest.mark.parametrize("name", NAMES)
few = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def real() -> tuple[Episode, ...]:
    """Episodes of all planners and worlds."""
    return asyncio.run(everything())


@st.composite
def pools(draw: st.DrawFn) -> list[Episode]:
    """Some real ones, some made ones, in any order."""
    chosen = draw(st.lists(st.sampled_from(range(len(real()))), min_size=3, max_size=8, unique=True))
    return draw(st.permutations([*(real()[n] for n in chosen), *draw(episode_lists())]))


def made(recipe: Recipe, episodes: list[Episode], seed: int = 0) -> Dataset | None:
    """The dataset; None where the pool has nothing for this recipe."""
    try:
        return build(recipe, Bundle(NAMESPACE, tuple(episodes), {}), seed, ADMISSION, GENERAL)
    except DistillError:
        return None


@by_recipe
@few
@given(pools(), st.integers(0, 3), st.randoms())
def test_the_order_of_episodes_changes_no_byte(
    name: str, episodes: list[Episode], seed: int, rng: random.Random
) -> None:
    """Same set, same seed: same lines, same hash."""
    shuffled = episodes.copy()
    rng.shuffle(shuffled)
    first, second = made(recipe_named(name), episodes, seed), made(recipe_named(name), shuffled, seed)
    assert first == second
    if first is not None and second is not None:
        assert list(map(to_line, first.rows)) == list(map(to_line, second.rows))


@by_recipe
@few
@given(pools())
def test_targets_are_the_models_own_words(name: str, episodes: list[Episode]) -> None:
    """But where a recipe says otherwise; what memory, the user or the world said is context everywhere."""
    check_targets(name, episodes)


def check_targets(name: str, episodes: list[Episode]) -> None:
    lived = {episode.id: episode for episode in episodes}
    dataset = made(recipe_named(name), episodes)
    for row in dataset.rows if dataset else ():
        if row.stream == "general":
            continue
        assert set(row.episodes) <= lived.keys()
        for index, message in zip(row.indices, row.messages, strict=True):
            assert message.weight is not None
            if message.weight:
                assert message.role == "assistant"
                assert _is_allowed(name, row, index, message, lived)


def _is_allowed(name: str, row: Row, index: int, target: Message, lived: dict[str, Episode]) -> bool:
    sources = [lived[id_].messages for id_ in row.episodes]
    if index >= 0:
        source = sources[0][index]
        kind = ("tool", "observe") if name in WORLD else ("assistant", source.kind)
        return (source.role, source.kind) == kind and source.kind != "memory" and source.text == target.text
    own = {one.text for messages in sources for one in messages if one.role == "assistant"}
    if name in ASKED:
        return target.text in {"yes", "no", *(lived[id_].task for id_ in row.episodes)}
    if target.text in own:
        return True
    return target.kind in WRITTEN and _is_of(target.text, row, lived)


def _is_of(text: str, row: Row, lived: dict[str, Episode]) -> bool:
    """Is what a shape worded made of what the episodes hold?"""
    held = "\n".join(_words(one) for id_ in row.episodes for one in lived[id_].messages)
    try:
        values = json.loads(text).values()
    except ValueError:
        wrong, _, rest = text.removeprefix("that was wrong: ").partition(". ")
        return text in held or (wrong in held and bool(rest))
    steps = [step for value in values for step in (value if isinstance(value, list) else [value])]
    return all(isinstance(one, bool) or one in held or "something else" in one for one in steps)


def _words(message: Message) -> str:
    return "\n".join([message.text, *map(command_of, message.tool_calls)])


@by_recipe
@few
@given(pools(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_only_the_ratios_of_weights_count(name: str, episodes: list[Episode], factor: float) -> None:
    """All credit multiplied by the same number gives the same data, once weights have a mean of 1.

    Preferences are by a threshold on values, and have no weights.
    """
    check_ratios(name, episodes, factor)


def check_ratios(name: str, episodes: list[Episode], factor: float) -> None:
    recipe = recipe_named(name)
    if recipe.objective == "prefer":
        return
    scaled = replace(recipe, signal=Scaled(recipe.signal, factor))
    first, second = made(recipe, episodes), made(scaled, episodes)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert _scaled(first.rows) == _scaled(second.rows)


@by_recipe
def test_the_laws_hold_of_the_whole_pool(name: str) -> None:
    """Where every shape has something to make rows of; nothing of memory trains, rows survive their lines."""
    episodes = list(real())
    dataset = made(recipe_named(name), episodes)
    assert dataset is not None
    assert made(recipe_named(name), episodes[::-1]) == dataset
    check_targets(name, episodes)
    check_ratios(name, episodes, 4.0)
    for row in dataset.rows:
        assert from_line(to_line(row)) == row
        assert not any(one.weight for one in row.messages if one.kind == "memory")


def _scaled(rows: tuple[Row, ...]) -> Counter[tuple[object, ...]]:
    """Rows with their weights over the mean; powers of two leave no rounding."""
    ours = [row for row in rows if row.stream != "general"]
    weights = [abs(one.weight) for row in ours for one in row.messages if one.weight]
    mean = sum(sorted(weights)) / len(weights)
    return Counter(
        (row.episodes, row.indices, tuple(round((one.weight or 0.0) / mean, 9) for one in row.messages))
        for row in ours
    )


@few
@given(st.integers(1, 40), st.integers(0, 3))
def test_a_mixture_has_exactly_its_shares(n: int, seed: int) -> None:
    """To the rounding of one row, with the same rows for the same seed."""
    episodes = [replace(real()[0], id=f"x{k}", outcome="success", messages=_numbered(k)) for k in range(n)]
    recipe = recipe_named("agenttuning")
    dataset = made(recipe, episodes, seed)
    assert dataset is not None
    n_general = sum(row.stream == "general" for row in dataset.rows)
    assert n_general == round(n * 0.8 / (1 - 0.8))
    assert made(recipe, episodes[::-1], seed) == dataset


def _numbered(k: int) -> tuple[Message, ...]:
    return (Message("user", f"task {k}", kind="task"), Message("assistant", "done", kind="act", ok=True))
