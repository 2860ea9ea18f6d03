"""Memory asked again in the middle of a run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from agent.opening import AgentSettings, recall_for, tossed
from agent.prompt import render_memory, titled
from agent.types import Model
from memory.core import Memory
from memory.modes import USES
from memory.types import TRUST, Message, Mode, Query, RecallRecord


@dataclass(frozen=True, slots=True)
class Reminder:
    """What memory says when it is asked again in the middle."""

    message: Message | None
    """None where the mode shows nothing."""
    recall: RecallRecord
    trust: int
    procedures: tuple[str, ...] = ()
    """Ids of those that are shown by their titles."""


async def remind(
    query: Query,
    known: frozenset[str],
    mode: Mode = "learn",
    *,
    model: Model,
    memory: Memory,
    settings: AgentSettings,
) -> Reminder | None:
    """Recall for a situation in the middle of a run; None when nothing comes up but the `known` items."""
    by_title = settings.is_indexed(model)
    ask = partial(recall_for, memory, tossed(query, mode), model, by_title=by_title)
    recall = await asyncio.to_thread(ask)
    fresh = [hit for hit in recall.hits if hit.item.id not in known]
    if not fresh:
        return None
    if not USES[mode].shows:
        return Reminder(None, recall.in_shadow().record(), max(TRUST.values()))
    shown = render_memory(fresh, model.style, by_title=by_title)
    message = Message("user", shown, kind="memory")
    trust = min(hit.item.trust for hit in fresh)
    return Reminder(message, recall.record(), trust, titled(fresh) if by_title else ())
