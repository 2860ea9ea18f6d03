"""Where every request says who sends it, by a key or an issuer's token, before anything else is done."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory.errors import ApprenticeError
from server.auth import Identity, Keys
from server.errors import Limited, Unauthenticated, answer_to
from server.key_use import KeyUse
from server.oidc import Issuer
from server.rates import Places, Rates

CALLER = "apprentice.caller"
"""Where a request's scope says who calls: an Identity, or why it is none."""


class Doorkeeper:
    """Knows callers by what they send."""

    def __init__(
        self,
        keys: Keys,
        *,
        issuer: Issuer | None = None,
        use: KeyUse | None = None,
        rates: Rates | None = None,
        places: Places | None = None,
        is_open: bool = False,
    ) -> None:
        self.keys = keys
        self.use = use
        self.rates = rates
        self.places = places or Places(None)
        self._issuer = issuer
        self._is_open = is_open

    async def identify(self, secret: str | None) -> Identity:
        """Who sends this. Raises Unauthenticated, IssuerDown."""
        found = None if secret is None else self.keys.identify(secret)
        if found is not None:
            if self.use is not None:
                self.use.note(found.principal)
            return found
        if self._is_open:
            # Clients that insist on a key send any: it is taken as none.
            return Identity("default", "local", "operator")
        if secret is None:
            raise Unauthenticated(
                "send a key as `Authorization: Bearer …`; `apprentice keys create` makes one"
            )
        if self._issuer is not None and secret.count(".") == 2:
            return await self._issuer.identify(secret)
        raise Unauthenticated("this key is unknown, expired or revoked")


class Gate:
    """Says in each request's scope who calls, and counts it against the caller's rate."""

    def __init__(self, app: ASGIApp, *, doorkeeper: Doorkeeper) -> None:
        self._app = app
        self._doorkeeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        keeper = self._doorkeeper
        try:
            scope[CALLER] = caller = await keeper.identify(_secret(scope))
        except ApprenticeError as error:
            # Told by the routes that ask: some answer anybody.
            scope[CALLER] = error
            await self._app(scope, receive, send)
            return
        if keeper.rates is None:
            await self._app(scope, receive, send)
            return
        try:
            standing = keeper.rates.take(caller.namespace, caller.principal)
        except Limited as error:
            await answer_to(error)(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and standing is not None:
                MutableHeaders(scope=message).update(standing.headers)
            await send(message)

        await self._app(scope, receive, told)


def caller_of(scope: Scope) -> Identity:
    """Who sends a request. Raises Unauthenticated, IssuerDown."""
    found = scope[CALLER]
    if isinstance(found, Identity):
        return found
    assert isinstance(found, ApprenticeError)
    raise found


def _secret(scope: Scope) -> str | None:
    kind, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    return (secret.strip() or None) if kind.lower() == "bearer" else None
