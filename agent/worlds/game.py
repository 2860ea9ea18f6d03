"""Text games of others, played apart: one command a step, an end, and how far it got."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from agent.types import Observation, Task, ToolSpec
from agent.worlds.apart import Apart
from memory.errors import WorldError
from memory.types import Json, Outcome, ToolCall


@dataclass(frozen=True, slots=True)
class Turn:
    """What a game answers."""

    text: str
    score: float
    """How much of the task is done, 0..1."""
    is_won: bool = False
    is_over: bool = False
    commands: tuple[str, ...] = ()
    """Those that do something now."""

    def told(self) -> Json:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, told: Json) -> Turn:
        """Back from JSON. Raises WorldError when it is none."""
        match told:
            case {"text": str(text), "score": int() | float() as score, "commands": list(commands), **flags}:
                won, over = flags.get("is_won") is True, flags.get("is_over") is True
                return cls(text, float(score), won, over, tuple(map(str, commands)))
        raise WorldError(f"an engine told {told!r}, which is no turn of a game")


@dataclass(frozen=True, slots=True)
class Rules:
    """How a kind of game is played here."""

    module: str
    """Of its engine, which knows the verbs `start` and `act`; both tell a `Turn`."""
    start: tuple[str, ...]
    """Fields of `Task.config` that the engine starts from."""
    act: ToolSpec
    """Its one tool, with one argument `command`."""
    refusals: tuple[str, ...]
    """How it begins to say that a command did nothing."""
    is_offered: bool
    """Are the commands that do something listed with the tool? Else any text may be tried."""
    games: int
    """After so many the engine is started afresh; for those that leak."""


class GameWorld:
    """One game at a time; implements World. The way to win is nowhere in it, nor in its engine's answers."""

    def __init__(self, rules: Rules, places: Mapping[str, Json] | None = None) -> None:
        """`places` are what the engine starts from beside the task, before its fields."""
        self._rules, self._places = rules, tuple((places or {}).values())
        self._engine = Apart(rules.module)
        self._games = 0
        self._steps = 0
        self._task: Task | None = None
        self._turn = Turn("", 0.0)

    @property
    def score(self) -> float:
        """How much of the task is done, 0..1; for measuring alone."""
        return self._turn.score

    @property
    def engine(self) -> Apart:
        """What plays it."""
        return self._engine

    def commands(self) -> tuple[str, ...]:
        """Those that do something now, for whoever chooses among them; empty before `reset`."""
        return self._turn.commands

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool."""
        act = self._rules.act
        if not self._rules.is_offered or not self._turn.commands:
            return (act,)
        return (act_tool(act.name, act.description, self._turn.commands),)

    async def reset(self, task: Task) -> Observation:
        """Start a game. Raises BadInput when it is none of this kind, WorldError when the engine broke."""
        if self._games >= self._rules.games:
            await asyncio.to_thread(self._engine.close)
            self._games = 0
        self._games += 1
        self._task = None
        fields = (task.config.get(name) for name in self._rules.start)
        self._turn = Turn.of(await asyncio.to_thread(self._engine.ask, "start", *self._places, *fields))
        self._task, self._steps = task, 0
        return Observation(self._turn.text)

    async def step(self, call: ToolCall) -> Observation:
        """Give one command. Raises WorldError when no game is on or the engine broke."""
        task = self._task
        if task is None:
            raise WorldError("no task is running; call reset first")
        command = call.arguments.get("command")
        if call.name != self._rules.act.name or not isinstance(command, str):
            told = f"there is no tool {call.name!r} with {call.arguments!r}; use act(command)"
            return Observation(told, ok=False)
        if self._turn.is_over or self._steps >= task.max_steps:
            raise WorldError(f"the task {task.id} is over; call reset first")
        self._turn = Turn.of(await asyncio.to_thread(self._engine.ask, "act", command))
        self._steps += 1
        ok = not self._turn.text.startswith(self._rules.refusals)
        if not self._turn.is_over and self._steps < task.max_steps:
            return Observation(self._turn.text, ok)
        outcome: Outcome = "success" if self._turn.is_won else "failure"
        return Observation(self._turn.text, ok, done=True, outcome=outcome, reward=self._turn.score)

    def close(self) -> None:
        """End the engine; it goes with this object anyhow."""
        self._task = None
        self._engine.close()


def act_tool(name: str, description: str, commands: tuple[str, ...] = ()) -> ToolSpec:
    """A tool that takes one command, any text or one of those listed."""
    command: dict[str, Json] = {"type": "string", "minLength": 1, "maxLength": 500}
    if commands:
        command = {"enum": list(commands)}
    parameters: dict[str, Json] = {
        "type": "object",
        "properties": {"command": command},
        "required": ["command"],
        "additionalProperties": False,
    }
    return ToolSpec(name, description, parameters)


def task_id(world: str, config: Mapping[str, Json]) -> str:
    """The id of a task: its world, and the hash of its configuration."""
    digest = hashlib.sha256(json.dumps([world, dict(config)], sort_keys=True).encode()).hexdigest()
    return f"{world}-{digest[:16]}"
