"""An episode as its calls, each with its answer. Pure, and blind to any world's nouns."""

from __future__ import annotations

from dataclasses import dataclass

from agent.prompt import command_of
from memory.types import Episode, Message

PREPOSITIONS = ("with", "in", "into", "on", "from", "at", "to", "under")
"""Words that stand before the things a command is done with."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call and its answer."""

    act: int
    """Index of the message that made the call."""
    observe: int | None
    command: str
    answer: str
    ok: bool | None
    is_text: bool
    """Is it a command in words, rather than a call with named arguments?"""
    rule: str | None = None
    """The rule that the world says it broke."""

    @property
    def verb(self) -> str:
        """What kind of action it is: the first word of a command, or the tool."""
        return self.command.partition(" ")[0]

    @property
    def argument(self) -> str:
        """What it is done to, without a leading preposition."""
        words = self.command.split()[1:]
        return " ".join(words[1:] if words and words[0] in PREPOSITIONS else words)


def short_form(command: str) -> str:
    """A command without its first object, where something is named behind it.

    >>> short_form("heat egg with stove 2"), short_form("press button")
    ('heat with stove 2', 'press button')
    """
    words = command.split()
    cuts = [place for place, word in enumerate(words) if place > 1 and word in PREPOSITIONS]
    return " ".join([words[0], *words[cuts[0] :]]) if cuts else command


def steps(episode: Episode) -> tuple[Step, ...]:
    """The calls of an episode in order, each with its answer."""
    answers = {
        m.tool_call_id: i for i, m in enumerate(episode.messages) if m.role == "tool" and m.tool_call_id
    }
    found = []
    for index, message in enumerate(episode.messages):
        for call in message.tool_calls:
            at = answers.get(call.id)
            told = Message("tool") if at is None else episode.messages[at]
            if told.kind == "memory":
                continue  # reading what was recalled is no step in the world
            is_text = set(call.arguments) == {"command"}
            found.append(Step(index, at, command_of(call), told.text, told.ok, is_text, told.rule))
    return tuple(found)
