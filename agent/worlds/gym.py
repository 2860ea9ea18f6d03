"""Environments that others serve over AgentGym's HTTP API, as worlds of ours; `server/gym.py` serves.

Source: Xi et al. 2024 (AgentGym), arXiv 2406.04151: `POST /create`, `/reset`, `/step`, `/close`, environments
by number. The rest differs from server to server: where a task is described, whether a score counts to 1 or
to 100, by what name a task is asked for; that is told here once for each server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

import httpx

from agent.types import Observation, Task, ToolSpec
from agent.worlds.game import act_tool, task_id
from memory.errors import BadInput, WorldError
from memory.types import Channel, Json, Outcome, ToolCall

MAX_STEPS = 50
TIMEOUT_S = 300.0
"""As AgentGym's own clients wait."""
ACT = act_tool("act", "Do one thing, in the words that this environment understands.")


@dataclass(frozen=True, slots=True)
class GymServer:
    """One server and what has to be known of it."""

    name: str
    """What the world is called here, as in `Task.world`."""
    url: str
    """E.g. `http://127.0.0.1:36001`."""
    splits: Mapping[str, range]
    """Numbers of its tasks by split; servers do not say how many they have."""
    index: str = "data_idx"
    """The field of `/reset` that takes a task's number; `game` at ALFWorld's."""
    beside: Mapping[str, Json] = field(default_factory=dict)
    """Other fields of `/reset`, such as `world_type` at ALFWorld's."""
    full: float = 1.0
    """The score, or where none is told the reward, of a task that is done; 100 at ScienceWorld's."""


class Gym:
    """A Catalogue: one site, the server's name; its tasks are asked of the server."""

    def __init__(self, server: GymServer, *, max_steps: int = MAX_STEPS) -> None:
        """Nothing is asked yet. Raises BadInput when the address is none."""
        if not server.url.startswith(("http://", "https://")):
            raise BadInput(
                f"{server.url!r} is no address of an AgentGym server; begin with http:// or https://"
            )
        self._server, self._max_steps = server, max_steps
        self._line = _Line(server.url)

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        return self._server.name

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different tasks, each opened once to read what it is. Raises BadInput, WorldError."""
        self._check(site)
        if split not in self._server.splits:
            raise BadInput(f"no split is called {split!r}; there are {', '.join(self._server.splits)}")
        numbers = list(self._server.splits[split])
        if not 1 <= n <= len(numbers):
            raise BadInput(f"n is {n}; {site!r} has {len(numbers)} tasks in split {split!r}")
        random.Random(f"{self.name}/{split}/{seed}").shuffle(numbers)
        return self._tasks(numbers[:n])

    def all(self, site: str) -> tuple[Task, ...]:
        """Every task of every split."""
        self._check(site)
        return self._tasks([number for numbers in self._server.splits.values() for number in numbers])

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of what `/reset` is sent. Raises BadInput, WorldError."""
        return self._tasks([self._number(config)])[0]

    def split_of(self, task: Task) -> str:
        """The split its number is in. Raises BadInput."""
        number = self._number(task.config)
        return next(split for split, numbers in self._server.splits.items() if number in numbers)

    def make(self) -> GymWorld:
        """A fresh world, with an environment of its own at the server."""
        return GymWorld(self._server)

    def _tasks(self, numbers: list[int]) -> tuple[Task, ...]:
        place = self._line.create()
        try:
            return tuple(self._task(place, number) for number in numbers)
        finally:
            self._line.close(place)

    def _task(self, place: _Place, number: int) -> Task:
        config = {**self._server.beside, self._server.index: number}
        told = self._line.ask("reset", place, config)
        text = told.get("task_description") or told.get("observation")
        return Task(task_id(self.name, config), str(text), self.name, self.name, config, self._max_steps)

    def _check(self, site: str) -> None:
        if site != self.name:
            raise BadInput(f"no site is called {site!r}; the one of this server is {self.name!r}")

    def _number(self, config: Mapping[str, Json]) -> int:
        number = config.get(self._server.index)
        if isinstance(number, int) and any(number in numbers for numbers in self._server.splits.values()):
            return number
        raise BadInput(f"{dict(config)!r} is no task of {self.name!r}; `{self._server.index}` is its number")


