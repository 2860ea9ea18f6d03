"""Four arms on frozen tasks: is the adapter better where it should be, and no worse elsewhere?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.loop import Agent
from agent.opening import AgentSettings, Run
from agent.types import Model, Task
from agent.worlds.catalogue import catalogue
from distill.stats import Interval, bootstrap_mean, paired_difference, sign_test, wilson
from distill.suites import Suite
from memory.core import Memory
from memory.errors import DistillError
from memory.types import Episode

Arm = Literal["base", "+memory", "+adapter", "+memory+adapter"]
ARMS: tuple[Arm, ...] = ("base", "+memory", "+adapter", "+memory+adapter")
NEVER_SEEN, NO_CHANGE = Interval(0.0, 0.0, 1.0), Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one arm did on one task."""

    task_id: str
    success: bool
    steps: int
    """A failure counts as the task's limit."""
    is_valid: bool
    """False when the world or the model broke: says nothing about the arm."""
    violations: int = 0
    """Rules of the world that were broken, and what its feedback calls `violations`."""
    tokens: int = 0
    """Of prompts and answers."""


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm on one suite."""

    success: Interval
    steps: Interval
    n: int
    n_broken: int
    violations: Interval = NEVER_SEEN
    """Share of attempts that broke a rule."""
    tokens_per_success: float | None = None
    """Tokens of all attempts for each success; None without any."""
    steps_per_success: float | None = None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """All arms on one suite, and the adapter against the base on the same tasks."""

    suite: Suite
    arms: Mapping[Arm, ArmResult]
    difference: Interval
    """Success of `+adapter` minus `base`."""
    n_pairs: int
    p_value: float
    """Of a gain this large by chance: exact sign test over tasks."""
    violations: Interval = NO_CHANGE
    """Share of attempts that broke a rule, `+adapter` minus `base`."""


@dataclass(frozen=True, slots=True)
class GateRun:
    """What the gate runs with."""

    namespace: str
    seed: int = 0
    concurrency: int = 32
    settings: AgentSettings = field(default_factory=AgentSettings)


async def run_suite(
    suite: Suite,
    tasks: Sequence[Task],
    models: tuple[Model, Model],
    memory: Memory,
    run: GateRun,
    on_done: Callable[[Arm], None] = lambda _: None,
) -> SuiteResult:
    """Every arm on every task; `models` are the base and the base with its adapter."""
    attempts: dict[Arm, tuple[Attempt, ...]] = {}
    for arm in ARMS:
        agent = Agent(models["+adapter" in arm], memory, settings=run.settings)
        attempts[arm] = await _run_arm(arm, agent, suite, tasks, run, on_done)
    return compare(suite, attempts, run.seed)


def compare(suite: Suite, attempts: Mapping[Arm, Sequence[Attempt]], seed: int) -> SuiteResult:
    """Statistics of the arms. Raises DistillError when a fifth of an arm's attempts broke."""
    arms = {arm: _summary(suite, arm, attempts[arm], seed) for arm in ARMS}
    before = {a.task_id: a for a in attempts["base"] if a.is_valid}
    pairs = [(before[a.task_id], a) for a in attempts["+adapter"] if a.is_valid and a.task_id in before]
    difference = paired_difference([a.success for a, _ in pairs], [b.success for _, b in pairs], seed)
    wins = sum(b.success and not a.success for a, b in pairs)
    losses = sum(a.success and not b.success for a, b in pairs)
    violations = paired_difference(
        [a.violations > 0 for a, _ in pairs], [b.violations > 0 for _, b in pairs], seed
    )
    return SuiteResult(suite, arms, difference, len(pairs), sign_test(wins, losses), violations)


async def _run_arm(
    arm: Arm,
    agent: Agent,
    suite: Suite,
    tasks: Sequence[Task],
    run: GateRun,
    on_done: Callable[[Arm], None],
) -> tuple[Attempt, ...]:
    """All tasks at once up to the concurrency, so that the model sees them as one batch."""
    world = catalogue(suite.world)
    room = asyncio.Semaphore(run.concurrency)

    async def one(task: Task) -> Attempt:
        async with room:
            episode = await agent.run(task, world.make(), _run_of(arm, task, run))
        on_done(arm)
        return attempt_of(task, episode)

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(task)) for task in tasks]
    return tuple(task.result() for task in running)


def _run_of(arm: Arm, task: Task, run: GateRun) -> Run:
    return Run(
        namespace=run.namespace,
        principal="gate",
        episode_id=f"gate-{task.id}-{arm}",
        seed=run.seed,
        memory="frozen" if "+memory" in arm else "off",
    )


def attempt_of(task: Task, episode: Episode) -> Attempt:
    """What an episode says of its arm."""
    is_success = episode.outcome == "success"
    told = episode.feedback.get("violations", 0)
    broken = sum(message.kind == "observe" and message.rule is not None for message in episode.messages)
    return Attempt(
        task.id,
        is_success,
        episode.steps if is_success else task.max_steps,
        is_valid=episode.outcome != "infra",
        violations=broken + (int(told) if isinstance(told, int | float) else 0),
        tokens=episode.usage.prompt_tokens + episode.usage.completion_tokens,
    )


def _summary(suite: Suite, arm: Arm, attempts: Sequence[Attempt], seed: int) -> ArmResult:
    valid = [attempt for attempt in attempts if attempt.is_valid]
    n_broken = len(attempts) - len(valid)
    if n_broken * 5 > len(attempts):
        raise DistillError(f"suite {suite.name!r}, arm {arm!r}: {n_broken} of {len(attempts)} attempts broke")
    n_won = sum(attempt.success for attempt in valid)
    return ArmResult(
        wilson(n_won, len(valid)),
        bootstrap_mean([a.steps for a in valid], seed),
        len(valid),
        n_broken,
        wilson(sum(attempt.violations > 0 for attempt in valid), len(valid)),
        sum(attempt.tokens for attempt in valid) / n_won if n_won else None,
        sum(attempt.steps for attempt in valid) / n_won if n_won else None,
    )
