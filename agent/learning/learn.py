"""From a finished episode to memory: verdicts, reflection, record, remember, reinforce, review."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from agent.builders.building import Applied
from agent.builders.symbolic import news
from agent.forge.keeping import drafts_of
from agent.learning.keeping import Kept, is_forgotten, keep
from agent.learning.reflect import Reflection, reflect
from agent.learning.verdicts import judged
from agent.opening import AgentSettings
from agent.team.rules import Revised, revise_after, team_of
from agent.types import Journal, Model
from memory.codec import from_json, to_json
from memory.core import Memory
from memory.errors import Conflict, NotFound
from memory.modes import USES
from memory.types import Draft, Episode, Item, Json, Message
from memory.writing.redaction import without_secrets


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What one episode left behind."""

    episode: Episode
    """With verdicts on its steps, and what it cost to learn from it."""
    reflection: Reflection
    """Its usage is that of all learning."""
    items: tuple[Item, ...] = ()
    """What memory holds now because of it, also what it held before and was seen again."""
    refused: tuple[str, ...] = ()
    """Why memory refused a draft."""
    team: Applied = field(default_factory=Applied)
    """What became of the rules of the team that lived it."""


async def learn(
    episode: Episode, *, model: Model, memory: Memory | None, settings: AgentSettings, journal: Journal
) -> LearnReport:
    """Learn from an episode once, however often it is called with the same journal.

    The episode is recorded whatever its outcome; `unknown` and `infra` teach nothing, nor does one that was
    lived in a mode that learns nothing.
    """
    episode = judged(episode)
    if memory is None:
        return LearnReport(episode, Reflection())

    async def think() -> Json:
        return to_json(await _reflected(episode, model, memory, settings))

    async def record() -> Json:
        await asyncio.to_thread(_record, episode, memory)
        return None

    async def reinforce() -> Json:
        await asyncio.to_thread(memory.reinforce, episode, principal=episode.principal)
        return None

    async def review() -> Json:
        return to_json(await asyncio.to_thread(memory.review, episode.namespace))

    await journal.step("record", record)
    if not USES[episode.mode].learns:
        return LearnReport(episode, Reflection())
    reflection = from_json(Reflection, await journal.step("reflect", think))
    items, refused = await _remember(episode, reflection, memory, journal)
    team = await _as_team(episode, model, memory, settings, journal)
    await journal.step("reinforce", reinforce)
    await journal.step("review", review)
    verdicts = reflection.verdicts or episode.verdicts
    reflection = replace(reflection, usage=reflection.usage + team.usage)
    episode = replace(episode, verdicts=verdicts, learning=episode.learning + reflection.usage)
    return LearnReport(episode, reflection, items, refused, team.done)


async def _reflected(episode: Episode, model: Model, memory: Memory, settings: AgentSettings) -> Reflection:
    """What the model and the counters make of it; its verdicts and its cost are kept with the episode."""
    if await asyncio.to_thread(is_forgotten, episode, memory):
        return Reflection(verdicts=episode.verdicts)
    # A small model says nothing of principles: it was trained on one request.
    shown = await asyncio.to_thread(_shown, episode, memory) if model.style == "full" else ()
    reflection = await reflect(
        episode,
        model,
        model.style,
        max_tokens=settings.reflection_tokens,
        calls=min(settings.reflection_calls, 1) if settings.reflect_every else settings.reflection_calls,
        principles=shown,
    )
    patterns = await asyncio.to_thread(_patterns, episode, memory, settings)
    tools = await asyncio.to_thread(drafts_of, episode, memory)
    judge = partial(memory.judge, principal=episode.principal, verdicts=reflection.verdicts)
    await asyncio.to_thread(judge, episode.namespace, episode.id, spent=reflection.usage)
    return replace(reflection, drafts=_merged(reflection.drafts, (*patterns, *tools)))


async def _as_team(
    episode: Episode, model: Model, memory: Memory, settings: AgentSettings, journal: Journal
) -> Revised:
    """What a team makes of its run, where a model may be asked; what it costs is kept with the episode."""
    if team_of(episode) is None or not settings.reflection_calls:
        return Revised()

    async def revise() -> Json:
        revised = await revise_after(episode, model, memory, max_tokens=settings.reflection_tokens)
        judge = partial(memory.judge, principal=episode.principal, spent=revised.usage)
        await asyncio.to_thread(judge, episode.namespace, episode.id)
        return to_json(revised)

    return from_json(Revised, await journal.step("team", revise))


_KNOWN = 1000
"""Principles of a family that are looked through for what an episode breaks."""
_UNBOUNDED = 2**31


def _record(episode: Episode, memory: Memory) -> None:
    """Keep the episode. Raises Conflict when its id belongs to another one.

    An episode that is learned from late, once feedback said how it went, is kept already, with the
    verdicts of its first day.
    """
    try:
        memory.record(episode, principal=episode.principal)
    except Conflict:
        kept = memory.episode(episode.namespace, episode.id)
        if _unjudged(kept) != _unjudged(without_secrets(episode)):
            raise


def _shown(episode: Episode, memory: Memory) -> tuple[Item, ...]:
    """The principles that the episode was shown, as far as they still hold."""
    names = (
        [] if episode.recall is None else [name.rpartition("@")[0] for name in episode.recall.constitution]
    )
    found = []
    for name in names:
        with suppress(NotFound):
            found.append(memory.get(episode.namespace, name))
    return tuple(item for item in found if item.status in {"active", "trial"})


def _unjudged(episode: Episode) -> list[Message]:
    return [replace(message, ok=None) for message in episode.messages]


async def _remember(
    episode: Episode, reflection: Reflection, memory: Memory, journal: Journal
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    async def remember() -> Json:
        return to_json(await asyncio.to_thread(keep, episode, reflection, memory))

    if not reflection.drafts and not reflection.operations:
        return (), ()
    kept = from_json(Kept, await journal.step("remember", remember))
    items = [await asyncio.to_thread(memory.get, episode.namespace, name) for name in kept.items]
    return tuple(items), kept.refused


def _patterns(episode: Episode, memory: Memory, settings: AgentSettings) -> tuple[Draft, ...]:
    """Principles that this episode and the recent ones of its family show, or that this one breaks."""
    if settings.mined_episodes < 1 or episode.outcome not in {"success", "failure"}:
        return ()
    limit = settings.mined_episodes
    recent = memory.episodes(episode.namespace, family=episode.family, limit=limit, newest=True)
    others = (e for e in reversed(recent) if e.id != episode.id and e.forgotten is None)
    known = frozenset(item.text for item in _principles(episode, memory))
    held = memory.constitution(
        episode.namespace, episode.family, token_budget=_UNBOUNDED, count_tokens=len
    ).principles
    own = tuple(item for item in held if item.namespace == episode.namespace)
    return news([*others, episode], episode.id, replace(settings.mining, known=known), own)


def _principles(episode: Episode, memory: Memory) -> tuple[Item, ...]:
    """Those of the family that are not retired."""
    found = memory.items(episode.namespace, kind="principle", family=episode.family, limit=_KNOWN)
    return tuple(item for item in found if item.status != "retired")


def _merged(reflected: tuple[Draft, ...], mined: tuple[Draft, ...]) -> tuple[Draft, ...]:
    """Both, each text once."""
    texts = {draft.text for draft in reflected}
    return (*reflected, *(draft for draft in mined if draft.text not in texts))
