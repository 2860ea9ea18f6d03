"""Planning problems of our own in four known domains, told in words; the oracle is a planner.

The choice of domains is AgentBoard's (Ma et al. 2024, arXiv 2401.13178); they are those of the planning
competitions, written anew. `pip install unified-planning`: its simulator keeps the state. Deviations: what
an action changes is told, the whole state on `look`; commands that do something are listed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from agent.types import Observation, Task, ToolSpec
from agent.worlds.apart import need
from agent.worlds.game import act_tool, task_id
from agent.worlds.pddl.problems import DOMAINS, LEVELS, problem
from agent.worlds.pddl.words import told
from memory.errors import BadInput, WorldError
from memory.types import Json, ToolCall

NAME = "pddl"
SPLITS = ("train", "valid", "test")
SEEDS = range(1_000_000)
MAX_STEPS = {1: 40, 2: 60, 3: 100}
"""By level: about twice the longest way that the planner found."""
LOOK = "look"
_DRAWS = 200
"""Seeds tried for each task that is asked for; the smallest domain has 40 problems of level 1."""
_FOLDER = Path(__file__).parent


class Pddl:
    """A Catalogue: sites are the domains. Splits are by what a problem says, so that none is in two."""

    name = NAME

    def __init__(self, levels: Sequence[int] = LEVELS) -> None:
        """`levels` are those that tasks are drawn of. Raises BadInput when the package is missing."""
        need("unified_planning", NAME)
        self._levels = tuple(levels)

    def sites(self) -> tuple[str, ...]:
        """The domains."""
        return tuple(DOMAINS)

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different problems of a domain, of all levels alike. Raises BadInput."""
        if split not in SPLITS:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        if n < 1:
            raise BadInput(f"n is {n}; give 1 or more")
        _domain(site)
        rng = random.Random(f"{NAME}/{site}/{split}/{seed}")
        found: dict[str, Task] = {}
        for draw in range(_DRAWS * n):
            level, drawn = self._levels[draw % len(self._levels)], rng.choice(SEEDS)
            says = _says(site, level, drawn)
            if says not in found and _split(says) == split:
                found[says] = _task(site, level, drawn)
            if len(found) == n:
                break
        if len(found) < n:
            raise BadInput(
                f"n is {n}; {len(found)} different problems of {site!r} were found in split {split!r}"
            )
        return tuple(found.values())

    def all(self, site: str) -> tuple[Task, ...]:
        """The problems of the first 60 seeds, each once; there is no end of seeds. Raises BadInput."""
        _domain(site)
        found: dict[str, Task] = {}
        for level in self._levels:
            for seed in SEEDS[:60]:
                found.setdefault(_says(site, level, seed), _task(site, level, seed))
        return tuple(found.values())

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of a `domain`, a `level` and a `seed`. Raises BadInput."""
        return _task(*_read(config))

    def split_of(self, task: Task) -> str:
        """By what its problem says: of ten, eight train. Raises BadInput."""
        return _split(_says(*_read(task.config)))

    def make(self) -> PddlWorld:
        """A fresh world."""
        return PddlWorld()

    def gold(self, task: Task) -> tuple[str, ...]:
        """A planner's way to the goal, for measuring and teaching alone; it may take minutes at level 3.

        `pip install up-pyperplan`; empty where it finds none.
        """
        need("up_pyperplan", NAME)
        from unified_planning.shortcuts import OneshotPlanner

        with OneshotPlanner(name="pyperplan") as planner:
            plan = planner.solve(_parsed(*_read(task.config))).plan
        return () if plan is None else tuple(map(_command, plan.actions))


class PddlWorld:
    """One problem at a time; implements World and Choices."""

    def __init__(self) -> None:
        self._problem: Any = None
        self._simulator: Any = None
        self._state: Any = None
        self._task: Task | None = None
        self._steps = 0
        self._is_over = False

    @property
    def score(self) -> float:
        """Share of the goal's facts that hold, 0..1; for measuring alone."""
        if self._state is None:
            return 0.0
        held = [self._state.get_value(one).bool_constant_value() for one in _atoms(self._problem.goals)]
        return float(sum(held) / len(held))

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool; what does something now is listed while a problem is on."""
        return (
            act_tool("act", "Do one thing of those listed; `look` tells all that holds.", self.commands()),
        )

    def commands(self) -> tuple[str, ...]:
        """Those that do something now, in the order of their letters, and `look`; empty before `reset`."""
        if self._task is None:
            return ()
        found = self._simulator.get_applicable_actions(self._state)
        # Going from a room to itself changes nothing.
        told = (
            _command_of(action, objects) for action, objects in found if len(set(objects)) == len(objects)
        )
        return (*sorted(told), LOOK)

    async def reset(self, task: Task) -> Observation:
        """Begin. Raises BadInput when the configuration is none of this world's."""
        from unified_planning.shortcuts import SequentialSimulator

        self._task = None
        self._problem = _parsed(*_read(task.config))
        self._simulator = SequentialSimulator(self._problem)
        self._state = self._simulator.get_initial_state()
        self._task, self._steps, self._is_over = task, 0, False
        verbs = "; ".join(
            " ".join([action.name, *(one.type.name.upper() for one in action.parameters)])
            for action in self._problem.actions
        )
        return Observation(f"{self._look()}\nGoal: {_goal(self._problem)}\nCommands: {verbs}; {LOOK}.")

    async def step(self, call: ToolCall) -> Observation:
        """Do one action. Raises WorldError without a task, or when it is over."""
        if self._task is None:
            raise WorldError("no task is running; call reset first")
        command = call.arguments.get("command")
        if call.name != "act" or not isinstance(command, str):
            said = f"there is no tool {call.name!r} with {call.arguments!r}; use act(command)"
            return Observation(said, ok=False)
        if self._is_over:
            raise WorldError(f"the task {self._task.id} is over; call reset first")
        self._steps += 1
        text, ok = self._done(command)
        is_won = bool(self._simulator.is_goal(self._state))
        if not is_won and self._steps < self._task.max_steps:
            return Observation(text, ok)
        self._is_over = True
        return Observation(text, ok, True, "success" if is_won else "failure", self.score)

    def _done(self, command: str) -> tuple[str, bool]:
        """What is said of a command, after doing it; and did it do anything?"""
        name, *words = command.split() or [""]
        if command == LOOK:
            return self._look(), True
        if not self._problem.has_action(name):
            verbs = ", ".join(action.name for action in self._problem.actions)
            return f"Nothing happens: there is no command {name!r}; there are {verbs}, {LOOK}.", False
        action = self._problem.action(name)
        sorts = [one.type.name for one in action.parameters]
        if len(words) != len(sorts):
            return f"Nothing happens: {name} takes {len(sorts)} words, {' '.join(sorts)}.", False
        objects = []
        for word, parameter in zip(words, action.parameters, strict=True):
            known = [one.name for one in self._problem.objects(parameter.type)]
            if word not in known:
                return (
                    f"Nothing happens: {word!r} is no {parameter.type.name}; there are {', '.join(known)}.",
                    False,
                )
            objects.append(self._problem.object(word))
        if missing := self._missing(action, objects):
            return f"Nothing happens: it is not so that {missing}.", False
        before = set(self._facts())
        self._state = self._simulator.apply(self._state, action, objects)
        after = set(self._facts())
        no_more = f" No more: {'; '.join(sorted(before - after))}." if before - after else ""
        return f"Now: {'; '.join(sorted(after - before)) or 'all as it was'}.{no_more}", True

    def _missing(self, action: Any, objects: Sequence[Any]) -> str:
        """What an action would need that does not hold, in words."""
        by = dict(zip((parameter.name for parameter in action.parameters), objects, strict=True))
        for atom in _atoms(action.preconditions):
            arguments = tuple(by[str(one)] for one in atom.args)
            if not self._state.get_value(atom.fluent()(*arguments)).bool_constant_value():
                return told(atom.fluent().name, tuple(one.name for one in arguments))
        return ""

    def _look(self) -> str:
        return f"It is so that {'; '.join(self._facts())}."

    def _facts(self) -> Iterator[str]:
        """All that holds, in the order of the domain."""
        for fluent in self._problem.explicit_initial_values | self._problem.initial_values:
            if self._state.get_value(fluent).bool_constant_value():
                yield told(fluent.fluent().name, tuple(str(one) for one in fluent.args))


