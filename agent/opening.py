"""How an episode begins: what memory says of the situation, and the messages made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from agent.prompt import compose, render_block, titled
from agent.settings import AgentSettings, Run
from agent.types import InForce, Model, Observation, Task
from memory.constitution.draw import PROVEN, Chances, draw
from memory.core import Memory
from memory.modes import USES
from memory.recall.choosing import coin
from memory.types import (
    TRUST,
    Constitution,
    Message,
    Mode,
    Query,
    ReadName,
    Recall,
    Recalled,
    RecallRecord,
)

__all__ = [
    "AgentSettings",
    "Opening",
    "Run",
    "Told",
    "coins_of",
    "consult",
    "open_episode",
    "question",
    "recall_for",
    "situation",
    "situation_text",
    "tossed",
]


@dataclass(frozen=True, slots=True)
class Opening:
    """The first messages and what they were made of."""

    messages: tuple[Message, ...]
    recall: RecallRecord | None
    constitution_version: str | None
    trust: int
    """Lowest trust of anything shown."""
    procedures: tuple[str, ...] = ()
    """Ids of those that are shown by their titles."""
    principles: tuple[InForce, ...] = ()
    """Those that are shown."""


async def open_episode(
    task: Task,
    observation: Observation,
    run: Run,
    *,
    model: Model,
    memory: Memory | None,
    settings: AgentSettings,
) -> Opening:
    """Ask memory of this situation and compose the opening; without memory just the task."""
    base = TRUST[run.channel]
    if memory is None or not USES[run.memory].asks:
        return Opening(compose(task, observation, None, None, model.style), None, None, base)
    query = situation(task, run, settings)
    told = await consult(
        memory,
        query,
        task.family,
        run.memory,
        namespace=run.namespace,
        model=model,
        settings=settings,
        frozen=run.constitution,
    )
    by_title = settings.is_indexed(model)
    messages = compose(task, observation, told.recall, told.constitution, model.style, by_title=by_title)
    titles = titled(told.recall.hits) if told.recall and by_title else ()
    return Opening(
        messages, told.record, told.version, min(base, told.trust), titles, _in_force(told.constitution)
    )


def _in_force(constitution: Constitution | None) -> tuple[InForce, ...]:
    principles = constitution.principles if constitution else ()
    return tuple(InForce(one.text, one.pinned or one.channel == "operator") for one in principles)


@dataclass(frozen=True, slots=True)
class Told:
    """What memory says to a question: what the model may be shown, and what is kept of it."""

    recall: Recall | None
    """None where nothing was asked or nothing may be shown."""
    constitution: Constitution | None
    record: RecallRecord | None

    @property
    def version(self) -> str | None:
        """The constitution that is shown."""
        return self.constitution.version if self.constitution else None

    @property
    def trust(self) -> int:
        """Lowest trust of anything shown."""
        hits = self.recall.hits if self.recall else ()
        principles = self.constitution.principles if self.constitution else ()
        shown = [*(hit.item for hit in hits), *principles]
        return min((item.trust for item in shown), default=max(TRUST.values()))


async def consult(
    memory: Memory,
    query: Query | None,
    family: str | None,
    mode: Mode,
    *,
    namespace: str,
    model: Model,
    settings: AgentSettings,
    frozen: str | None = None,
) -> Told:
    """Items and principles for a question, as the mode has them; principles alone without a question, or for
    one that wants no items (k = 0).

    `frozen` names a version to be served as it is, without coins. Raises NotFound, BadInput, Conflict on one
    that is not there or not frozen.
    """
    use = USES[mode]
    if not use.asks:
        return Told(None, None, None)
    told_by = partial(memory.constitution, namespace, family)
    if frozen is not None:
        told_by = partial(memory.frozen, namespace, frozen)

    def ask() -> tuple[Constitution, Recall | None]:
        found = told_by(token_budget=settings.constitution_budget, count_tokens=model.count_tokens)
        if query is None or not query.k:
            return found, None
        asked = tossed(query, mode)
        return found, recall_for(memory, asked, model, by_title=settings.is_indexed(model))

    constitution, recall = await asyncio.to_thread(ask)
    if not use.shows:
        return Told(None, None, _unseen(recall, constitution) if recall else None)
    # A coin that is not recorded would be taken for certainty.
    chances = _chances(mode, settings) if recall and frozen is None else Chances()
    shown, drawn = draw(constitution, recall.query.seed if recall else 0, chances)
    return Told(recall, shown, recall.record(shown, drawn) if recall else None)


def _chances(mode: Mode, settings: AgentSettings) -> Chances:
    """Where no coins are tossed, what coins are tossed for elsewhere is left out."""
    if USES[mode].tosses:
        return Chances(settings.trial_rate, settings.drop_rate)
    return PROVEN if settings.trial_rate < 1.0 else Chances()


def _unseen(recall: Recall, constitution: Constitution) -> RecallRecord:
    """What would have been shown, none of it ever to be credited."""
    principles = tuple(
        Recalled(item.id, item.version, score=0.0, propensity=0.0, shown=False)
        for item in constitution.principles
    )
    return recall.in_shadow().record(drawn=principles)


def tossed(query: Query, mode: Mode) -> Query:
    """The question with its coins, where the mode tosses any."""
    if USES[mode].tosses:
        return query
    policy = query.mixture[0][0] if query.mixture else query.policy
    return replace(query, drop_rate=0.0, policy=policy, mixture=(), hold_out=0.0)


def recall_for(memory: Memory, query: Query, model: Model, *, by_title: bool = False) -> Recall:
    """A recall whose costs are counted in the model's tokens, on what the model is shown."""
    return memory.recall(
        query,
        count_tokens=model.count_tokens,
        counter=model.name,
        show=lambda item: render_block(item, model.style, by_title=by_title),
    )


def situation(
    task: Task, run: Run, settings: AgentSettings, *, step: str | None = None, failure: str | None = None
) -> Query:
    """What memory is asked: the situation, in the words cases are stored under."""
    text = situation_text(task.text, task.family, step, failure)
    family = task.family if run.family_scope else None
    return question(text, run.namespace, run.episode_id, family, settings)


def question(text: str, namespace: str, episode: str, family: str | None, settings: AgentSettings) -> Query:
    """A text as an episode asks it, with the episode's coins."""
    seed = coins_of(namespace, episode)
    return Query(
        namespace,
        text,
        family=family,
        kinds=settings.kinds,
        k=settings.k,
        token_budget=settings.token_budget,
        drop_rate=settings.drop_rate,
        seed=seed,
        policy=_drawn(settings.mixture, seed),
        mixture=settings.mixture,
        hold_out=settings.hold_out,
    )


def _drawn(mixture: Sequence[tuple[ReadName, float]], seed: int) -> ReadName | None:
    left = coin(seed, "policy")
    for policy, chance in mixture:
        left -= chance
        if left < 0.0:
            return policy
    return mixture[-1][0] if mixture else None


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
