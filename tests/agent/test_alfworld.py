"""ALFWorld as a world of ours. Needs its package, and its games in `$APPRENTICE_DATA` or `../shared/data`."""

import json
import os
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from agent.types import Observation, Task
from agent.worlds.alfworld import KINDS, Alfworld
from agent.worlds.game import GameWorld
from memory.errors import BadInput
from memory.types import ToolCall

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ARCHIVE = Path(os.environ.get("APPRENTICE_DATA", SHARED)) / "alfworld.tar.xz"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("alfworld") is None, reason="run `pip install alfworld`"),
]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Alfworld:
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE} is not there: set APPRENTICE_DATA to the folder of alfworld.tar.xz")
    folder = tmp_path_factory.mktemp("alfworld")
    with tarfile.open(ARCHIVE) as archive:
        wanted = (one for one in archive if "valid_seen/" in one.name and "-30" in one.name)
        archive.extractall(folder, members=wanted, filter="data")
    return Alfworld(folder / "json_2.1.1")


async def played(world: GameWorld, task: Task, commands: tuple[str, ...]) -> list[Observation]:
    opening = await world.reset(task)
    return [opening, *[await world.step(ToolCall("c", "act", {"command": one})) for one in commands]]


def test_games_that_are_not_there_are_named_with_the_setting(tmp_path: Path) -> None:
    """The error says which setting names the folder, whether it is unset or holds nothing."""
    for folder in (None, tmp_path):
        with pytest.raises(BadInput, match=r"set `alfworld_data` to the folder `json_2\.1\.1`"):
            Alfworld(folder)


def test_tasks_are_listed_by_kind_and_split(worlds: Alfworld) -> None:
    """A task says its goal in the game's words, is rebuilt from its configuration, and knows its split."""
    found = [task for kind in KINDS for task in worlds.all(kind)]
    assert found
    for task in found:
        assert worlds.task(task.config) == task
        assert worlds.split_of(task) == "valid_seen"
        assert task.text
    with pytest.raises(BadInput, match="games in split 'train'"):
        worlds.tasks(site=KINDS[0], split="train", n=1)
    with pytest.raises(BadInput, match="no kind of task 'fly'"):
        worlds.all("fly")
    with pytest.raises(BadInput, match=r"is no game of alfworld"):
        worlds.task({"game": "../../etc"})


async def test_walkthroughs_win_with_offered_commands_and_two_worlds_answer_alike(worlds: Alfworld) -> None:
    """Each step of the gold way is among the commands offered; another process answers it the same."""
    task = next(task for kind in KINDS for task in worlds.all(kind))
    way, one, other = worlds.gold(task), worlds.make(), worlds.make()
    await one.reset(task)
    for command in way:
        assert command in one.commands()
        assert f'"{command}"' in json.dumps(one.tools()[0].parameters)
        last = await one.step(ToolCall("c", "act", {"command": command}))
    assert (last.done, last.outcome, last.reward) == (True, "success", 1.0)
    assert await played(one, task, way) == await played(other, task, way)
    opening = await one.reset(task)
    shown = json.dumps([task.text, dict(task.config), opening.text, repr(vars(one))])
    assert repr(way)[1:-1] not in shown
    nothing = await one.step(ToolCall("c", "act", {"command": "fly to the moon"}))
    assert (nothing.text, nothing.ok) == ("Nothing happens.", False)
    one.close()
    other.close()
