"""BabyAI in words. Needs its package."""

from importlib.util import find_spec

import pytest

from agent.types import Observation
from agent.worlds.babyai import MOVES, SPLITS, BabyAi, BabyAiWorld
from memory.errors import BadInput
from memory.types import ToolCall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("minigrid") is None, reason="run `pip install minigrid`"),
]
LEVELS = (
    "GoToObj",
    "GoToLocal",
    "GoToDoor",
    "PickupLoc",
    "PutNextLocal",
    "OpenDoor",
    "UnlockLocal",
    "Pickup",
)


async def done(world: BabyAiWorld, command: str) -> Observation:
    return await world.step(ToolCall("c", "act", {"command": command}))


@pytest.mark.parametrize("level", LEVELS)
async def test_the_bot_and_every_errand_lead_where_they_say(level: str) -> None:
    """Gold wins; after `go to X` the nearest of its name is right ahead, or X could not be reached."""
    worlds, reached = BabyAi(), 0
    for task in worlds.tasks(site=level, split="valid", n=6):
        world = worlds.make()
        await world.reset(task)
        for move in worlds.gold(task):
            last = await done(world, move)
        assert last.outcome == "success"
        assert (await world.reset(task)).text == (await worlds.make().reset(task)).text
        for errand in world.commands()[len(MOVES) :]:
            if not errand.startswith("go to "):
                continue
            await world.reset(task)
            said = await done(world, errand)
            if said.ok or said.done:
                name = errand.removeprefix("go to ").rsplit(" ", 1)[0]
                reached += 1
                assert said.done or f"{name} 1" in said.text.split(" 1 step ahead")[0].rsplit(";", 1)[-1]
    assert reached


async def test_things_are_picked_up_and_doors_gone_through() -> None:
    """The errands' ends; what cannot be done says that nothing happens."""
    worlds, took = BabyAi(), 0
    for task in worlds.tasks(site="PickupLoc", split="valid", n=10):
        world = worlds.make()
        await world.reset(task)
        assert "Nothing happens" in (await done(world, "go to purple castle 1")).text
        for errand in (one for one in world.commands() if one.startswith("pick up ")):
            said = await done(world, errand)
            name = errand.removeprefix("pick up ").rsplit(" ", 1)[0]
            assert not said.ok or said.done or f"You hold a {name}." in said.text
            took += bool(said.ok)
            break
    assert took >= 5


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(BadInput, match="no level is called 'Fly'"):
        BabyAi().tasks(site="Fly", split="test", n=1)
    with pytest.raises(BadInput, match="no split is called 'dev'"):
        BabyAi().tasks(site="GoToObj", split="dev", n=1)
    with pytest.raises(BadInput, match="a `seed` from 0 to 1001999"):
        BabyAi().task({"level": "GoToObj", "seed": SPLITS["test"].stop})
