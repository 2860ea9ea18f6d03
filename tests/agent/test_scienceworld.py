"""ScienceWorld as a world of ours. Needs its package, and Java on the path."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import pytest

from agent.types import Observation, Task
from agent.worlds.game import GameWorld
from agent.worlds.scienceworld import NAME, SLOW, ScienceWorld
from memory.errors import BadInput
from memory.types import ToolCall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("scienceworld") is None, reason="run `pip install scienceworld`"),
    pytest.mark.skipif(shutil.which("java") is None, reason="run `apt-get install default-jre`"),
]
KIND = "find-plant"


@pytest.fixture(scope="module")
def worlds() -> Iterator[ScienceWorld]:
    worlds = ScienceWorld(max_steps=200)
    yield worlds
    worlds.close()


async def played(world: GameWorld, task: Task, commands: tuple[str, ...]) -> list[Observation]:
    seen = [await world.reset(task)]
    for command in commands:
        seen.append(await world.step(ToolCall("c", "act", {"command": command})))
        if seen[-1].done:
            break
    return seen


def test_splits_are_the_official_ones_and_share_no_task(worlds: ScienceWorld) -> None:
    """Sizes as published for this kind; a listing is the same each time and each task is rebuilt whole."""
    splits = {split: worlds.tasks(site=KIND, split=split, n=5) for split in ("train", "dev", "test")}
    assert len({task.id for tasks in splits.values() for task in tasks}) == 15
    for split, tasks in splits.items():
        assert worlds.tasks(site=KIND, split=split, n=5) == tasks
        assert [worlds.split_of(task) for task in tasks] == [split] * 5
        assert worlds.task(tasks[0].config) == tasks[0]
        assert tasks[0].config["simplification"] == "easy"
    with pytest.raises(BadInput, match="has 75 tasks in split 'dev'"):
        worlds.tasks(site=KIND, split="dev", n=76)
    with pytest.raises(BadInput, match="Unknown taskName: 'fly'"):
        worlds.tasks(site="fly", split="dev", n=1)
    assert set(worlds.sites()) - set(worlds.sites(is_quick=True)) == set(SLOW)


async def test_the_gold_way_wins_and_two_worlds_answer_alike(worlds: ScienceWorld) -> None:
    """The same commands have the same answers in another process, score in part on the way, and win."""
    (task,) = worlds.tasks(site=KIND, split="dev", n=1)
    way, one, other = worlds.gold(task), worlds.make(), worlds.make()
    seen = await played(one, task, way)
    assert seen == await played(other, task, way)
    assert (seen[-1].done, seen[-1].outcome, seen[-1].reward) == (True, "success", 1.0)
    half = await played(one, replace(task, max_steps=len(way) // 2), way)
    assert (half[-1].outcome, half[-1].done) == ("failure", True)
    assert 0 < (half[-1].reward or 0) < 1
    pid = one.engine.pid
    one.close()
    other.close()
    assert pid is not None


async def test_the_gold_way_is_nowhere_an_agent_looks(worlds: ScienceWorld) -> None:
    """Neither the task, nor the tool, nor the opening holds it, and the agent's simulator never made one."""
    (task,) = worlds.tasks(site=KIND, split="train", n=1)
    way, world = worlds.gold(task), worlds.make()
    opening = await world.reset(task)
    shown = json.dumps([task.text, dict(task.config), opening.text, repr(world.tools()), repr(vars(world))])
    assert ", ".join(way[:3]) not in shown
    assert repr(way)[1:-1] not in shown
    refused = await world.step(ToolCall("c", "act", {"command": "fly to the moon"}))
    assert refused.ok is False
    assert task.world == NAME
    assert "reset task" not in world.commands()
    world.close()
