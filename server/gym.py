"""Worlds of ours, served over AgentGym's HTTP API to whoever speaks it; `agent/worlds/gym.py` consumes.

Source: Xi et al. 2024 (AgentGym), arXiv 2406.04151. As its servers do: environments by number, tasks by
number, errors as `{"error": …}` with status 200. Of its dialects ours is ScienceWorld's, which tells the task
apart from the first observation, with ALFWorld's `available_actions` where a world knows them. Beside these
`ok`, `outcome` and `rule` are told, for which AgentGym has no word. That API knows no keys: it is for one's
own machine.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, Field

from agent.prompt import parse_action
from agent.types import Choices, Observation, Task, ToolSpec, World
from memory.errors import ApprenticeError, NotFound
from memory.types import ToolCall

MOST = 256
"""Environments at a time; older clients close none, so the one that was longest idle makes room."""


class ResetIn(BaseModel):
    """Which task an environment starts."""

    id: int
    data_idx: Annotated[int, Field(ge=0, validation_alias=AliasChoices("data_idx", "game"))] = 0


class StepIn(BaseModel):
    """What is done in an environment."""

    id: int
    action: Annotated[str, Field(max_length=10_000)]


class CloseIn(BaseModel):
    """Which environment is no longer needed."""

    id: int


class Told(BaseModel):
    """What an environment says."""

    id: int
    observation: str
    reward: float = 0.0
    """Of the whole task, 0 until it is over."""
    done: bool = False
    task_description: str | None = None
    available_actions: list[str] | None = None
    ok: bool | None = None
    outcome: str | None = None
    rule: str | None = None


@dataclass(slots=True)
class _Room:
    world: World
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    told: Told | None = None


class Rooms:
    """The environments of one server: its tasks by number, its worlds by another."""

    def __init__(self, make: Callable[[], World], tasks: Sequence[Task]) -> None:
        self._make, self._tasks = make, tuple(tasks)
        self._rooms: OrderedDict[int, _Room] = OrderedDict()
        self._made = 0

    def create(self) -> int:
        """A fresh environment."""
        if len(self._rooms) >= MOST:
            self._rooms.popitem(last=False)
        self._made += 1
        self._rooms[self._made] = _Room(self._make())
        return self._made

    async def reset(self, number: int, index: int) -> Told:
        """Start a task. Raises NotFound, BadInput, WorldError."""
        if index >= len(self._tasks):
            raise NotFound(f"there is no task {index}; there are {len(self._tasks)}, from 0")
        room, task = self._room(number), self._tasks[index]
        async with room.lock:
            room.told = None
            seen = await room.world.reset(task)
            room.told = _told(number, room.world, seen, task.text)
        return room.told

    async def step(self, number: int, action: str) -> Told:
        """Do one thing. Raises NotFound, WorldError."""
        room = self._room(number)
        async with room.lock:
            if room.told is None or room.told.done:
                raise NotFound(f"nothing goes on in environment {number}; reset it")
            call = call_of(action, room.world.tools())
            seen = await room.world.step(call) if call else _lost(action, room.world.tools())
            room.told = _told(number, room.world, seen)
        return room.told

    def told(self, number: int) -> Told:
        """What was said last. Raises NotFound."""
        room = self._room(number)
        if room.told is None:
            raise NotFound(f"nothing goes on in environment {number}; reset it")
        return room.told

    def close(self, number: int) -> None:
        """Let an environment go. Raises NotFound."""
        self._room(number)
        del self._rooms[number]

    def _room(self, number: int) -> _Room:
        if number not in self._rooms:
            raise NotFound(f"there is no environment {number}; create one")
        self._rooms.move_to_end(number)
        return self._rooms[number]


def call_of(action: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    """The call that a line means: `name {json}`, or the one argument of the one tool.

    >>> act = ToolSpec("act", "", {"type": "object", "properties": {"command": {"type": "string"}}})
    >>> call_of("take mug", [act]).arguments, call_of('act {"command": "look"}', [act]).arguments
    ({'command': 'take mug'}, {'command': 'look'})
    """
    _, written = parse_action(f"Action: {action.strip()}", tools, call_id="gym")
    if written is not None:
        return written
    properties = tools[0].parameters.get("properties") if len(tools) == 1 else None
    if not isinstance(properties, dict) or len(properties) != 1:
        return None
    return ToolCall("gym", tools[0].name, {next(iter(properties)): action.strip()})


def _lost(action: str, tools: Sequence[ToolSpec]) -> Observation:
    names = ", ".join(tool.name for tool in tools)
    return Observation(f"{action[:80]!r} is no call; write `name {{json}}` with one of {names}", ok=False)


def _told(number: int, world: World, seen: Observation, text: str | None = None) -> Told:
    reward = seen.reward if seen.reward is not None else float(seen.outcome == "success")
    offered = list(world.commands()) if isinstance(world, Choices) and world.commands() else None
    return Told(
        id=number,
        observation=seen.text,
        reward=reward if seen.done else 0.0,
        done=seen.done,
        task_description=text,
        available_actions=offered,
        ok=seen.ok,
        outcome=seen.outcome,
        rule=seen.rule,
    )


def create_gym(name: str, make: Callable[[], World], tasks: Sequence[Task]) -> FastAPI:
    """An application that serves these tasks."""
    rooms = Rooms(make, tasks)
    app = FastAPI(title=f"{name} over AgentGym's API", description=__doc__)

    @app.exception_handler(ApprenticeError)
    async def refuse(_request: Request, error: ApprenticeError) -> JSONResponse:
        return JSONResponse({"error": str(error)})

    @app.get("/", summary="Which environment this is")
    async def hello() -> str:
        return f"This is environment {name}."

    @app.post("/create", summary="A fresh environment")
    async def create(_body: Annotated[Mapping[str, object] | None, Body()] = None) -> Mapping[str, int]:
        return {"id": rooms.create()}

    @app.post("/reset", summary="Start a task", response_model_exclude_none=True)
    async def reset(body: ResetIn) -> Told:
        return await rooms.reset(body.id, body.data_idx)

    @app.post("/step", summary="Do one thing", response_model_exclude_none=True)
    async def step(body: StepIn) -> Told:
        return await rooms.step(body.id, body.action)

    @app.post("/close", summary="Let an environment go")
    async def close(body: CloseIn) -> Mapping[str, bool]:
        rooms.close(body.id)
        return {"closed": True}

    @app.get("/observation", summary="What was said last")
    async def observation(id: int) -> str:
        return rooms.told(id).observation

    @app.get("/available_actions", summary="What does something now")
    async def actions(id: int) -> list[str]:
        return rooms.told(id).available_actions or []

    @app.get("/detail", summary="All that was said last", response_model_exclude_none=True)
    async def detail(id: int) -> Told:
        return rooms.told(id)

    return app
