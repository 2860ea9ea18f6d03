"""Engines in processes of their own: what they answer, how they fail, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.types import Task
from agent.worlds.apart import Apart, need
from agent.worlds.game import GameWorld, Rules, act_tool
from memory.errors import BadInput, WorldError
from memory.types import ToolCall

ROOT = Path(__file__).resolve().parents[2]
ENGINE = "tests.agent.engine"
TASK = Task("t-1", "say it", "guess", "words", {"word": "mug"}, max_steps=3)


@pytest.fixture
def engine() -> Iterator[Apart]:
    engine = Apart(ENGINE)
    yield engine
    engine.close()


def world(*, is_offered: bool = True, games: int = 10) -> GameWorld:
    rules = Rules(ENGINE, ("word",), act_tool("act", "Say it."), ("that does nothing",), is_offered, games)
    return GameWorld(rules, {"place": "a hall"})


def act(command: str) -> ToolCall:
    return ToolCall("c", "act", {"command": command})


def is_gone(pid: int) -> bool:
    """Waits, with an end, until no process has that id; a zombie is none."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_an_engine_prints_does_not_disturb_its_answers(engine: Apart) -> None:
    """Standard output is the engine's to write on; answers have a line of their own."""
    assert engine.ask("noise") == engine.pid


def test_what_an_engine_started_ends_with_it(engine: Apart) -> None:
    """Closing ends the whole group, and the next question starts another engine."""
    child, first = engine.ask("spawn"), engine.pid
    assert isinstance(child, int)
    engine.close()
    assert is_gone(child)
    assert engine.ask("noise") != first


def test_nothing_is_left_of_an_engine_whose_holder_was_killed() -> None:
    """A holder that is killed outright cannot tidy up: the cut line ends the engine and what it started."""
    code = (
        "from agent.worlds.apart import Apart; import time; engine = Apart('tests.agent.engine');"
        "print(engine.ask('spawn'), engine.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        child, parent = map(int, holder.stdout.readline().split())
        holder.send_signal(signal.SIGKILL)
    assert is_gone(parent)
    assert is_gone(child)


def test_an_engine_goes_with_the_last_reference_to_it() -> None:
    """Nobody need close it."""
    engine = Apart(ENGINE)
    pid = engine.ask("noise")
    assert isinstance(pid, int)
    del engine
    assert is_gone(pid)


def test_an_engine_that_dies_is_told_with_its_last_words(engine: Apart) -> None:
    """What it wrote before it died is in the error, and it may be asked again."""
    with pytest.raises(WorldError, match=r"broke at 'die': it ended; its last words: out of paper"):
        engine.ask("die")
    assert engine.ask("noise") == engine.pid


def test_an_engine_that_fails_goes_on(engine: Apart) -> None:
    """An exception inside is told by its name; the process stays."""
    first = engine.ask("noise")
    with pytest.raises(WorldError, match="failed at 'fail': ValueError: no such thing"):
        engine.ask("fail")
    assert engine.ask("noise") == first


def test_an_engine_that_hangs_is_ended() -> None:
    """Its time is bounded."""
    engine = Apart(ENGINE, answer_s=0.5)
    with pytest.raises(WorldError, match=r"did not answer for 0\.5 seconds"):
        engine.ask("hang")
    assert engine.pid is None


def test_a_missing_package_is_named_with_its_command() -> None:
    """Whoever asks for a world that is not installed is told what to run."""
    with pytest.raises(
        BadInput, match=r"'moon' needs the package 'no_such_moon': run `pip install no_such_moon"
    ):
        need("no_such_moon", "moon")


async def test_a_game_is_won_by_its_commands() -> None:
    """The end carries outcome and score; the commands that do something are offered as choices."""
    game = world()
    assert "enum" not in str(game.tools()[0].parameters)
    opening = await game.reset(TASK)
    assert opening.text == "you are in a hall"
    assert game.commands() == ("say a", "say mug")
    offered = game.tools()[0].parameters["properties"]
    assert offered == {"command": {"enum": ["say a", "say mug"]}}
    refused = await game.step(act("say a"))
    assert (refused.ok, refused.done, refused.reward) == (False, False, None)
    won = await game.step(act("say mug"))
    assert (won.ok, won.done, won.outcome, won.reward) == (True, True, "success", 1.0)
    with pytest.raises(WorldError, match="call reset first"):
        await game.step(act("say mug"))
    game.close()


async def test_a_game_ends_when_its_steps_are_used_up() -> None:
    """The world counts; a wrong tool is told and costs nothing."""
    game = world(is_offered=False)
    await game.reset(TASK)
    assert "enum" not in str(game.tools()[0].parameters)
    assert (await game.step(ToolCall("c", "fly", {}))).ok is False
    seen = [await game.step(act("say a")) for _ in range(3)]
    assert [one.done for one in seen] == [False, False, True]
    assert (seen[-1].outcome, seen[-1].reward) == ("failure", 0.0)
    await game.reset(TASK)
    over = await game.step(act("give up"))
    assert (over.outcome, over.reward, game.score) == ("failure", 0.25, 0.25)
    game.close()


async def test_an_engine_that_leaks_is_started_afresh() -> None:
    """After so many games another process plays; a task that is none of its kind is refused."""
    game = world(games=2)
    with pytest.raises(BadInput, match="None is no word"):
        await game.reset(Task("t-2", "", "guess", "words"))
    with pytest.raises(WorldError, match="call reset first"):
        await game.step(act("say a"))
    pids = []
    for _ in range(3):
        await game.reset(TASK)
        pids.append(game.engine.pid)
    assert pids[0] != pids[1] == pids[2]
    assert is_gone(pids[0] or os.getpid())
    game.close()
