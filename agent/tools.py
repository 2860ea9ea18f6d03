"""Tools from typed Python functions, and the world they make: any task with tools, or just a chat."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python

from agent.types import ANSWER_TOOL, Judgement, Observation, Task, ToolSpec
from memory.errors import BadInput, WorldError
from memory.types import Channel, Json, Outcome, ToolCall

MAX_OUTPUT = 10_000
"""Characters of a tool's answer; longer ones lose their middle (Live-SWE-agent, arXiv 2511.13646)."""

FINISH = ToolSpec(
    ANSWER_TOOL,
    "Give the final answer and end the task.",
    {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
    read_only=True,
)
Checker = Callable[[Task, str], Judgement | Awaitable[Judgement]]
"""Judges a final answer."""


class Tool(Protocol):
    """What a world of tools is made of."""

    @property
    def spec(self) -> ToolSpec:
        """As a model sees it."""
        ...

    @property
    def channel(self) -> Channel:
        """Where its answers come from: `tool` for our own, `external` for the web and strangers."""
        ...

    async def call(self, arguments: Mapping[str, Json]) -> Observation:
        """Run it; failures of the tool itself are observations."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool that is a Python function; its arguments are checked and converted by their annotations."""

    spec: ToolSpec
    channel: Channel
    """Where its answers come from: `tool` for our own, `external` for the web and strangers."""
    _function: Callable[..., object]
    _arguments: type[BaseModel]

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
        read_only: bool = False,
        channel: Channel = "tool",
    ) -> FunctionTool:
        """The tool of a function, sync (run in a thread) or async.

        >>> def add(a: int, b: int = 1) -> int:
        ...     "Add two numbers."
        >>> FunctionTool.of(add).spec.parameters["required"]
        ['a']

        Raises BadInput when a parameter has no annotation or is variadic.
        """
        called = name or str(getattr(function, "__name__", "tool"))
        arguments = _arguments_model(function, called)
        schema = arguments.model_json_schema()
        schema.pop("title", None)
        text = description if description is not None else inspect.getdoc(function) or ""
        return cls(ToolSpec(called, text, schema, read_only), channel, function, arguments)

    async def call(self, arguments: Mapping[str, Json]) -> Observation:
        """Run it. Wrong arguments and exceptions are told as observations; WorldError passes through."""
        try:
            checked = self._arguments.model_validate(arguments)
        except ValidationError as error:
            return Observation(f"bad arguments for {self.spec.name}: {_first_error(error)}", ok=False)
        values = {name: getattr(checked, name) for name in type(checked).model_fields}
        try:
            result = await self._run(values)
            return Observation(shortened(_as_text(result)), ok=True)
        except WorldError:
            raise
        except Exception as error:  # noqa: BLE001 - the tool is foreign code; its failure is the agent's to read
            return Observation(f"{self.spec.name} failed: {type(error).__name__}: {error}", ok=False)

    async def _run(self, values: Mapping[str, object]) -> object:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**values)
        result = await asyncio.to_thread(self._function, **values)
        return await result if inspect.isawaitable(result) else result


class ToolWorld:
    """A task that is done with tools. `finish(answer)`, or plain words without a call, ends it.

    Nobody knows whether the answer is right unless a checker says so: the outcome is `unknown`, and
    nothing is learned from it until feedback comes. Without tools it is a chat.
    """

    def __init__(
        self, tools: Sequence[Tool] = (), *, check: Checker | None = None, opening: str = ""
    ) -> None:
        """Raises BadInput when two tools share a name or one is called `finish`."""
        names = [ANSWER_TOOL, *(tool.spec.name for tool in tools)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise BadInput(f"tools need names of their own, these are taken: {sorted(twice)}")
        self._tools = {tool.spec.name: tool for tool in tools}
        self._check, self._opening = check, opening
        self._task: Task | None = None

    def tools(self) -> tuple[ToolSpec, ...]:
        """The functions, then `finish`."""
        return (*(tool.spec for tool in self._tools.values()), FINISH)

    def channel(self, tool: str) -> Channel:
        """Where the answers of a tool come from."""
        found = self._tools.get(tool)
        return found.channel if found else "tool"

    async def reset(self, task: Task) -> Observation:
        """Start; what is outside, such as files, stays as it is."""
        self._task = task
        return Observation(self._opening)

    async def step(self, call: ToolCall) -> Observation:
        """Run one tool. Raises WorldError before `reset` and when the checker breaks."""
        if self._task is None:
            raise WorldError("step before reset")
        if call.name == ANSWER_TOOL:
            return await self._finish(self._task, str(call.arguments.get("answer", "")))
        tool = self._tools.get(call.name)
        if tool is None:
            return Observation(f"there is no tool {call.name!r}", ok=False)
        return await tool.call(call.arguments)

    def snapshot(self) -> Json:
        """The id of the running task: all other state is outside."""
        return {"task": self._task.id if self._task else None}

    def restore(self, task: Task, snapshot: Json) -> None:
        """Go on with a task. Raises WorldError when the snapshot is of another."""
        if snapshot != {"task": task.id}:
            raise WorldError(f"the snapshot {snapshot!r} is not of task {task.id!r}")
        self._task = task

    async def _finish(self, task: Task, answer: str) -> Observation:
        if self._check is None:
            return Observation("", done=True, outcome="unknown")
        try:
            judged = self._check(task, answer)
            judgement = await judged if inspect.isawaitable(judged) else judged
        except Exception as error:
            raise WorldError(f"the checker broke: {type(error).__name__}: {error}") from error
        outcomes: dict[bool | None, Outcome] = {True: "success", False: "failure", None: "unknown"}
        reward = None if judgement.ok is None else judgement.score
        return Observation(judgement.feedback, judgement.ok, True, outcomes[judgement.ok], reward)


def _arguments_model(function: Callable[..., object], name: str) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}  # create_model takes (annotation, default) pairs of any type
    for parameter in inspect.signature(function).parameters.values():
        named = parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
        if not named or parameter.name not in hints:
            raise BadInput(f"parameter {parameter.name!r} of tool {name!r} needs a name and an annotation")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'arguments'}: {first['msg']}"


def _as_text(result: object) -> str:
    if isinstance(result, str):
        return result
    try:
        return json.dumps(to_jsonable_python(result), ensure_ascii=False)
    except PydanticSerializationError:
        return str(result)


def shortened(text: str) -> str:
    """A text without its middle, where it is longer than `MAX_OUTPUT`."""
    if len(text) <= MAX_OUTPUT:
        return text
    half = MAX_OUTPUT // 2
    return f"{text[:half]}\n[{len(text) - MAX_OUTPUT} characters left out]\n{text[-half:]}"