class GymWorld:
    """One environment of a server; implements World."""

    def __init__(self, server: GymServer) -> None:
        self._server, self._line = server, _Line(server.url)
        self._place: _Place | None = None
        self._task: Task | None = None
        self._steps = 0
        self._commands: tuple[str, ...] = ()

    def commands(self) -> tuple[str, ...]:
        """Those that do something now, where the server says so."""
        return self._commands

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool."""
        return (act_tool(ACT.name, ACT.description, self._commands) if self._commands else ACT,)

    def channel(self, tool: str) -> Channel:  # noqa: ARG002 - one tool, one server
        """What a stranger's server says is not ours."""
        return "external"

    async def reset(self, task: Task) -> Observation:
        """Start a task. Raises WorldError when the server is not there or refuses it."""
        if self._place is None:
            self._place = await asyncio.to_thread(self._line.create)
        self._task = None
        told = await asyncio.to_thread(self._line.ask, "reset", self._place, task.config)
        self._task, self._steps = task, 0
        return Observation(self._read(told))

    async def step(self, call: ToolCall) -> Observation:
        """Do one thing. Raises WorldError when no task runs or the server failed."""
        task, place = self._task, self._place
        if task is None or place is None:
            raise WorldError("no task is running; call reset first")
        command = call.arguments.get("command")
        if call.name != ACT.name or not isinstance(command, str):
            return Observation(f"there is no tool {call.name!r}; use act(command)", ok=False)
        told = await asyncio.to_thread(self._line.ask, "step", place, {"action": command})
        self._steps += 1
        text, ok, rule = self._read(told), told.get("ok"), told.get("rule")
        seen = Observation(text, ok if isinstance(ok, bool) else None, rule=str(rule) if rule else None)
        if told.get("done") is not True and self._steps < task.max_steps:
            return seen
        self._task = None
        score = self._score(told)
        outcome = _outcome(told.get("outcome")) or ("success" if score >= 1.0 else "failure")
        return Observation(text, seen.ok, done=True, outcome=outcome, reward=score, rule=seen.rule)

    def close(self) -> None:
        """Give the environment back."""
        if self._place is not None:
            self._line.close(self._place)
            self._place = self._task = None

    def _read(self, told: Mapping[str, Json]) -> str:
        offered = told.get("available_actions")
        self._commands = tuple(map(str, offered)) if isinstance(offered, list) else ()
        return str(told.get("observation", ""))

    def _score(self, told: Mapping[str, Json]) -> float:
        value = told.get("score", told.get("reward"))
        score = value / self._server.full if isinstance(value, int | float) else 0.0
        return min(1.0, max(0.0, score))


@dataclass(frozen=True, slots=True)
class _Place:
    """An environment at the server: servers call its number `id` or `env_id`."""

    field: str
    number: Json


class _Line:
    """Requests to one server. Everything that goes wrong is a WorldError that names the address."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def create(self) -> _Place:
        """An environment."""
        told = self._post("create", {})
        for name in ("id", "env_id"):
            if name in told:
                return _Place(name, told[name])
        raise WorldError(f"{self._client.base_url} made an environment without a number: {told!r}")

    def ask(self, verb: str, place: _Place, body: Mapping[str, Json]) -> dict[str, Json]:
        """What it answers about an environment."""
        return self._post(verb, {**body, place.field: place.number})

    def close(self, place: _Place) -> None:
        """Older servers know no way to close; they are left as they are."""
        try:
            self.ask("close", place, {})
        except WorldError:
            return

    def _post(self, verb: str, body: Mapping[str, Json]) -> dict[str, Json]:
        where = f"the AgentGym server at {self._client.base_url}"
        try:
            answer = self._client.post(verb, json=dict(body))
            answer.raise_for_status()
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise WorldError(f"{where} did not answer /{verb}: {error}") from error
        # Some create with a bare number.
        told = {"id": told} if isinstance(told, int) else told
        if not isinstance(told, dict) or "error" in told:
            raise WorldError(f"{where} refused /{verb}: {told!r}")
        return told


def _outcome(told: Json) -> Outcome | None:
    return next((one for one in get_args(Outcome) if one == told), None)
