"""Feedback on an episode, and learning from what it settles."""

from __future__ import annotations

import asyncio
from functools import partial

from agent.builders.facts import FEEDBACK
from agent.prompt import CHAT
from memory.types import Episode, Message
from memory.writing.credit import More
from server.auth import Identity
from server.jobs import JobAddress, json_object
from server.schemas.tasks import FeedbackIn
from server.services import Core, new_id
from server.work import LEARN, LearnOrder, is_learnable


async def give_feedback(
    core: Core, caller: Identity, episode_id: str, body: FeedbackIn, *, model: str | None = None
) -> Episode:
    """Store it; an episode whose outcome is known only now is learned from now, if its mode learns.

    What is said of a chat in words is said in it, so that it can be learned; it is learned from again then.
    Raises NotFound.
    """
    before = await asyncio.to_thread(core.memory.episode, caller.namespace, episode_id)
    has_word = before.world == CHAT and await _put_in(core, caller, before, body)
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
    settled = is_learnable(episode) and (has_word or episode.outcome != before.outcome)
    if body.learn and settled:
        name = model or "+".join(part for part in (episode.model, episode.adapter) if part)
        await core.jobs.enqueue(
            JobAddress(caller.namespace, LEARN, new_id(episode_id)), json_object(LearnOrder(episode_id, name))
        )
    return episode


async def _put_in(core: Core, caller: Identity, episode: Episode, body: FeedbackIn) -> bool:
    """Whether words were put into the episode that it did not hold."""
    values = body.values.items()
    words = [f"{name}: {said}" for name, said in values if isinstance(said, str) and said.strip()]

    def more(kept: Episode) -> More:
        return More(_unsaid(kept, words), error=kept.error)

    if not _unsaid(episode, words):
        return False
    extend = partial(core.memory.extend, principal=caller.principal)
    await asyncio.to_thread(extend, caller.namespace, episode.id, more)
    return True


def _unsaid(kept: Episode, words: list[str]) -> tuple[Message, ...]:
    known = {one.text for one in kept.messages if one.agent == FEEDBACK}
    return tuple(
        Message("user", one, kind="observe", agent=FEEDBACK, weight=0.0) for one in words if one not in known
    )
