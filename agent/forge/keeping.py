"""Tools of a run as items of memory: on trial first, then judged like anything that is recalled.

An item's evidence is the scripts it did its work in. A run that went well adds its functions, and its word
for the tools of memory that it used; an item rises or falls as `memory.constitution.court` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.forge.extract import heading
from agent.forge.rack import called, stored, written
from agent.trail import EXTERNAL
from memory.core import Memory
from memory.errors import BadInput
from memory.types import Channel, Draft, Episode, Evidence, Lineage, Message, ToolBody
from memory.writing.admission import as_draft


def draft_of(tool: ToolBody, episode: str, message: int) -> Draft:
    """A tool as memory is told of it, with where it did its work."""
    evidence = Lineage((Evidence(episode, message),))
    return Draft("tool", heading(tool), tool, status="trial", lineage=evidence)


def channel_of(messages: Iterable[Message]) -> Channel:
    """Code is trusted no more than the least of what its author saw."""
    return "external" if any(message.agent == EXTERNAL for message in messages) else "reflection"


def keep_now(
    memory: Memory, namespace: str, principal: str, drafts: Sequence[Draft], channel: Channel
) -> tuple[str, ...]:
    """Remember them before the run is over; why memory refused, by their names."""
    refused = []
    for draft in drafts:
        try:
            memory.remember(namespace, [draft], principal=principal, channel=channel)
        except BadInput as error:
            refused.append(f"{draft.text.partition('(')[0]}: {error}")
    return tuple(refused)


def drafts_of(episode: Episode, memory: Memory) -> tuple[Draft, ...]:
    """What a run that went well teaches of tools: its own functions, and that those of memory served it.

    Nothing of runs that called none. A name that memory has for another function stays with that one.
    """
    if episode.outcome != "success":
        return ()
    own = written(episode.messages)
    drafts = [
        draft_of(one.tool, episode.id, one.message)
        for name, one in own.items()
        if (there := stored(memory, episode.namespace, name)) is None or there.body == one.tool
    ]
    for name, message in called(episode.messages).items():
        item = None if name in own else stored(memory, episode.namespace, name)
        if item is not None and item.namespace == episode.namespace:
            used = Lineage((Evidence(episode.id, message),))
            drafts.append(replace(as_draft(item), lineage=used))
    return tuple(drafts)
