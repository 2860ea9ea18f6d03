"""MiniWoB++: small pages of the web in a real browser, done by clicking and typing.

Source: Shi et al. 2017 (World of Bits) and Liu et al. 2018, arXiv 1802.08802. Nobody here wrote it: `pip
install miniwob`, and Chromium with its driver. Deviations: the page as text, elements by their numbers; no
clock; only kinds that clicking and typing do and whose right way a script knows (`miniwob_gold.py`).
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping

from agent.types import Task
from agent.worlds.apart import Apart, need
from agent.worlds.game import GameWorld, Rules, act_tool, task_id
from agent.worlds.miniwob_gold import SCRIPTS
from memory.errors import BadInput
from memory.types import Json

NAME = "miniwob"
SPLITS: Mapping[str, range] = {"train": range(1000), "test": range(1000, 2000)}
"""Seeds of pages; ours, there are no official ones."""
MAX_STEPS = 10
_ENGINE = "agent.worlds.miniwob_engine"
_DRIVERS = ("chromedriver", "chromium.chromedriver")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
RULES = Rules(
    module=_ENGINE,
    start=("kind", "seed"),
    act=act_tool("act", "Do one thing on the page. Commands: click NUMBER, type NUMBER TEXT."),
    refusals=("nothing happens.",),
    is_offered=False,  # what is to be typed cannot be listed
    games=200,
)


class MiniWob:
    """A Catalogue: sites are kinds of page, tasks their seeds."""

    def __init__(self, *, max_steps: int = MAX_STEPS) -> None:
        """Raises BadInput when the package, the browser or its driver is missing."""
        need("miniwob", NAME)
        self._places: dict[str, Json] = {"browser": _found(_BROWSERS), "driver": _found(_DRIVERS)}
        self._max_steps = max_steps
        self._engine = Apart(_ENGINE)

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        return NAME

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different pages of a kind, each opened once to read what it asks. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        if not 1 <= n <= len(SPLITS[split]):
            raise BadInput(f"n is {n}; {site!r} has {len(SPLITS[split])} tasks in split {split!r}")
        seeds = random.Random(f"{NAME}/{site}/{split}/{seed}").sample(SPLITS[split], n)
        return tuple(self._task(site, one) for one in seeds)

    def all(self, site: str) -> tuple[Task, ...]:
        """Every page of a kind, 2,000 of them; minutes."""
        return tuple(self._task(site, seed) for seeds in SPLITS.values() for seed in seeds)

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of a `kind` and `seed`. Raises BadInput."""
        return self._task(*_read(config))

    def split_of(self, task: Task) -> str:
        """The split its seed is in. Raises BadInput."""
        _, seed = _read(task.config)
        return next(split for split, seeds in SPLITS.items() if seed in seeds)

    def make(self) -> GameWorld:
        """A fresh world with a browser of its own."""
        return GameWorld(RULES, self._places)

    def gold(self, task: Task) -> tuple[str, ...]:
        """A way to do it, for measuring and teaching alone; no world of ours knows it."""
        told = self._engine.ask("gold", *_read(task.config), *self._places.values())
        return tuple(map(str, told if isinstance(told, list) else ()))

    def sites(self) -> tuple[str, ...]:
        """The kinds of page."""
        return tuple(SCRIPTS)

    def close(self) -> None:
        """End the browser that lists tasks."""
        self._engine.close()

    def _task(self, kind: str, seed: int) -> Task:
        config: dict[str, Json] = {"kind": kind, "seed": seed}
        text = str(self._engine.ask("text", kind, seed, *self._places.values()))
        return Task(task_id(NAME, config), text, NAME, kind, config, self._max_steps)


def _read(config: Mapping[str, Json]) -> tuple[str, int]:
    match dict(config):
        case {"kind": str(kind), "seed": int(seed)} if any(seed in seeds for seeds in SPLITS.values()):
            return kind, seed
    raise BadInput(f"{dict(config)!r} is no task of miniwob: it has `kind`, and a `seed` from 0 to 1999")


def _found(names: tuple[str, ...]) -> str:
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        raise BadInput(f"the world 'miniwob' needs {names[0]!r}: `apt-get install chromium chromium-driver`")
    return path
