"""What a search for tasks is, and what it may spend. No HTTP here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from agent.types import Budget
from memory.codec import from_json
from memory.errors import BadInput, OverQuota
from memory.types import Channel, Json, Mode, Usage
from server.agents import DAY_S, tokens_day
from server.services import Core
from server.worlds import TOOLS

PROPOSE = "propose"
RISKS = "risk_scenarios"
"""The one source whose tasks are only played: they are made to end in what cannot be undone, and tools that
are not played would do it."""
_JOBS = 100
"""Newest that are looked at."""


@dataclass(frozen=True, slots=True)
class ProposeOrder:
    """A search as it is stored with its job."""

    principal: str
    channel: Channel
    source: str
    world: str
    family: str
    """A site, in worlds that list tasks."""
    n: int
    model: str
    """Works the tasks."""
    writer: str
    """Writes and judges them."""
    memory: Mode
    budget: Budget
    """Of each task."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class ProposedTask:
    """One that was chosen."""

    text: str
    config: dict[str, Json]
    task: str | None
    """Id of the task that was set; None in a dry run, and for the orders of `risk_scenarios`."""
    items: tuple[str, ...]
    """Of memory, that it was made of."""
    p: float
    """Success of the finished tasks near it; one half where there are none."""
    near: float
    """How many those are, by their weight."""
    quality: float | None


@dataclass(frozen=True, slots=True)
class RefusedTask:
    """One that was sent back, as the model wrote it."""

    proposal: Json
    reason: str
    """Begins with what refused it: parse, names, gate, duplicate, band, quality, played, budget."""


@dataclass(frozen=True, slots=True)
class ProposeReport:
    """What a search came to."""

    tasks: tuple[ProposedTask, ...]
    spare: int
    """Passed, and others were better."""
    refused: tuple[RefusedTask, ...]
    imagined: tuple[str, ...]
    """Ids of episodes that were played."""
    usage: Usage


async def tokens_left(core: Core, namespace: str) -> int | None:
    """Of those that learning may spend in a day, as searches spend them too; None: no limit."""
    dials = await asyncio.to_thread(core.memory.dials, namespace)
    limit = tokens_day(core, dials)
    if limit is None:
        return None
    since = time.time() - DAY_S
    pulse = await asyncio.to_thread(core.memory.pulse, namespace, since=since)
    spent = pulse.spent.learning
    for job in await core.jobs.list(namespace, PROPOSE, limit=_JOBS):
        report = report_of(job.output)
        if report is not None and job.created_at >= since:
            spent += report.usage.prompt_tokens + report.usage.completion_tokens
    return max(0, limit - spent)


async def check_order(core: Core, namespace: str, order: ProposeOrder) -> None:
    """Raises BadInput and NotFound on what cannot be searched for, OverQuota without tokens."""
    if order.world != TOOLS:
        if order.source == RISKS:
            raise BadInput(f"{RISKS} are orders in free text: they need the world {TOOLS!r}")
        await asyncio.to_thread(core.worlds.catalogue(order.world).all, order.family)
    elif order.source in (RISKS, "imagine") and not core.worlds.tools:
        raise BadInput(f"{order.source} plays the operator's tools, and there are none: set `tools`")
    if await tokens_left(core, namespace) == 0:
        raise OverQuota("the tokens of the day are used up: try again later, or raise learning_tokens_day")


def report_of(output: Mapping[str, Json] | None) -> ProposeReport | None:
    """What a job that has ended left."""
    return None if output is None else from_json(ProposeReport, dict(output))
