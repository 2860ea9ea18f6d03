"""Who said what, where several speak in one episode. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.planners.team import turns_of
from memory.types import Message


def speakers(messages: Sequence[Message]) -> tuple[str, ...]:
    """One name for each message: of a team's turns, the member whose turn it is; else `Message.agent`.

    >>> speakers((Message("user", "go", agent="task"), Message("assistant", "I go")))
    ('task', 'agent')
    """
    opening, turns = turns_of(messages)
    names = [message.agent for message in opening]
    for turn in turns:
        names += [turn.member if one.role == "assistant" else one.agent for one in turn.messages]
    return tuple(names)
