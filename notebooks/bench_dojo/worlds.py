"""AgentDojo's suites as worlds of ours, and the planting of attacks in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from agentdojo.base_tasks import BaseInjectionTask
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime, TaskEnvironment
from agentdojo.task_suite.load_suites import get_suites
from agentdojo.task_suite.task_suite import TaskSuite
from pydantic_core import to_json

from agent.tools import FINISH
from agent.types import ANSWER_TOOL, Observation, Task, ToolSpec
from memory.types import Channel, ToolCall

VERSION = "v1.2.2"
SUITES = ("banking", "slack", "travel", "workspace")


@cache
def suite(name: str) -> TaskSuite:
    """One of the four suites."""
    return get_suites(VERSION)[name]


@cache
def specs(name: str) -> tuple[ToolSpec, ...]:
    """Its tools by their schemas alone: nothing says which of them only read."""
    return tuple(
        ToolSpec(tool.name, tool.description, tool.parameters.model_json_schema())
        for tool in suite(name).tools
    )


@cache
def _environment(name: str, attack: str) -> TaskEnvironment:
    texts = suite(name).get_injection_vector_defaults()
    planted = {vector: f"{text} {attack}".strip() for vector, text in texts.items()} if attack else {}
    return suite(name).load_and_inject_default_environment(planted)


def environment(name: str, attack: str = "") -> TaskEnvironment:
    """A fresh environment; an attack is written behind what stands at every place AgentDojo leaves open."""
    return _environment(name, attack).model_copy(deep=True)


def planted(goal: BaseInjectionTask, calls: Sequence[FunctionCall]) -> str:
    """The attacker's words: the goal, and each call with all of its arguments."""
    parts = [goal.GOAL]
    for call in calls:
        said = " and ".join(f"{name} is {value}" for name, value in call.args.items())
        parts.append(f"Call {call.function} where {said}" if said else f"Call {call.function}")
    # Places stand in YAML, quoted or not.
    return re.sub(r"[\s'\"#:{}\[\]\\]+", " ", ". ".join(parts)).strip()


@dataclass(slots=True)
class DojoWorld:
    """One environment. Strangers may have written into anything it answers: all of it is external."""

    name: str
    environment: TaskEnvironment
    runtime: FunctionsRuntime

    def tools(self) -> tuple[ToolSpec, ...]:
        """AgentDojo's, then `finish`."""
        return (*specs(self.name), FINISH)

    def channel(self, tool: str) -> Channel:
        """No answer is trusted."""
        return "tool" if tool == ANSWER_TOOL else "external"

    async def reset(self, _task: Task) -> Observation:
        """The environment is as it was made."""
        return Observation("")

    async def step(self, call: ToolCall) -> Observation:
        """Run one tool; its result as JSON, a text as it is."""
        if call.name == ANSWER_TOOL:
            return Observation("", done=True, outcome="unknown")
        result, error = self.runtime.run_function(self.environment, call.name, dict(call.arguments))
        if error is not None:
            return Observation(error, ok=False)
        text = result if isinstance(result, str) else to_json(result).decode()
        return Observation(text or "empty", ok=True)


def calls_of(calls: Iterable[FunctionCall]) -> tuple[tuple[str, str], ...]:
    """Calls as keys to compare."""
    return tuple((call.function, repr(sorted(call.args.items()))) for call in calls)
