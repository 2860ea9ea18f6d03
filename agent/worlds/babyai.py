"""BabyAI: errands in a grid of rooms, told in words.

Source: Chevalier-Boisvert et al. 2019, arXiv 1810.08272; `pip install minigrid`. Deviations: what is seen
is put into words; beside the six moves there are errands (`go to blue key 1`), a way through what is seen, at
one step each; a task is done or it is not, however long it took.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from agent.types import Observation, Task, ToolSpec
from agent.worlds.apart import need
from agent.worlds.babyai_view import FORWARD, PICK_UP, TOGGLE, Seen, kind_at, steps, things, way_to, where
from agent.worlds.game import act_tool, task_id
from memory.errors import BadInput, WorldError
from memory.types import Json, ToolCall

NAME = "babyai"
SPLITS = {
    "train": range(1_000_000),
    "valid": range(1_000_000, 1_001_000),
    "test": range(1_001_000, 1_002_000),
}
"""Seeds. They are ours: the levels have no official ones."""
_BROKEN = re.compile(r"KeyInBox|PutNext.*Carrying|OpenDoorsOrder.*Debug")
"""Levels in which something is wrong upstream."""
MOVES = ("turn left", "turn right", "go forward", "pick up", "drop", "open")
"""In the order of the environment's actions. `open` opens and shuts, and unlocks with the key at hand."""
GOLD_STEPS = 1000
ACT = act_tool(
    "act",
    "Do one thing. Moves: turn left, turn right, go forward, pick up (what is right ahead), drop, open (the "
    "door or box right ahead; again shuts it; a locked door needs the key of its colour in your hand). "
    "Errands, for what you see, by its name: go to THING (until it is right ahead), pick up THING, open "
    "DOOR, go through DOOR.",
)


class BabyAi:
    """A Catalogue: sites are levels without their prefix, as `GoToLocal`; splits are ranges of seeds."""

    name = NAME

    def __init__(self) -> None:
        """Raises BadInput when the package is missing."""
        need("minigrid", NAME)

    def sites(self) -> tuple[str, ...]:
        """The levels that work."""
        return _levels()

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different tasks of a level. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        if not 1 <= n <= len(SPLITS[split]):
            raise BadInput(f"n is {n}; {site!r} has {len(SPLITS[split])} tasks in split {split!r}")
        drawn = random.Random(f"{NAME}/{site}/{split}/{seed}").sample(SPLITS[split], n)
        return tuple(_task(site, one) for one in drawn)

    def all(self, site: str) -> tuple[Task, ...]:
        """The tasks of a level that nothing is trained on: those of training have no end. Raises BadInput."""
        return tuple(_task(site, one) for split in ("valid", "test") for one in SPLITS[split])

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of a `level` and a `seed`. Raises BadInput."""
        return _task(*_read(config))

    def split_of(self, task: Task) -> str:
        """By its seed. Raises BadInput."""
        _, seed = _read(task.config)
        return next(split for split, seeds in SPLITS.items() if seed in seeds)

    def make(self) -> BabyAiWorld:
        """A fresh world."""
        return BabyAiWorld()

    def gold(self, task: Task) -> tuple[str, ...]:
        """The moves of the environment's own bot, in a grid of its own; empty where it gives up."""
        from minigrid.utils.baby_ai_bot import BabyAIBot

        env = _begun(*_read(task.config))
        bot, moves, last = BabyAIBot(env.unwrapped), [], None
        for _ in range(GOLD_STEPS):
            try:
                last = bot.replan(last)
            except Exception:  # noqa: BLE001 - asserts and worse: it does not know every level
                return ()
            moves.append(MOVES[int(last)] if int(last) < len(MOVES) else "look")
            if env.step(last)[2]:
                return tuple(moves)
        return ()


