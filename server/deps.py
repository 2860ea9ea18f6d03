"""What routes ask for: the services, the caller, a role; and what `server.access` holds all of them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from memory.errors import Denied
from memory.types import GLOBAL
from server.access import permit, rule_of
from server.auth import Identity
from server.gate import caller_of
from server.services import Core, Services

_bearer = HTTPBearer(auto_error=False, description="An API key, or a token of the issuer.")


async def get_services(request: Request) -> Services:
    """The services of this app."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def get_caller(
    request: Request, _told: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    """Who calls, by the credential alone. Raises Unauthenticated."""
    return caller_of(request.scope)


async def authorize(request: Request, services: ServicesDep) -> AsyncIterator[None]:
    """What every route begins with: may this caller call it, and is there a place? Raises Denied, Limited."""
    rule = rule_of(request.method, request.scope["route"].path)
    if rule.is_open:
        yield
        return
    caller = caller_of(request.scope)
    permit(caller, rule)
    with services.doorkeeper.places.one(caller.namespace) if rule.is_chat else nullcontext():
        yield


async def audit(request: Request, services: ServicesDep) -> AsyncIterator[None]:
    """What every route ends with: what the table says is audited is logged before it is answered."""
    yield
    path = request.scope["route"].path
    if not rule_of(request.method, path).is_audited:
        return
    caller, core = caller_of(request.scope), await services.core()
    did = {**request.path_params, **getattr(request.state, "did", {})}
    act = {"act": f"{request.method} {path}", **{name: str(value) for name, value in did.items()}}
    await asyncio.to_thread(core.memory.witness, caller.namespace, act, principal=caller.principal)


Reader = Annotated[Identity, Depends(get_caller)]
"""Any valid key."""


async def get_writer(caller: Reader) -> Identity:
    """A caller who may change things. Raises Denied."""
    if caller.role == "read-only":
        raise Denied("this key may only read")
    return caller


Writer = Annotated[Identity, Depends(get_writer)]


def check_worker(caller: Identity) -> Identity:
    """A caller whose agents may work: not one of the namespace that all read. Raises Denied."""
    if caller.namespace == GLOBAL:
        raise Denied(f"keys of {GLOBAL!r} write what every namespace reads; agents work with another key")
    return caller


async def get_worker(caller: Writer) -> Identity:
    """The same of a request. Raises Denied."""
    return check_worker(caller)


Worker = Annotated[Identity, Depends(get_worker)]


async def get_operator(caller: Reader) -> Identity:
    """A caller who may change what is served. Raises Denied."""
    if caller.role != "operator":
        raise Denied(f"this needs an operator's key; this one has the role {caller.role!r}")
    return caller


Operator = Annotated[Identity, Depends(get_operator)]


async def get_core(services: ServicesDep, _caller: Reader) -> Core:
    """The open core; only callers with a key may wait for it. Raises NotReady."""
    return await services.core()


CoreDep = Annotated[Core, Depends(get_core)]
Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of one page.")]
After = Annotated[str | None, Query(description="`next` of the page before.")]
