"""Responses that are kept to be retrieved and gone on from. No HTTP here.

Kept is what each was asked for, and where its answer stands. What was said is in the episode alone, so that
forgetting an episode forgets its responses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from memory.codec import from_json
from memory.errors import NotFound
from memory.types import Episode, Json, Message
from server.jobs import json_object
from server.schemas.responded import ResponseOut, output_of
from server.services import Core
from server.strands import OURS

RESPONSE = "response"
"""What they are on the shelf."""
KEPT_S = 30 * 86_400.0
"""How long a response is kept."""
LONGEST = 1000
"""Responses of one conversation."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One response without its words."""

    id: str
    episode: str
    place: int
    """Of the answer among the episode's messages."""
    added: int
    """Messages right before it that its own request brought."""
    previous: str | None
    """The response that it goes on from."""
    is_instructed: bool
    head: dict[str, Json]
    """All else of it, as its client was given it."""


class Responses:
    """The stored responses of one namespace."""

    def __init__(self, core: Core, namespace: str) -> None:
        self._core = core
        self._namespace = namespace

    async def before(self, response: str | None) -> tuple[Message, ...]:
        """The conversation up to a response and with it, without its instructions. Raises NotFound."""
        chain: list[Kept] = []
        while response is not None and len(chain) < LONGEST:
            chain.append(await self._kept(response))
            response = chain[-1].previous
        episodes: dict[str, Episode] = {}
        found: list[Message] = []
        for kept in reversed(chain):
            if kept.episode not in episodes:
                episodes[kept.episode] = await self._episode(kept)
            found += _brought(episodes[kept.episode], kept)
        return tuple(
            Message(one.role, one.content, tool_calls=one.tool_calls, tool_call_id=one.tool_call_id)
            for one in found
        )

    async def keep(self, out: ResponseOut, place: int | None, added: int) -> None:
        """Keep a response that is to be stored."""
        episode = out.apprentice.episode
        if not out.store or episode is None or place is None:
            return
        # Instructions are in the episode, too.
        head = out.model_dump(mode="json", exclude={"output", "instructions"})
        is_instructed = out.instructions is not None
        kept = Kept(out.id, episode, place, added, out.previous_response_id, is_instructed, head)
        await self._core.shelf.put(self._namespace, RESPONSE, out.id, json_object(kept))

    async def get(self, response: str) -> ResponseOut:
        """A response as its client was given it. Raises NotFound, also once its episode is erased."""
        kept = await self._kept(response)
        episode = await self._episode(kept)
        system = (one.text for one in _line(episode, kept) if one.role == "system")
        instructions = next(system, None) if kept.is_instructed else None
        output = output_of(response, episode.messages[kept.place])
        return ResponseOut.model_validate({**kept.head, "instructions": instructions, "output": output})

    async def delete(self, response: str) -> None:
        """Drop a response. Raises NotFound."""
        await self._kept(response)
        await self._core.shelf.remove(self._namespace, RESPONSE, response)

    async def _kept(self, response: str) -> Kept:
        found = await self._core.shelf.find(self._namespace, RESPONSE, response)
        if found is None:
            raise NotFound(f"there is no response {response!r} here: it was not stored, or deleted")
        return from_json(Kept, dict(found))

    async def _episode(self, kept: Kept) -> Episode:
        episode = await asyncio.to_thread(self._core.memory.episode, self._namespace, kept.episode)
        if kept.place >= len(episode.messages):
            raise NotFound(f"there is no response {kept.id!r} any more: its episode was erased")
        return episode


def _brought(episode: Episode, kept: Kept) -> list[Message]:
    """What a response added to its conversation; its instructions hold for it alone."""
    if kept.previous is not None:
        return list(episode.messages[kept.place - kept.added : kept.place + 1])
    line = _line(episode, kept)
    return line[1:] if kept.is_instructed and line[0].role == "system" else line


def _line(episode: Episode, kept: Kept) -> list[Message]:
    """What was said up to a response in its line of conversation, and in that which it branched off."""
    answer = episode.messages[kept.place]
    return [
        one
        for one in episode.messages[: kept.place + 1]
        if one.agent != OURS and (one.agent == answer.agent or answer.agent.startswith(f"{one.agent}."))
    ]
