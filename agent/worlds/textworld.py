"""TextWorld: text games drawn by seed: cooking by a recipe, finding a treasure, collecting a coin.

Source: Côté et al. 2018, arXiv 1806.11532; cooking as in the First TextWorld Problems competition.
`pip install textworld`, which generates a game in some seconds. Foods and their ways of preparation of the
splits are the generator's; the ranges of seeds are ours.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent.types import Task
from agent.worlds.apart import Apart, need
from agent.worlds.game import GameWorld, Rules, act_tool, task_id
from memory.errors import BadInput
from memory.types import Json

NAME = "textworld"
SPLITS = {
    "train": range(1_000_000),
    "valid": range(1_000_000, 1_001_000),
    "test": range(1_001_000, 1_002_000),
}
"""Seeds."""
_ENGINE = "agent.worlds.textworld_engine"


@dataclass(frozen=True, slots=True)
class Sort:
    """A site: how its games are generated."""

    challenge: str
    """As `tw-make` names it."""
    text: str
    max_steps: int
    settings: Mapping[str, Json] = field(default_factory=dict)


_COOK = "read the cookbook, prepare the meal as it says and eat it"
_PLAIN: Mapping[str, Json] = {"open": False, "cook": False, "cut": False, "drop": False, "recipe_seed": 0}
_TREASURE, _COIN = "find what the game asks for and take it", "find the coin and take it"
_SIX: Mapping[str, Json] = {**_PLAIN, "go": 6, "open": True, "cook": True}
SORTS: Mapping[str, Sort] = MappingProxyType({
    "cook-1": Sort("tw-cooking", _COOK, 30, {**_PLAIN, "recipe": 1, "take": 1, "go": 1, "cook": True}),
    "cook-2": Sort("tw-cooking", _COOK, 50, {**_SIX, "recipe": 2, "take": 2}),
    "cook-3": Sort("tw-cooking", _COOK, 80, {**_SIX, "recipe": 3, "take": 3, "cut": True, "drop": True}),
    "treasure-5": Sort("tw-treasure_hunter", _TREASURE, 30, {"level": 5}),
    "treasure-15": Sort("tw-treasure_hunter", _TREASURE, 50, {"level": 15}),
    "treasure-25": Sort("tw-treasure_hunter", _TREASURE, 80, {"level": 25}),
    "coin-5": Sort("tw-coin_collector", _COIN, 30, {"level": 5}),
    "coin-15": Sort("tw-coin_collector", _COIN, 60, {"level": 15}),
})  # fmt: skip
"""By difficulty: ingredients and rooms, or the level of the generator."""
RULES = Rules(
    module=_ENGINE,
    start=("game", "seed"),
    act=act_tool(
        "act",
        "Do one thing. Commands: look, inventory, examine THING, go north / south / east / west, open THING, "
        "close THING, unlock THING with THING, take THING, take THING from THING, drop THING, put THING on "
        "THING, insert THING into THING, cook THING with THING, slice / dice / chop THING with THING, "
        "prepare meal, eat THING.",
    ),
    refusals=("You can't", "That's not", "I didn't", "You haven't", "This dialogue", "You need to"),
    is_offered=True,
    games=50,
)


class TextWorld:
    """A Catalogue: sites are sorts of game by difficulty, as `cook-2`; splits are ranges of seeds."""

    name = NAME

    def __init__(self, folder: Path | None = None) -> None:
        """Games once generated are kept in `folder`; without one each engine makes its own anew.

        Raises BadInput when the package is missing.
        """
        need("textworld", NAME)
        self._folder = None if folder is None else str(folder.resolve())
        self._engine = Apart(_ENGINE)

    def sites(self) -> tuple[str, ...]:
        """All sorts of game."""
        return tuple(SORTS)

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different games of a sort. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        if not 1 <= n <= len(SPLITS[split]):
            raise BadInput(f"n is {n}; {site!r} has {len(SPLITS[split])} games in split {split!r}")
        drawn = random.Random(f"{NAME}/{site}/{split}/{seed}").sample(SPLITS[split], n)
        return tuple(_task(site, one) for one in drawn)

    def all(self, site: str) -> tuple[Task, ...]:
        """The games of a sort that nothing is trained on: those of training have no end. Raises BadInput."""
        return tuple(_task(site, one) for split in ("valid", "test") for one in SPLITS[split])

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of a `game`, its sort, and a `seed`. Raises BadInput."""
        return _task(*read(config))

    def split_of(self, task: Task) -> str:
        """By its seed. Raises BadInput."""
        return split_of(read(task.config)[1])

    def make(self) -> GameWorld:
        """A fresh world with an engine of its own."""
        return GameWorld(RULES, {"folder": self._folder})

    def gold(self, task: Task) -> tuple[str, ...]:
        """The generator's own way, for measuring and teaching alone; no world of ours tells it."""
        told = self._engine.ask("gold", self._folder, *read(task.config))
        return tuple(map(str, told if isinstance(told, list) else ()))

    def close(self) -> None:
        """End the engine that tells gold ways."""
        self._engine.close()


def split_of(seed: int) -> str:
    """The split whose range holds it."""
    return next(split for split, seeds in SPLITS.items() if seed in seeds)


def read(config: Mapping[str, Json]) -> tuple[str, int]:
    """Sort and seed. Raises BadInput."""
    match dict(config):
        case {"game": str(game), "seed": int(seed)} if any(seed in seeds for seeds in SPLITS.values()):
            return game, seed
    raise BadInput(
        f"{dict(config)!r} is no task of {NAME}: it has `game`, and a `seed` from 0 to {SPLITS['test'][-1]}"
    )


def _task(site: str, seed: int) -> Task:
    sort = SORTS.get(site)
    if sort is None:
        raise BadInput(f"no sort of game is called {site!r}; there are {', '.join(SORTS)}")
    config: dict[str, Json] = {"game": site, "seed": seed}
    return Task(task_id(NAME, config), sort.text, NAME, site, config, sort.max_steps)