def _atoms(formulas: Sequence[Any]) -> list[Any]:
    """The facts of a conjunction."""
    return [atom for one in formulas for atom in (one.args if one.is_and() else (one,))]


def _goal(parsed: Any) -> str:
    atoms = (told(one.fluent().name, tuple(str(arg) for arg in one.args)) for one in _atoms(parsed.goals))
    return "; ".join(atoms)


def _command(step: Any) -> str:
    return _command_of(step.action, step.actual_parameters)


def _command_of(action: Any, objects: Sequence[Any]) -> str:
    return " ".join([action.name, *map(str, objects)])


def _says(domain: str, level: int, seed: int) -> str:
    """A problem without its name."""
    return problem(domain, level, seed).partition("\n")[2]


def _split(says: str) -> str:
    return {8: "valid", 9: "test"}.get(int(sha256(says.encode()).hexdigest(), 16) % 10, "train")


def _domain(name: str) -> str:
    if name not in DOMAINS:
        raise BadInput(f"no domain is called {name!r}; there are {', '.join(DOMAINS)}")
    return name


@cache
def _rules(domain: str) -> str:
    return (_FOLDER / f"{domain}.pddl").read_text(encoding="utf-8")


def _parsed(domain: str, level: int, seed: int) -> Any:
    from unified_planning.environment import get_environment
    from unified_planning.io import PDDLReader

    get_environment().credits_stream = None
    return PDDLReader().parse_problem_string(_rules(domain), problem(domain, level, seed))


def _task(domain: str, level: int, seed: int) -> Task:
    config: dict[str, Json] = {"domain": domain, "level": level, "seed": seed}
    text = f"make it so that {_goal(_parsed(domain, level, seed))}"
    return Task(task_id(NAME, config), text, NAME, domain, config, MAX_STEPS[level])


def _read(config: Mapping[str, Json]) -> tuple[str, int, int]:
    match dict(config):
        case {"domain": str(domain), "level": int(level), "seed": int(seed)} if (
            level in LEVELS and seed in SEEDS
        ):
            return _domain(domain), level, seed
    raise BadInput(
        f"{dict(config)!r} is no task of {NAME}: it has `domain`, a `level` from 1 to 3 and a `seed` from"
        f" 0 to {SEEDS[-1]}"
    )
