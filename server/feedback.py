"""Feedback on an episode, and learning from what it settles."""

from __future__ import annotations

import asyncio

from memory.types import Episode
from server.auth import Identity
from server.jobs import JobAddress, json_object
from server.schemas.tasks import FeedbackIn
from server.services import Core, new_id
from server.work import LEARN, LearnOrder, is_learnable


async def give_feedback(
    core: Core, caller: Identity, episode_id: str, body: FeedbackIn, *, model: str | None = None
) -> Episode:
    """Store it; an episode whose outcome is known only now is learned from now, if its mode learns.

    Raises NotFound.
    """
    before = await asyncio.to_thread(core.memory.episode, caller.namespace, episode_id)
    episode = await asyncio.to_thread(
        core.memory.feedback,
        caller.namespace,
        episode_id,
        principal=caller.principal,
        reward=body.reward,
        outcome=body.outcome,
        values=dict(body.values),
        channel=caller.channel,
    )
    settled = is_learnable(episode) and episode.outcome != before.outcome
    if body.learn and settled:
        name = model or "+".join(part for part in (episode.model, episode.adapter) if part)
        await core.jobs.enqueue(
            JobAddress(caller.namespace, LEARN, new_id(episode_id)), json_object(LearnOrder(episode_id, name))
        )
    return episode
