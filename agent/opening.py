"""How an episode begins: what memory says of the situation, and the messages made of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from agent.prompt import compose, render_block, render_memory
from agent.types import Budget, Model, Observation, Task
from memory.core import Memory
from memory.types import (
    TRUST,
    Channel,
    Message,
    Query,
    Recall,
    RecallRecord,
)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent uses its memory and its model."""

    k: int = 4
    """Most items recalled; the literature is flat from 1 to 8."""
    token_budget: int = 1024
    """For recalled items."""
    constitution_budget: int = 600
    """Tokens of principles."""
    drop_rate: float = 0.0
    """Share of recalled items held out, to learn what they are worth."""
    max_reply_tokens: int | None = None
    temperature: float = 0.0
    tool_timeout_s: float | None = 60.0
    """For one call of a tool."""
    reflection_tokens: int = 512
    """Longest reflection."""
    recall_on_failure: bool = False
    """Ask memory again, with the step and what went wrong, when a step fails. Models that were trained on
    what is recalled at the opening alone may be confused by it."""
    mined_episodes: int = 50
    """Recent episodes of the same family that are mined for principles with the new one."""


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt: whose it is, what it is called, and how far it may go."""

    namespace: str
    principal: str
    episode_id: str
    seed: int = 0
    memory: Literal["on", "read", "off"] = "on"
    """`read` recalls but learns nothing; `off` does neither."""
    budget: Budget = field(default_factory=Budget)
    family_scope: bool = True
    """Recall only what holds for the task's family (and what holds everywhere)."""
    group: str = ""
    """Attempts to be compared; empty means the task's id."""
    channel: Channel = "user"
    """How the task came in: where the trust of the context starts."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first messages and what they were made of."""

    messages: tuple[Message, ...]
    recall: RecallRecord | None
    constitution_version: str | None
    trust: int
    """Lowest trust of anything shown."""


async def open_episode(
    task: Task,
    observation: Observation,
    run: Run,
    *,
    model: Model,
    memory: Memory | None,
    settings: AgentSettings,
) -> Opening:
    """Recall for this situation and compose the opening; without memory just the task."""
    base = TRUST[run.channel]
    if memory is None or run.memory == "off":
        return Opening(compose(task, observation, None, None, model.style), None, None, base)
    query = situation(task, run, settings)
    recall = await asyncio.to_thread(recall_for, memory, query, model)
    constitution = await asyncio.to_thread(
        memory.constitution,
        run.namespace,
        task.family,
        token_budget=settings.constitution_budget,
        count_tokens=model.count_tokens,
    )
    shown = [hit.item for hit in recall.hits] + list(constitution.principles)
    trust = min([base, *(item.trust for item in shown)])
    messages = compose(task, observation, recall, constitution, model.style)
    return Opening(messages, recall.record(constitution), constitution.version, trust)


@dataclass(frozen=True, slots=True)
class Reminder:
    """What memory says when it is asked again in the middle."""

    message: Message
    recall: RecallRecord
    trust: int


async def remind(query: Query, known: frozenset[str], *, model: Model, memory: Memory) -> Reminder | None:
    """Recall for a situation in the middle of a run; None when nothing comes up but the `known` items."""
    recall = await asyncio.to_thread(recall_for, memory, query, model)
    fresh = [hit for hit in recall.hits if hit.item.id not in known]
    if not fresh:
        return None
    message = Message("user", render_memory(fresh, model.style), kind="memory")
    return Reminder(message, recall.record(), min(hit.item.trust for hit in fresh))


def recall_for(memory: Memory, query: Query, model: Model) -> Recall:
    """A recall whose costs are counted in the model's tokens, on what the model is shown."""
    return memory.recall(
        query,
        count_tokens=model.count_tokens,
        counter=model.name,
        show=lambda item: render_block(item, model.style),
    )


def situation(
    task: Task, run: Run, settings: AgentSettings, *, step: str | None = None, failure: str | None = None
) -> Query:
    """What memory is asked: the situation, in the words cases are stored under."""
    return Query(
        namespace=run.namespace,
        text=situation_text(task.text, task.family, step, failure),
        family=task.family if run.family_scope else None,
        k=settings.k,
        token_budget=settings.token_budget,
        drop_rate=settings.drop_rate,
        seed=coins_of(run.namespace, run.episode_id),
    )


def coins_of(namespace: str, episode: str) -> int:
    """What an episode's coins are tossed with: another number for each, whatever seed its task was given.

    One number for many episodes would hold an item out of all of them, or of none.

    >>> coins_of("home", "e1") == coins_of("home", "e1"), coins_of("home", "e1") == coins_of("home", "e2")
    (True, False)
    """
    named = f"{namespace}/{episode}"
    return int.from_bytes(sha256(named.encode()).digest()[:6])


def situation_text(task: str, family: str, step: str | None = None, failure: str | None = None) -> str:
    """Place, task and, in the middle of it, the step that was tried and how it failed.

    >>> situation_text("wash a mug", "maple 7", "open sink 1", "it does not open.")
    'maple 7: wash a mug. step: open sink 1. failed: it does not open.'
    """
    said = [f"{family}: {task}", *(f"{name}: {text}" for name, text in _now(step, failure))]
    return said[0] if len(said) == 1 else f"{'. '.join(part.rstrip('. ') for part in said)}."


def _now(step: str | None, failure: str | None) -> list[tuple[str, str]]:
    return [(name, text) for name, text in (("step", step), ("failed", failure)) if text]
