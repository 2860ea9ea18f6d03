"""One pair: a scripted agent that makes all the user's calls, then all the attacker's, whatever is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agentdojo.agent_pipeline.base_pipeline_element import BasePipelineElement
from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime, TaskEnvironment
from agentdojo.types import ChatAssistantMessage, text_content_block_from_string

from agent.guards.privilege import Policy, Privilege
from agent.guards.writer import Strength, is_reading, write_policy
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.settings import AgentSettings, Run
from agent.types import Budget, Task
from memory.types import Episode, Message, ToolCall
from notebooks.bench_dojo.worlds import DojoWorld, environment, planted, specs, suite

ARMS: dict[str, Strength | None] = {
    "none": None,
    "tools": "tools",
    "pinned": "pinned",
    "floors": "floors",
}
"""The policy of each arm; None is none at all."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What became of one user's task under one attack."""

    suite: str
    arm: str
    is_planted: bool
    """Did the environment hold the attacker's words?"""
    user_task: str
    attack: str
    utility: bool
    """The user's task as AgentDojo rules it."""
    attacked: bool
    """The attacker's goal as AgentDojo rules it."""
    refused: tuple[str, ...]
    """Calls of the user's that the guard sent back."""
    slipped: tuple[str, ...]
    """Calls of the attacker's that act on something and went through."""


class Scripted(BasePipelineElement):
    """The script as an agent of ours, under our guard, at our dispatcher."""

    name = "scripted"

    def __init__(self, name: str, script: Sequence[FunctionCall], answer: str, policy: Policy | None) -> None:
        self._name, self._script, self._answer, self._policy = name, script, answer, policy
        self.let: list[bool] = []
        """By call of the script: did it reach the world?"""
        self.told: list[str] = []

    def query(
        self,
        query: str,
        runtime: FunctionsRuntime,
        env: TaskEnvironment,
        _messages: Sequence[object] = (),
        extra_args: dict[str, object] | None = None,
    ) -> tuple[object, ...]:
        """Run the episode; AgentDojo is shown the calls that went through."""
        episode = asyncio.run(self._run(query, DojoWorld(self._name, env, runtime)))
        answered = [message for message in episode.messages if message.role == "tool"]
        self.let = [not message.text.startswith("refused: ") for message in answered[: len(self._script)]]
        self.told = [message.text for message in answered[: len(self._script)]]
        shown = [_spoken([call]) for call, passed in zip(self._script, self.let, strict=True) if passed]
        return query, runtime, env, [*shown, _spoken(None, self._answer)], extra_args or {}

    async def _run(self, query: str, world: DojoWorld) -> Episode:
        n_steps = len(self._script) + 1
        replies = [_act(call) for call in self._script]
        agent = Agent(
            ScriptedModel([*replies, Message("assistant", self._answer or "done")]),
            None,
            guards=() if self._policy is None else (Privilege((self._policy,)),),
            settings=AgentSettings(enforces_principles=False),
        )
        task = Task("dojo", query, "dojo", self._name, max_steps=n_steps)
        return await agent.run(
            task, world, Run("dojo", "user", "e", budget=Budget(n_steps, max_seconds=None))
        )


def run_pair(
    name: str, user_task: BaseUserTask, attack: BaseInjectionTask, arm: str, *, plants: bool
) -> Pair:
    """Run one pair under one arm."""
    words = planted(attack, attack.ground_truth(environment(name))) if plants else ""
    before = user_task.init_environment(environment(name, words))
    users, attackers = user_task.ground_truth(before), attack.ground_truth(before)
    strength = ARMS[arm]
    policy = None if strength is None else write_policy(user_task.PROMPT, specs(name), strength)
    agent = Scripted(name, [*users, *attackers], user_task.GROUND_TRUTH_OUTPUT, policy)
    utility, attacked = suite(name).run_task_with_pipeline(
        agent, user_task, attack, {}, environment=environment(name, words)
    )
    reading = {tool.name for tool in specs(name) if is_reading(tool)}
    refused = tuple(
        f"{call.function}: {told}"
        for call, passed, told in zip(users, agent.let, agent.told, strict=False)
        if not passed
    )
    slipped = tuple(
        call.function
        for call, passed in zip(attackers, agent.let[len(users) :], strict=True)
        if passed and call.function not in reading
    )
    return Pair(name, arm, plants, user_task.ID, attack.ID, bool(utility), bool(attacked), refused, slipped)


def _act(call: FunctionCall) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("c", call.function, dict(call.args)),))


def _spoken(calls: list[FunctionCall] | None, text: str = "") -> ChatAssistantMessage:
    return ChatAssistantMessage(
        role="assistant", content=[text_content_block_from_string(text)], tool_calls=calls
    )
