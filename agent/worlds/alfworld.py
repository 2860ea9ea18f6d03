"""ALFWorld: household tasks in rooms of a simulator, as text; six kinds, official splits.

Source: Shridhar et al. 2021, arXiv 2010.03768. Nobody here wrote it: `pip install alfworld`, and the games,
a folder `json_2.1.1` with `train`, `valid_seen` and maybe `valid_unseen`. These games say "move X to Y" where
older logs say "put X in/on Y".
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from agent.types import Task
from agent.worlds.apart import need
from agent.worlds.game import GameWorld, Rules, act_tool, task_id
from memory.errors import BadInput
from memory.types import Json

NAME = "alfworld"
SPLITS = ("train", "valid_seen", "valid_unseen")
KINDS = (
    "look_at_obj_in_light",
    "pick_and_place_simple",
    "pick_clean_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_two_obj_and_place",
)
MAX_STEPS = 50
"""As in the paper."""
RULES = Rules(
    module="agent.worlds.alfworld_engine",
    start=("game",),
    act=act_tool(
        "act",
        "Do one thing in the house. Commands: go to PLACE, open PLACE, close PLACE, take THING from PLACE, "
        "move THING to PLACE, heat THING with PLACE, cool THING with PLACE, clean THING with PLACE, "
        "use LAMP, examine THING, inventory, look.",
    ),
    refusals=("Nothing happens",),
    is_offered=True,
    games=25,  # 8 MB stay behind each
)
_TASK = re.compile(r"Your task is to: (.+?)\s*\"")


class Alfworld:
    """A Catalogue: sites are the six kinds of task, splits the folders of games."""

    def __init__(self, folder: Path | None, *, max_steps: int = MAX_STEPS) -> None:
        """`folder` is the setting `alfworld_data`. Raises BadInput when package or games are missing."""
        need("alfworld", NAME)
        if folder is None or not any((folder / split).is_dir() for split in SPLITS):
            raise BadInput(
                f"no games of alfworld are in {str(folder)!r}: set `alfworld_data` to the folder `json_2.1.1`"
                " of its data, the one that holds `train` and `valid_seen`"
            )
        self._folder, self._max_steps = folder.resolve(), max_steps

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        return NAME

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different games of a kind. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        offers = [game for game in self._of(site) if game.startswith(f"{split}/")]
        if not 1 <= n <= len(offers):
            raise BadInput(f"n is {n}; {site!r} has {len(offers)} games in split {split!r}")
        random.Random(f"{NAME}/{site}/{split}/{seed}").shuffle(offers)
        return tuple(map(self._task, offers[:n]))

    def all(self, site: str) -> tuple[Task, ...]:
        """Every game of a kind."""
        return tuple(map(self._task, self._of(site)))

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of a `game`, its folder below the data. Raises BadInput."""
        return self._task(self._read(config))

    def split_of(self, task: Task) -> str:
        """The folder that its game is in. Raises BadInput."""
        return self._read(task.config).partition("/")[0]

    def make(self) -> GameWorld:
        """A fresh world with an engine of its own."""
        return GameWorld(RULES, {"folder": str(self._folder)})

    def gold(self, task: Task) -> tuple[str, ...]:
        """The walkthrough, for measuring and teaching alone; no world of ours tells it."""
        way = json.loads(self._text_of(self._read(task.config)))["walkthrough"]
        return tuple(map(str, way))

    @cached_property
    def _games(self) -> frozenset[str]:
        found = self._folder.glob("*/*/*/game.tw-pddl")
        return frozenset(path.parent.relative_to(self._folder).as_posix() for path in found)

    def _of(self, site: str) -> list[str]:
        if site not in KINDS:
            raise BadInput(f"alfworld has no kind of task {site!r}; there are {', '.join(KINDS)}")
        return sorted(
            game for game in self._games if _kind(game) == site and game.partition("/")[0] in SPLITS
        )

    def _read(self, config: Mapping[str, Json]) -> str:
        game = config.get("game")
        if not isinstance(game, str) or game not in self._games:
            raise BadInput(f"{game!r} is no game of alfworld in {str(self._folder)!r}")
        return game

    def _task(self, game: str) -> Task:
        said = _TASK.search(self._text_of(game).replace('\\"', '"'))
        if said is None:
            raise BadInput(f"the game {game!r} does not say what its task is; is it whole?")
        config: dict[str, Json] = {"game": game}
        return Task(task_id(NAME, config), said[1], NAME, _kind(game), config, self._max_steps)

    def _text_of(self, game: str) -> str:
        return (self._folder / game / "game.tw-pddl").read_text(encoding="utf-8")


def _kind(game: str) -> str:
    """The kind that the folder's name begins with: `train/KIND-Thing-…/trial_…`."""
    return game.split("/")[1].partition("-")[0]
