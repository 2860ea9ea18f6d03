"""What a reflection leaves in memory: what is new is added, what it corrects is changed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from agent.builders.building import apply
from agent.builders.ops import Window
from agent.learning.reflect import Reflection
from agent.trail import EXTERNAL
from memory.codec import dumps, to_json
from memory.core import Memory
from memory.errors import BadInput
from memory.types import Channel, Draft, Episode


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a reflection."""

    items: tuple[str, ...] = ()
    """Ids of what memory holds because of it."""
    refused: tuple[str, ...] = ()
    """Why memory refused some of it."""


def keep(episode: Episode, reflection: Reflection, memory: Memory) -> Kept:
    """Nothing of an episode that was forgotten in the meantime; the same again changes nothing more.

    An episode that saw strangers may add, at their trust, and changes nothing that is there.
    """
    if is_forgotten(episode, memory):
        return Kept(refused=(f"episode {episode.id!r} was forgotten",))
    key, channel = _key(episode, reflection), _channel(episode)
    added = _added(episode, reflection.drafts, memory, key, channel) if reflection.drafts else Kept()
    if not reflection.operations:
        return added
    done = apply(
        reflection.operations,
        Window((episode,)),
        memory,
        episode.namespace,
        principal=episode.principal,
        key=f"{key}/change",
    )
    return Kept(tuple(dict.fromkeys(added.items + done.items)), added.refused + done.refused)


def is_forgotten(episode: Episode, memory: Memory) -> bool:
    """May it teach nothing any more?"""
    return memory.episode(episode.namespace, episode.id).forgotten is not None


def _added(episode: Episode, drafts: tuple[Draft, ...], memory: Memory, key: str, channel: Channel) -> Kept:
    """All drafts at once; where memory refuses one, e.g. for a secret in it, the others still go in."""

    def write(part: tuple[Draft, ...], name: str) -> tuple[str, ...]:
        items = memory.remember(
            episode.namespace, part, principal=episode.principal, channel=channel, idempotency_key=name
        )
        return tuple(item.id for item in items)

    try:
        return Kept(write(drafts, key))
    except BadInput:
        names: tuple[str, ...] = ()
        refused: list[str] = []
    for index, draft in enumerate(drafts):
        try:
            names += write((draft,), f"{key}/{index}")
        except BadInput as error:
            refused.append(str(error))
    return Kept(names, tuple(refused))


def _key(episode: Episode, reflection: Reflection) -> str:
    """The same for the same lessons: an episode that is learned from again may teach more than before."""
    said = dumps([episode.id, to_json(reflection.drafts), to_json(reflection.operations)])
    return f"learn/{sha256(said.encode()).hexdigest()}"


def _channel(episode: Episode) -> Channel:
    """A lesson is trusted no more than the least of what the episode saw."""
    return "external" if any(m.agent == EXTERNAL for m in episode.messages) else "reflection"
