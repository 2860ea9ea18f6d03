"""What may be learned from: nothing that memory or a prompt said itself. Pure.

Without this an agent that reads its own memories aloud remembers them again, as if it had lived them
(self-reinforcement), and whoever wrote a system prompt writes memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from memory.errors import BadInput
from memory.types import Channel, Draft, Episode, Message, PrincipleBody
from memory.words import normalised

GATED: frozenset[Channel] = frozenset({"reflection", "tool", "external"})
"""Channels that extract what they bring from something; operators and users say it themselves."""


def check_origin(draft: Draft, episodes: Mapping[str, Episode]) -> None:
    """Raises BadInput on a draft whose evidence is a prompt, a recalled memory or forgotten, or repeats one.

    `episodes` are those of its evidence that are recorded. Rules that were counted from events are no
    repetition, though the constitution in the prompt says them too.
    """
    _check_unforgotten(episodes)
    for piece in draft.lineage.evidence:
        messages = episodes[piece.episode].messages if piece.episode in episodes else ()
        if 0 <= piece.message < len(messages) and _is_given(messages[piece.message]):
            raise BadInput(
                f"the evidence is message {piece.message} of episode {piece.episode!r}, "
                f"{_named(messages[piece.message])}: nothing is learned from that, name what happened"
            )
    if isinstance(draft.body, PrincipleBody) and draft.body.builder == "symbolic":
        return
    said = f" {normalised(draft.text)} "
    echoes: list[str] = []
    for episode in episodes.values():
        for place, message in enumerate(episode.messages):
            if said in f" {normalised(message.text)} ":
                if not _is_given(message):
                    return
                echoes.append(f"message {place} of episode {episode.id!r}, {_named(message)}")
    if echoes:
        raise BadInput(f"the text repeats {echoes[0]}: it is no experience of the agent's own")


def _check_unforgotten(episodes: Mapping[str, Episode]) -> None:
    for episode in episodes.values():
        if episode.forgotten is not None:
            raise BadInput(f"episode {episode.id!r} may teach nothing any more: {episode.forgotten}")


def _is_given(message: Message) -> bool:
    return message.role == "system" or message.kind == "memory"


def _named(message: Message) -> str:
    return "a recalled memory" if message.kind == "memory" else "a system prompt"
