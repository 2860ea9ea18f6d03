"""Setting tasks: from what a caller asks for to orders that jobs can begin with. No HTTP here.

A task is set by a request, by a schedule or as one of a batch; all pass here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agent.automaton.speaking import protocol_of
from agent.deliberate.named import preset_of
from agent.deliberate.presets import PresetName
from agent.guards.files import load_policy
from agent.planners.flow import Flow, in_force
from agent.planners.named import planner_named
from memory.modes import USES
from memory.types import Channel, Json
from server.errors import Busy
from server.learning import mode_for
from server.naming import digest
from server.orders import TaskOrder
from server.schemas.tasks import TaskRequest
from server.services import Core, new_id
from server.settings import Settings
from server.work import LEARN, TASK

_NOT_ASKED = frozenset({"principal", "channel", "memory", "held", "depth"})


async def order_of(
    body: TaskRequest,
    core: Core,
    settings: Settings,
    namespace: str,
    *,
    principal: str,
    channel: Channel,
    episode: str,
) -> TaskOrder:
    """The order of one task, checked as far as it can be. Raises BadInput, NotFound, Denied, UnknownModel."""
    if body.site is not None:
        drawn = await asyncio.to_thread(
            core.worlds.catalogue(body.world).tasks, site=body.site, split="work", n=1, seed=body.seed
        )
        config: dict[str, Json] = dict(drawn[0].config)
    elif body.text is not None:
        config = {"text": body.text, "family": body.family}
        if body.mcp is not None:
            config["mcp"] = [*body.mcp]
    else:
        config = body.config or {}
    # Refuses what is no task before anything is stored; worlds of others may have to be asked.
    task = await asyncio.to_thread(core.worlds.task, body.world, config)
    if body.constitution is not None:
        named = (namespace, body.constitution)
        await asyncio.to_thread(core.memory.frozen, *named, token_budget=0, count_tokens=len)
    core.worlds.check(task, namespace)
    deliberate = _checked_ways(body)
    await _check_planner(body, core, namespace)
    mode = await mode_for(core, settings, namespace, body.memory)
    await asyncio.to_thread(core.suites.check, namespace, task.id, mode)
    return TaskOrder(
        world=task.world,
        family=task.family,
        text=task.text,
        config=dict(task.config),
        model=core.models.resolve(body.model, namespace, episode),
        memory=mode,
        budget=body.budget.to_budget(max_seconds=settings.max_task_s),
        seed=body.seed,
        principal=principal,
        channel=channel,
        asked_memory=body.memory,
        constitution=body.constitution,
        planner=body.planner,
        policy=body.policy,
        deliberate=deliberate,
        speaking=body.speaking,
    )


async def admit(core: Core, settings: Settings, namespace: str, *orders: TaskOrder) -> None:
    """May these be set now? Raises Busy while too much waits to be learned from, QuotaReached."""
    await core.quotas.admit(core.jobs, namespace, TASK, more=len(orders))
    if any(USES[order.mode].learns for order in orders):
        waiting = await core.jobs.backlog(namespace, LEARN)
        if waiting >= settings.max_learning_backlog:
            raise Busy("too many episodes of this namespace wait to be learned from; try again later")


def named(prefix: str, key: str | None) -> str:
    """The id of what is asked for under an idempotency key, a new one without."""
    return new_id(prefix) if key is None else f"{prefix}_{digest(key)}"


def is_same(stored: Mapping[str, Json], asked: Mapping[str, Json]) -> bool:
    """Was the same asked for? Another key of the namespace may ask again, also with its dial turned since."""
    return all(stored.get(name) == asked[name] for name in set(asked) - _NOT_ASKED)


async def _check_planner(body: TaskRequest, core: Core, namespace: str) -> None:
    """Raises BadInput on a planner that is none, NotFound on a flow that is not there."""
    planner = None if body.planner is None else planner_named(body.planner)
    if isinstance(planner, Flow) and planner.item is not None:
        await asyncio.to_thread(in_force, core.memory, namespace, planner.item)


def _checked_ways(body: TaskRequest) -> PresetName | None:
    """How the request wants its answer thought about. Raises BadInput on policies and ways that are none."""
    if body.policy is not None:
        load_policy(body.policy)
    if body.speaking is not None:
        protocol_of(body.speaking)
    return None if body.deliberate is None else preset_of(body.deliberate)
