"""What routes ask for: the services, the caller, a role."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from memory.errors import Denied
from memory.types import GLOBAL
from server.auth import Identity
from server.errors import Unauthenticated
from server.services import Core, Services

_bearer = HTTPBearer(auto_error=False, description="An API key made by `apprentice keys create`.")


def get_services(request: Request) -> Services:
    """The services of this app."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def get_caller(
    services: ServicesDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    """Who calls, by the key alone. Raises Unauthenticated."""
    identity = None if credentials is None else services.keys.identify(credentials.credentials)
    if identity is not None:
        return identity
    if not services.settings.auth_required:
        # Clients that insist on a key send any: it is taken as none.
        return Identity("default", "local", "operator")
    if credentials is None:
        raise Unauthenticated("send a key as `Authorization: Bearer …`; `apprentice keys create` makes one")
    raise Unauthenticated("this key is unknown, expired or revoked")


Reader = Annotated[Identity, Depends(get_caller)]
"""Any valid key."""


def get_writer(caller: Reader) -> Identity:
    """A caller who may change things. Raises Denied."""
    if caller.role == "read-only":
        raise Denied("this key may only read")
    return caller


Writer = Annotated[Identity, Depends(get_writer)]


def get_worker(caller: Writer) -> Identity:
    """A caller whose agents may work: not one of the namespace that all read. Raises Denied."""
    if caller.namespace == GLOBAL:
        raise Denied(f"keys of {GLOBAL!r} write what every namespace reads; agents work with another key")
    return caller


Worker = Annotated[Identity, Depends(get_worker)]


def get_operator(caller: Reader) -> Identity:
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
