"""Which mode holds for a request, and whether a namespace still learns. No HTTP here."""

from __future__ import annotations

import asyncio
import time

from memory.codec import from_json
from memory.modes import settled
from memory.types import Mode
from server.agents import DAY_S, tokens_day
from server.canary import CANARY, NAMESPACE, CanaryReport
from server.distilling import DISTILL
from server.services import Core
from server.settings import Settings
from server.standing import Learning
from server.work import LEARN

LOOKED_AT = 50
"""Newest jobs of a kind among which one that succeeded is looked for."""


async def mode_for(core: Core, settings: Settings, namespace: str, asked: str | None) -> Mode:
    """The mode of a request, see `memory.modes.settled`."""
    dials = await asyncio.to_thread(core.memory.dials, namespace)
    return settled(asked, dials.mode, settings.memory_mode)


async def learning_of(core: Core, settings: Settings, namespace: str, *, counts: bool = True) -> Learning:
    """How learning stands in a namespace now; without `counts` it looks at no tokens, which is faster."""
    now = time.time()
    pulse = await asyncio.to_thread(core.memory.pulse, namespace, since=now - DAY_S if counts else None)
    limit = tokens_day(core, await asyncio.to_thread(core.memory.dials, namespace))
    # Asked before what has been learned: nothing waits only when all of it is in.
    waiting = await core.jobs.backlog(namespace, LEARN)
    oldest = await core.jobs.waiting_since(namespace, LEARN)
    return Learning(
        namespace=namespace,
        mode=await mode_for(core, settings, namespace, None),
        last_episode_at=pulse.last_episode,
        last_reflection_at=await _last_done(core, namespace, LEARN),
        last_promotion_at=pulse.last_promotion,
        last_retirement_at=pulse.last_retirement,
        last_distillation_at=await _last_done(core, namespace, DISTILL),
        waiting=waiting,
        oldest_waiting_s=None if oldest is None else max(0.0, now - oldest),
        spent_today=pulse.spent,
        tokens_day=limit,
        is_spent=limit is not None and pulse.spent.learning >= limit,
        canary=await last_canary(core),
    )


async def last_canary(core: Core) -> CanaryReport | None:
    """The report of the newest lesson that has come back; None before the first."""
    jobs = await core.jobs.list(NAMESPACE, CANARY, limit=LOOKED_AT)
    output = next((job.output for job in jobs if job.output is not None), None)
    return None if output is None else from_json(CanaryReport, dict(output))


async def _last_done(core: Core, namespace: str, kind: str) -> float | None:
    jobs = await core.jobs.list(namespace, kind, limit=LOOKED_AT)
    return max((job.ended_at for job in jobs if job.state == "done" and job.ended_at), default=None)
