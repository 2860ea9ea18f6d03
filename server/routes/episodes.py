"""Episodes: what was done, with everything needed to replay what was recalled."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from memory.types import Episode
from server.deps import After, CoreDep, Limit, Reader, Writer
from server.feedback import give_feedback
from server.schemas.memory import EpisodeList
from server.schemas.tasks import FeedbackIn

router = APIRouter(prefix="/v1/episodes", tags=["episodes"])


@router.get("", summary="Episodes")
async def list_episodes(
    core: CoreDep,
    caller: Reader,
    limit: Limit = 50,
    after: After = None,
    task_id: Annotated[str | None, Query(description="Attempts at one task.")] = None,
    family: Annotated[str | None, Query(description="Episodes of one site or family.")] = None,
    newest: Annotated[bool, Query(description="Newest first, not oldest.")] = False,
) -> EpisodeList:
    """One page of this namespace's episodes."""
    found = await asyncio.to_thread(
        core.memory.episodes,
        caller.namespace,
        limit=limit + 1,
        after=after,
        task_id=task_id,
        family=family,
        newest=newest,
    )
    return EpisodeList(data=list(found[:limit]), next=found[limit - 1].id if len(found) > limit else None)


@router.get("/{episode_id}", summary="One episode")
async def get_episode(episode_id: str, core: CoreDep, caller: Reader) -> Episode:
    """With its messages and what was recalled for it."""
    return await asyncio.to_thread(core.memory.episode, caller.namespace, episode_id)


@router.post("/{episode_id}/feedback", summary="Say how an episode went")
async def feedback(episode_id: str, body: FeedbackIn, core: CoreDep, caller: Writer) -> Episode:
    """Late is fine. An outcome that was unknown and is known now is learned from."""
    return await give_feedback(core, caller, episode_id, body)
