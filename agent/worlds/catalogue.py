"""The bundled worlds as the rest of the program sees them: tasks by site and split, and worlds to act in."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, replace

from agent.types import Catalogue, Observation, Task, ToolSpec
from agent.worlds.city import CityCatalogue
from agent.worlds.domain import WORLDS
from agent.worlds.sim import Simulation, State
from agent.worlds.site import (
    HELD_OUT_FAMILIES,
    HELD_OUT_WORDINGS,
    Goal,
    Site,
    check_name,
    goals,
    make_site,
    wordings,
)
from agent.worlds.teacher import Teacher, full_knowledge
from memory.errors import BadInput, WorldError
from memory.types import Json, ToolCall

MAX_STEPS = 14
SPLITS = ("work", "gate", "family", "wording")
"""`work` and `gate` share sites and families but no task; `family` and `wording` hold what was kept from the
training of the bundled model: task families and ways of saying a task it never met."""

ACT = ToolSpec(
    name="act",
    description=(
        "Do one thing at the site. Commands: go to PLACE, open PLACE, close PLACE, take THING from PLACE, "
        "put THING in PLACE, VERB THING with MACHINE (such as heat egg with stove 3), use PLACE, look, "
        "or any short order such as press button or wipe feet."
    ),
    parameters={
        "type": "object",
        "properties": {"command": {"type": "string", "minLength": 1, "maxLength": 200}},
        "required": ["command"],
        "additionalProperties": False,
    },
)


def catalogue(name: str) -> Catalogue:
    """The bundled world of that name. Raises BadInput naming those there are."""
    if name == CityCatalogue.name:
        return CityCatalogue()
    if name not in WORLDS:
        there = ", ".join(sorted([*WORLDS, CityCatalogue.name]))
        raise BadInput(f"no world is called {name!r}; there are {there}")
    return SiteCatalogue(name)


class SiteCatalogue:
    """Tasks at the sites of one domain."""

    def __init__(self, name: str):
        self._name = name

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        return self._name

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different tasks of a site, drawn without repetition. Raises BadInput when there are fewer."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        place = make_site(self._name, check_name(site))
        goals_here = _offers(place, split)
        offers = [task for task in (self._task(place, goal, split) for goal in goals_here) if task]
        if not 1 <= n <= len(offers):
            raise BadInput(f"n is {n}; {site!r} has {len(offers)} tasks in split {split!r}")
        rng = random.Random(f"{self._name}/{site}/{split}/{seed}")
        return tuple(_balanced(offers, n, rng))

    def all(self, site: str) -> tuple[Task, ...]:
        """Every task of a site, in all its wordings. Raises BadInput on a name no site can have."""
        place = make_site(self._name, check_name(site))
        return tuple(self._make(place, replace(goal, wording=n)) for goal in goals(place) for n in range(3))

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of one configuration: site, family, things, target, wording. Raises BadInput."""
        site, goal = self._read(config)
        return self._make(site, goal)

    def split_of(self, task: Task) -> str:
        """The split that a task belongs to, however it is worded. Raises BadInput."""
        site, goal = self._read(task.config)
        if goal.family in HELD_OUT_FAMILIES:
            return "family"
        if goal.wording >= 3 - HELD_OUT_WORDINGS:
            return "wording"
        return "gate" if _is_gate(self._make(site, replace(goal, wording=0))) else "work"

    def make(self) -> SiteWorld:
        """A fresh world."""
        return SiteWorld(self)

    def _task(self, site: Site, goal: Goal, split: str) -> Task | None:
        task = self._make(site, goal)
        return task if split in ("family", "wording") or _is_gate(task) == (split == "gate") else None

    def _make(self, site: Site, goal: Goal) -> Task:
        config: dict[str, Json] = {"site": site.name, **asdict(goal), "things": list(goal.things)}
        digest = hashlib.sha256(json.dumps([self._name, config], sort_keys=True).encode()).hexdigest()[:16]
        return Task(
            id=f"{self._name}-{digest}",
            text=wordings(site, goal)[goal.wording],
            world=self._name,
            family=site.name,
            config=config,
            max_steps=MAX_STEPS,
        )

    def _read(self, config: Mapping[str, Json]) -> tuple[Site, Goal]:
        site = make_site(self._name, check_name(str(config.get("site", ""))))
        things, wording = config.get("things"), config.get("wording", 0)
        if isinstance(things, list) and isinstance(wording, int) and 0 <= wording < 3:
            wanted = (config.get("family"), tuple(map(str, things)), config.get("target"))
            for goal in goals(site):
                if (goal.family, goal.things, goal.target) == wanted:
                    return site, replace(goal, wording=wording)
        raise BadInput(f"{dict(config)!r} is no task of the {self._name}; list some with its `tasks`")


def _is_gate(task: Task) -> bool:
    return int(task.id[-2:], 16) % 4 == 0


def _offers(site: Site, split: str) -> list[Goal]:
    held_out = split == "family"
    found = [goal for goal in goals(site) if (goal.family in HELD_OUT_FAMILIES) == held_out]
    wording = 3 - HELD_OUT_WORDINGS if split == "wording" else 0
    return [replace(goal, wording=wording) for goal in found]


def _balanced(offers: list[Task], n: int, rng: random.Random) -> list[Task]:
    """Families take turns, so that the many `put` tasks do not crowd out the rest."""
    by_family: dict[str, list[Task]] = {}
    for task in offers:
        by_family.setdefault(str(task.config["family"]), []).append(task)
    for tasks in by_family.values():
        rng.shuffle(tasks)
    chosen: list[Task] = []
    while len(chosen) < n:
        turn = [tasks.pop() for tasks in by_family.values() if tasks]
        rng.shuffle(turn)
        chosen += turn
    return chosen[:n]


class SiteWorld:
    """One task at one site; implements World, Snapshots and Expert."""

    def __init__(self, tasks: SiteCatalogue):
        self._catalogue = tasks
        self._sim: Simulation | None = None

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool `act`."""
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        """Start the task. Raises BadInput when its configuration is none of this world's."""
        self._sim = self._start(task)
        return Observation(self._sim.opening())

    async def step(self, call: ToolCall) -> Observation:
        """Do one command."""
        command = call.arguments.get("command")
        if call.name != ACT.name or not isinstance(command, str):
            return Observation(
                f"there is no tool {call.name!r} with {call.arguments!r}; use act(command)", ok=False
            )
        return self._running().step(command)

    def snapshot(self) -> Json:
        """The state of the task as JSON."""
        return self._running().dump()  # type: ignore[return-value]  # asdict of JSON fields

    def restore(self, task: Task, snapshot: Json) -> None:
        """Back to where `snapshot` was taken."""
        if not isinstance(snapshot, dict):
            raise WorldError(f"a snapshot of a site is a JSON object, not {type(snapshot).__name__}")
        self._sim = self._start(task)
        self._sim.state = State(**copy.deepcopy(snapshot))  # type: ignore[arg-type]

    def expert(self) -> tuple[str, ...]:
        """The next command on a shortest way, with everything the site hides known."""
        sim = self._running()
        if sim.state.over:
            return ()
        return (Teacher(sim, full_knowledge(sim.site)).decide()[1],)

    def _start(self, task: Task) -> Simulation:
        site, goal = self._catalogue._read(task.config)
        voices = 3 if goal.wording >= 3 - HELD_OUT_WORDINGS else 2
        return Simulation(site, goal, max_steps=task.max_steps, wording_seed=task.id, wordings=voices)

    def _running(self) -> Simulation:
        if self._sim is None:
            raise WorldError("no task is running; call reset first")
        return self._sim
