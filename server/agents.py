"""Who works for a namespace: an agent as the server's settings and the namespace's dials have it. No HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from agent.automaton.answering import Speaking
from agent.automaton.speaking import Protocol
from agent.deliberate.named import deliberating
from agent.deliberate.presets import PresetName
from agent.desk import Kit, Planner
from agent.guards.privilege import Policy, Privilege
from agent.guards.quota import Quota
from agent.loop import Agent
from agent.opening import AgentSettings
from agent.planners.admitted import Admitted
from agent.planners.named import planner_named
from agent.types import Guard, Model
from agent.verification.verify import Verifier
from memory.dials import Dials
from server.checks import SYMBOLIC, Checks
from server.services import Core

DAY_S = 86_400.0


async def settings_for(core: Core, namespace: str) -> AgentSettings:
    """How a namespace's agents use memory."""
    return steered(core.agent, await asyncio.to_thread(core.memory.dials, namespace))


def steered(settings: AgentSettings, dials: Dials) -> AgentSettings:
    """The server's settings as a namespace's dials change them."""
    return settings if dials.read is None else replace(settings, mixture=((dials.read, 1.0),))


async def learner_settings(core: Core, namespace: str) -> AgentSettings:
    """The same for learning: without any call of a model once the tokens of the day are used up."""
    dials = await asyncio.to_thread(core.memory.dials, namespace)
    settings, limit = steered(core.agent, dials), tokens_day(core, dials)
    if limit is None:
        return settings
    pulse = await asyncio.to_thread(core.memory.pulse, namespace, since=time.time() - DAY_S)
    return replace(settings, reflection_calls=0) if pulse.spent.learning >= limit else settings


def tokens_day(core: Core, dials: Dials) -> int | None:
    """Tokens that learning may spend in 24 hours: the namespace's dial, else the server's setting."""
    return core.learning_tokens_day if dials.learning_tokens_day is None else dials.learning_tokens_day


@dataclass(frozen=True, slots=True)
class Ways:
    """How one request wants to be worked on; None is as the server's settings have it."""

    planner: str | Planner | None = None
    policy: Policy | None = None
    """Narrows the server's: both must allow."""
    deliberate: PresetName | None = None
    speaking: Protocol | None = None
    """How an answer is laid out."""
    held: tuple[Policy, ...] = ()
    """What held the tasks above this one."""
    depth: int = 0
    """How many those are."""


@asynccontextmanager
async def at_work(
    core: Core, namespace: str, model: str, ways: Ways | None = None, kits: Sequence[Kit] = ()
) -> AsyncIterator[Agent]:
    """An agent with its model, guards and verifier, loaded inside the block; `kits` beside the server's own.

    Raises what models raise, and BadInput on a planner that is not there.
    """
    ways = ways or Ways()
    dials, checks = await asyncio.to_thread(core.memory.dials, namespace), core.checks
    is_guarded = checks.is_guarded if dials.advantage_guard is None else dials.advantage_guard
    is_verified = checks.is_verified if dials.verify is None else dials.verify
    settings = steered(core.agent, dials)
    if settings.reflect_every:
        settings = await learner_settings(core, namespace)
    async with AsyncExitStack() as held:
        worker = _thinking(await held.enter_async_context(core.models.use(model)), checks, ways)
        forge = checks.forge if worker.style == "full" else None
        yield Agent(
            worker,
            core.memory,
            settings=replace(settings, tools=True) if forge is not None else settings,
            guards=_guards(checks, ways),
            advantage=checks.advantage if is_guarded else None,
            verifier=await _verifier(core, held) if is_verified else None,
            planner=_planner(checks, ways.planner),
            kits=(*kits, forge) if forge is not None else kits,
            holding=checks.holding,
        )


def _thinking(model: Model, checks: Checks, ways: Ways) -> Model:
    """The model as it answers here: thinking twice, then held to a protocol."""
    protocol = ways.speaking or checks.speaking
    model = deliberating(model, ways.deliberate or checks.deliberate)
    return model if protocol is None else Speaking(model, protocol)


def _guards(checks: Checks, ways: Ways) -> tuple[Guard, ...]:
    privilege = Privilege(tuple(filter(None, (checks.policy, ways.policy, *ways.held))))
    quota = Quota(spawns=checks.max_spawns, depth=ways.depth, max_depth=checks.max_depth)
    more = (one for one in (checks.order, checks.safety) if one is not None)
    return (privilege, quota, *more)


def _planner(checks: Checks, wanted: str | Planner | None) -> Planner:
    wanted = wanted or checks.planner
    planner = planner_named(wanted) if isinstance(wanted, str) else wanted
    return planner if checks.admission is None else Admitted(planner, checks.admission)


async def _verifier(core: Core, held: AsyncExitStack) -> Verifier:
    checks = core.checks
    model = None
    if checks.verifier != SYMBOLIC:
        model = await held.enter_async_context(core.models.use(checks.verifier))
    return Verifier(model, checks.verify, checks.in_parts, consistency=checks.consistency)
