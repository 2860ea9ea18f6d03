"""ScienceWorld: thirty kinds of school science in a simulated house, by text; official splits.

Source: Wang et al. 2022, arXiv 2203.07540. Nobody here wrote it: `pip install scienceworld`, with Java on the
path. Deviation: a fatal mistake scores 0, where the simulator says -100. The same task again may list what is
there in another order: what is listed is the same.
The simulator's gold ways win 27 of 28 dev tasks tried; in one (`freeze` 19) they reach 0.82.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping

from agent.types import Task
from agent.worlds.apart import Apart, need
from agent.worlds.game import GameWorld, Rules, act_tool, task_id
from memory.errors import BadInput
from memory.types import Json

NAME = "scienceworld"
SPLITS = ("train", "dev", "test")
SLOW = ("mendelian-genetics-known-plant", "mendelian-genetics-unknown-plant")
"""Kinds whose start takes 6 to 16 seconds: left out of quick runs."""
MAX_STEPS = 100
"""As the simulator's own default; the longest known gold way takes 178."""
_ENGINE = "agent.worlds.scienceworld_engine"
RULES = Rules(
    module=_ENGINE,
    start=("kind", "variation", "simplification"),
    act=act_tool(
        "act",
        "Do one thing. Commands: look around, look at THING, look in THING, inventory, task, go to PLACE, "
        "teleport to PLACE, open THING, close THING, pick up THING, put down THING, move THING to THING, "
        "pour THING in THING, dunk THING in THING, mix THING, activate THING, deactivate THING, "
        "use THING on THING, read THING, eat THING, flush THING, connect THING to THING, disconnect THING, "
        "focus on THING (says what the task is about: only on what it asks for), wait, wait1. Where several "
        "things are meant the answer is a list, and the next command the number of one.",
    ),
    refusals=("No known action matches that input.", "Unknown action"),
    is_offered=False,
    games=500,
)


class ScienceWorld:
    """A Catalogue: sites are kinds of task, splits the official ones."""

    def __init__(self, *, simplification: str = "easy", max_steps: int = MAX_STEPS) -> None:
        """`simplification` as the simulator names them, commas between; it stands in each task's config.

        `easy` is all: teleport, open doors and containers, plants that water themselves, no electrics (but
        where the task is electrics). Raises BadInput when the package or Java is missing.
        """
        need("scienceworld", NAME)
        if shutil.which("java") is None:
            raise BadInput("the world 'scienceworld' needs Java on the PATH: `apt-get install default-jre`")
        self._simplification, self._max_steps = simplification, max_steps
        self._engine = Apart(_ENGINE)

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        return NAME

    def sites(self, *, is_quick: bool = False) -> tuple[str, ...]:
        """The kinds of task, without the two slow ones for a quick run."""
        told = self._engine.ask("names")
        names = map(str, told if isinstance(told, list) else ())
        return tuple(name for name in names if not is_quick or name not in SLOW)

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different variations of a kind. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        offers = list(self._variations(site)[split])
        if not 1 <= n <= len(offers):
            raise BadInput(f"n is {n}; {site!r} has {len(offers)} tasks in split {split!r}")
        random.Random(f"{NAME}/{site}/{split}/{seed}").shuffle(offers)
        return tuple(self._task(site, variation, self._simplification) for variation in offers[:n])

    def all(self, site: str) -> tuple[Task, ...]:
        """Every variation of a kind; up to 1,386, each loaded for its text, some ten a second."""
        splits = self._variations(site)
        return tuple(self._task(site, one, self._simplification) for split in SPLITS for one in splits[split])

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of `kind`, `variation` and `simplification`. Raises BadInput."""
        kind, variation, simplification = _read(config, self._simplification)
        if not any(variation in split for split in self._variations(kind).values()):
            raise BadInput(f"{kind!r} has no variation {variation}")
        return self._task(kind, variation, simplification)

    def split_of(self, task: Task) -> str:
        """Its official split. Raises BadInput."""
        kind, variation, _ = _read(task.config, self._simplification)
        for split, variations in self._variations(kind).items():
            if variation in variations:
                return split
        raise BadInput(f"{kind!r} has no variation {variation}")

    def make(self) -> GameWorld:
        """A fresh world with a simulator of its own."""
        return GameWorld(RULES)

    def gold(self, task: Task) -> tuple[str, ...]:
        """A way to the full score, for measuring and teaching alone; no world of ours knows it."""
        told = self._engine.ask("gold", *_read(task.config, self._simplification))
        return tuple(map(str, told if isinstance(told, list) else ()))

    def close(self) -> None:
        """End the simulator that lists tasks."""
        self._engine.close()

    def _variations(self, site: str) -> dict[str, tuple[int, ...]]:
        told = self._engine.ask("variations", site)
        parts = told if isinstance(told, list) else []
        return {
            split: tuple(int(str(one)) for one in part) if isinstance(part, list) else ()
            for split, part in zip(SPLITS, parts, strict=True)
        }

    def _task(self, kind: str, variation: int, simplification: str) -> Task:
        config: dict[str, Json] = {"kind": kind, "variation": variation, "simplification": simplification}
        text = str(self._engine.ask("text", kind, variation))
        return Task(task_id(NAME, config), text, NAME, kind, config, self._max_steps)


def _read(config: Mapping[str, Json], simplification: str) -> tuple[str, int, str]:
    match dict(config):
        case {"kind": str(kind), "variation": int(variation), **rest}:
            return kind, variation, str(rest.get("simplification", simplification))
    raise BadInput(f"{dict(config)!r} is no task of scienceworld: it has `kind` and `variation`")
