"""Dials that operators turn, and whether lessons still arrive."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal, Self, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from memory.dials import DialName
from memory.errors import BadInput
from memory.facade.evaluating import PolicyStanding, Standing
from memory.modes import ModeName
from memory.types import ItemKind, Json, Mode, ReadName, Status
from server.canary import CANARY, NAMESPACE, CanaryReport
from server.curve import NEWEST, Point, curve
from server.deps import CoreDep, Operator, Reader, ServicesDep
from server.jobs import JobAddress
from server.learning import last_canary, learning_of, mode_for
from server.services import Core, Services, new_id
from server.standing import Learning

router = APIRouter(prefix="/v1", tags=["learning"])


class DialsIn(BaseModel):
    """Where to put dials; one that is left out stays, null puts it back."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    mode: ModeName | None = None
    """What memory does for requests that do not say; at `off`, for all."""
    read: ReadName | None = None
    """The policy that ranks what is recalled; in the place of a mixture too."""
    advantage_guard: StrictBool | None = None
    """Refuse, once, actions that credibly ended worse near the same state."""
    verify: StrictBool | None = None
    """Look at tasks whose world does not say how they went."""
    learning_tokens_day: Annotated[int, Field(ge=0, strict=True)] | None = None
    """Tokens that learning may spend in 24 hours; then counters go on alone."""


class PolicyList(BaseModel):
    """What reading by each policy is worth, the best first; `nothing` is being shown nothing at all."""

    object: Literal["list"] = "list"
    data: list[PolicyStanding]


class LiftOut(BaseModel):
    """What showing one item adds to the reward, by the episodes in which a coin decided."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    item: str
    kind: ItemKind
    status: Status
    n: int
    """Episodes with it in view in which the coin decided."""
    n_held: int
    """Those in which it was held out."""
    mean: float
    """Inverse-propensity estimate; may lie outside -1..1 while episodes are few."""
    low: float
    high: float
    """Between which it lies with 95 % probability, however often one looks."""
    shrunk: float
    """Drawn to what its kind and family add while episodes are few; for ranking."""

    @classmethod
    def of(cls, one: Standing) -> Self:
        """As it goes over the wire."""
        item, lift = one.item, one.lift
        return cls(
            item=item.id,
            kind=item.kind,
            status=item.status,
            n=lift.n,
            n_held=lift.n_held,
            mean=lift.mean,
            low=one.low,
            high=one.high,
            shrunk=one.shrunk,
        )


class LiftList(BaseModel):
    """What items add, the best first; an item that no coin has decided about is not here."""

    object: Literal["list"] = "list"
    data: list[LiftOut]


class CurveOut(BaseModel):
    """The learning curve of the newest episodes whose outcome is known, in the order they were lived."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["curve"] = "curve"
    episodes: int
    """So many were looked at, those without a known outcome too."""
    data: list[Point]


class DialsOut(BaseModel):
    """How the dials of a namespace stand."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    namespace: str
    mode: Mode | None
    """Null: as the server's setting says."""
    effective_mode: Mode
    """What holds for a request that does not say."""
    read: ReadName | None
    advantage_guard: bool | None
    verify: bool | None
    learning_tokens_day: int | None


@router.get("/dials", summary="How the dials stand")
async def get_dials(core: CoreDep, services: ServicesDep, caller: Reader) -> DialsOut:
    """Those of the key's namespace."""
    return await _dials(core, services, caller.namespace)


@router.patch("/dials", summary="Turn a dial")
async def turn_dials(body: DialsIn, core: CoreDep, services: ServicesDep, caller: Operator) -> DialsOut:
    """For operators; holds from the next request on, and the log says who turned it."""
    if not body.model_fields_set:
        raise BadInput(f"name a dial: there are {', '.join(get_args(DialName))}")
    if body.read == "neural" and services.settings.critic is None:
        raise BadInput("this server has no critic for the read policy 'neural': start it with one")
    turns: dict[DialName, Json] = {
        name: getattr(body, name) for name in get_args(DialName) if name in body.model_fields_set
    }
    turn = partial(core.memory.turn, principal=caller.principal, channel=caller.channel)
    for name, value in turns.items():
        await asyncio.to_thread(turn, caller.namespace, name, value)
    return await _dials(core, services, caller.namespace)


@router.get("/policies", summary="What read policies are worth")
async def get_policies(core: CoreDep, caller: Reader) -> PolicyList:
    """By the newest episodes in which a coin chose the policy, or held recall out; none without coins."""
    return PolicyList(data=list(await asyncio.to_thread(core.memory.policies, caller.namespace)))


@router.get("/lifts", summary="What items add")
async def get_lifts(
    core: CoreDep,
    caller: Reader,
    kind: ItemKind | None = None,
    item: Annotated[str | None, Query(max_length=256, description="Of this one alone.")] = None,
) -> LiftList:
    """By the episodes in which a coin showed an item or held it out; none without coins, the default."""
    found = await asyncio.to_thread(core.memory.lifts, caller.namespace, kind=kind, item=item)
    return LiftList(data=[LiftOut.of(one) for one in found])


@router.get("/learning/curve", summary="The learning curve, with its control arm")
async def get_curve(
    core: CoreDep,
    caller: Reader,
    blocks: Annotated[int, Query(ge=1, le=50, description="Most points of one arm.")] = 8,
    family: Annotated[str | None, Query(max_length=200, description="Of one site or family.")] = None,
) -> CurveOut:
    """Success and steps by block: with memory; held out by the coin (the control arm, where
    `APPRENTICE_RECALL_HOLD_OUT` is above 0); and shown nothing because the mode was `off` or `shadow`.
    """
    newest = await asyncio.to_thread(
        core.memory.episodes, caller.namespace, family=family, limit=NEWEST, newest=True
    )
    return CurveOut(episodes=len(newest), data=list(curve(newest[::-1], blocks)))


@router.get("/health/learning", summary="Does it still learn?")
async def get_learning(core: CoreDep, services: ServicesDep, caller: Reader) -> Learning:
    """When the namespace last learned, what waits, what it cost, and how the newest canary came through."""
    return await learning_of(core, services.settings, caller.namespace)


@router.post("/health/learning/canary", summary="Send a lesson through the whole path now")
async def send_canary(core: CoreDep, services: ServicesDep, _caller: Operator) -> CanaryReport | None:
    """For operators. Names the stage that failed; null when none has come back in time."""
    address = JobAddress(NAMESPACE, CANARY, new_id("canary"))
    await core.jobs.start(address, {})
    await core.jobs.wait(address, timeout_s=services.settings.max_wait_s)
    return await last_canary(core)


async def _dials(core: Core, services: Services, namespace: str) -> DialsOut:
    dials = await asyncio.to_thread(core.memory.dials, namespace)
    mode = await mode_for(core, services.settings, namespace, None)
    return DialsOut(namespace=namespace, effective_mode=mode, **asdict(dials))
