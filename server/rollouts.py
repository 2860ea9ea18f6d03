"""Rollouts: a client's own agent at work, under an id of its choice, as one episode. No HTTP here."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Literal

from memory.errors import NotFound
from memory.types import Episode
from server.auth import Identity
from server.feedback import give_feedback
from server.schemas.tasks import FeedbackIn
from server.services import Core

Said = Literal["success", "failure", "unknown"]
GOOD = 0.5
"""A reward of this or more is a success, where nobody says how it went."""


def episode_of(namespace: str, rollout: str) -> str:
    """The id of a rollout's episode: another for each namespace, the same on every server.

    >>> episode_of("home", "run-7") == episode_of("home", "run-7") != episode_of("work", "run-7")
    True
    """
    return f"ep_{sha256(f'rollout/{namespace}/{rollout}'.encode()).hexdigest()[:24]}"


def outcome_of(outcome: Said | None, reward: float | None) -> Said | None:
    """How it went: as somebody says, else by the reward; None where neither is told."""
    if outcome is not None or reward is None:
        return outcome
    return "success" if reward >= GOOD else "failure"


async def rolled(core: Core, namespace: str, rollout: str) -> Episode:
    """The episode of a rollout. Raises NotFound, also for another namespace's."""
    try:
        return await asyncio.to_thread(core.memory.episode, namespace, episode_of(namespace, rollout))
    except NotFound:
        raise NotFound(f"there is no rollout {rollout!r} here: its first recorded call begins it") from None


async def conclude(core: Core, caller: Identity, rollout: str, body: FeedbackIn) -> Episode:
    """What its client says of a rollout; once that tells how it went it has ended, and is learned from.

    Raises NotFound.
    """
    episode = await rolled(core, caller.namespace, rollout)
    word = body.model_copy(update={"outcome": outcome_of(body.outcome, body.reward)})
    return await give_feedback(core, caller, episode.id, word)
