"""MiniWoB++ as a world of ours. Needs its package, Chromium and its driver."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from agent.types import Observation, Task
from agent.worlds.game import GameWorld
from agent.worlds.miniwob import MiniWob
from memory.errors import BadInput
from memory.types import ToolCall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("miniwob") is None, reason="run `pip install miniwob`"),
    pytest.mark.skipif(
        shutil.which("chromedriver") is None, reason="run `apt-get install chromium chromium-driver`"
    ),
]


@pytest.fixture(scope="module")
def worlds() -> Iterator[MiniWob]:
    worlds = MiniWob()
    yield worlds
    worlds.close()


async def played(world: GameWorld, task: Task, commands: tuple[str, ...]) -> list[Observation]:
    opening = await world.reset(task)
    return [opening, *[await world.step(ToolCall("c", "act", {"command": one})) for one in commands]]


@pytest.mark.parametrize("kind", ["click-checkboxes", "login-user"])
async def test_the_gold_way_wins_and_two_browsers_answer_alike(worlds: MiniWob, kind: str) -> None:
    """The same commands on the page of the same seed have the same answers; a wrong end loses."""
    (task,) = worlds.tasks(site=kind, split="train", n=1)
    assert worlds.task(task.config) == task
    assert worlds.split_of(task) == "train"
    way, one, other = worlds.gold(task), worlds.make(), worlds.make()
    seen = await played(one, task, way)
    assert seen == await played(other, task, way)
    assert (seen[-1].done, seen[-1].outcome, seen[-1].reward) == (True, "success", 1.0)
    assert way[0] not in seen[0].text
    nothing, lost = (await played(one, task, ("click 9999", way[-1])))[1:]
    assert (nothing.ok, nothing.done) == (False, False)
    assert (lost.done, lost.outcome, lost.reward) == (True, "failure", 0.0)
    one.close()
    other.close()


def test_what_is_no_task_is_refused(worlds: MiniWob) -> None:
    """Kinds without a script and seeds out of range are named."""
    with pytest.raises(BadInput, match="no kind of task 'draw-circle' here"):
        worlds.tasks(site="draw-circle", split="train", n=1)
    with pytest.raises(BadInput, match="a `seed` from 0 to 1999"):
        worlds.task({"kind": "click-test", "seed": 2000})