class BabyAiWorld:
    """One errand at a time; implements World and Choices."""

    def __init__(self) -> None:
        self._env: Any = None
        self._view: Any = None
        self._task: Task | None = None
        self._steps = 0

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool."""
        return (ACT,)

    def commands(self) -> tuple[str, ...]:
        """The moves, and errands to what is in view."""
        if self._task is None:
            return ()
        return (*MOVES, *(f"{verb} {one.name}" for one in self._things() for verb in _verbs(one)))

    async def reset(self, task: Task) -> Observation:
        """Begin. Raises BadInput when the configuration is none of this world's."""
        self._env = _begun(*_read(task.config))
        self._view = self._env.unwrapped.gen_obs()["image"]
        self._task, self._steps = task, 0
        return Observation(self._told())

    async def step(self, call: ToolCall) -> Observation:
        """Do one move or errand. Raises WorldError without a task, or when it is over."""
        if self._task is None:
            raise WorldError("no task is running; call reset first")
        command = call.arguments.get("command")
        if call.name != ACT.name or not isinstance(command, str):
            told = f"there is no tool {call.name!r} with {call.arguments!r}; use act(command)"
            return Observation(told, ok=False)
        if self._steps >= self._task.max_steps or self._env is None:
            raise WorldError(f"the task {self._task.id} is over; call reset first")
        self._steps += 1
        moves = self._moves(command.strip().lower())
        is_won, ok = False, False
        for move in moves:
            before = self._state()
            self._view, _, is_won, _, _ = self._env.step(move)
            self._view = self._view["image"]
            ok = self._state() != before
            if is_won or not ok:
                break
        text = self._told() if ok or is_won else f"Nothing happens. {self._told()}"
        if not is_won and self._steps < self._task.max_steps:
            return Observation(text, ok)
        self._env = None
        return Observation(text, ok, True, "success" if is_won else "failure", float(is_won))

    def _state(self) -> tuple[object, ...]:
        env = self._env.unwrapped
        held = env.carrying and (env.carrying.color, env.carrying.type)
        return (tuple(env.agent_pos), env.agent_dir, held, env.grid.encode().tobytes())

    def _moves(self, command: str) -> Sequence[int]:
        """What a command comes to; nothing where it means nothing here."""
        if command in MOVES:
            return (MOVES.index(command),)
        for one in self._things():
            for verb in _verbs(one):
                if command == f"{verb} {one.name}":
                    way = way_to(self._view, one.at)
                    return () if way is None else (*way, *_END[verb])
        return ()

    def _things(self) -> tuple[Seen, ...]:
        return tuple(things(self._view))

    def _told(self) -> str:
        """What is seen, nearest first, and what is held."""
        size = self._view.shape[0]
        seen = [
            f"a {one.name}{f', {one.state},' if one.state else ''} {where(one.at, size)}"
            for one in self._things()
        ]
        ahead = next(
            (n for n in range(1, size) if kind_at(self._view, (size // 2, size - 1 - n)) == "wall"), None
        )
        wall = f" A wall is {steps(ahead)} ahead." if ahead else ""
        held = self._env.unwrapped.carrying
        hand = f"You hold a {held.color} {held.type}." if held else "Your hands are empty."
        return f"You see {'; '.join(seen) or 'nothing but floor'}.{wall} {hand}"


_END: Mapping[str, tuple[int, ...]] = {
    "go to": (),
    "pick up": (PICK_UP,),
    "open": (TOGGLE,),
    "go through": (FORWARD, FORWARD),
}
"""What an errand ends with, when its thing is right ahead."""


def _verbs(one: Seen) -> tuple[str, ...]:
    if one.kind == "door":
        return ("go to", "go through") if one.state == "open" else ("go to", "open")
    return ("go to", "pick up", "open") if one.kind == "box" else ("go to", "pick up")


@cache
def _levels() -> tuple[str, ...]:
    import gymnasium
    import minigrid  # noqa: F401 - registers its environments

    names = (name.removeprefix("BabyAI-").removesuffix("-v0") for name in gymnasium.registry)
    found = [name for name in names if f"BabyAI-{name}-v0" in gymnasium.registry]
    return tuple(sorted(name for name in found if not _BROKEN.fullmatch(name)))


def _begun(level: str, seed: int) -> Any:
    """The environment at the beginning of a task."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if level not in _levels():
        raise BadInput(f"no level is called {level!r}; there are {', '.join(_levels())}")
    import gymnasium

    env = gymnasium.make(f"BabyAI-{level}-v0", disable_env_checker=True)
    env.reset(seed=seed)
    return env


def _task(level: str, seed: int) -> Task:
    env = _begun(level, seed).unwrapped
    config: dict[str, Json] = {"level": level, "seed": seed}
    return Task(task_id(NAME, config), str(env.mission), NAME, level, config, int(env.max_steps))


def _read(config: Mapping[str, Json]) -> tuple[str, int]:
    match dict(config):
        case {"level": str(level), "seed": int(seed)} if any(seed in seeds for seeds in SPLITS.values()):
            return level, seed
    raise BadInput(
        f"{dict(config)!r} is no task of {NAME}: it has `level`, and a `seed` from 0 to {SPLITS['test'][-1]}"
    )
