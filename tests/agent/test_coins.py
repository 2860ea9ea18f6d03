"""Every episode tosses its own coins, whatever seed its task was given."""

from __future__ import annotations

import pytest

from agent.opening import AgentSettings, Run, situation
from agent.types import Task
from memory.recall.choosing import coin


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_an_item_is_held_out_of_its_share_of_episodes(rate: float) -> None:
    """Tasks whose seed is the default are no exception: one coin for all would be always or never."""
    task = Task("t", "wash a mug", "household", "maple 7")
    settings = AgentSettings(drop_rate=rate)
    queries = [situation(task, Run("home", "ada", f"ep_{n}"), settings) for n in range(2000)]
    held = sum(coin(query.seed, "item") < query.drop_rate for query in queries) / len(queries)
    assert abs(held - rate) < 4 * (rate * (1 - rate) / len(queries)) ** 0.5


def test_one_episode_decides_once() -> None:
    """What is recalled again in the middle is held out again, or its effect could not be told."""
    task, settings = Task("t", "wash a mug", "household", "maple 7"), AgentSettings()
    run = Run("home", "ada", "ep_1")
    opening, later = situation(task, run, settings), situation(task, run, settings, step="open", failure="no")
    assert opening.seed == later.seed
