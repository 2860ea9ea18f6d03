"""What happens to every request: a size limit, a request id, one line of metrics."""

from __future__ import annotations

import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory.errors import TooLarge
from server.errors import respond, shape_of
from server.metrics import Metrics


class BodyLimit:
    """Refuses bodies over a limit, by their header or, when that lies or is missing, by counting."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        error = TooLarge(f"the body is larger than {self._max_bytes} bytes")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await respond(str(error), shape_of(error))(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                # Of this kind, because whoever reads the body turns other exceptions into 400.
                raise HTTPException(413, str(error))
            return message

        await self._app(scope, counted, send)


class Observe:
    """Counts and times requests by route, and gives each an id (`X-Request-Id`)."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = f"req_{secrets.token_hex(8)}"
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = _route(scope)
            self._metrics.requests.labels(scope["method"], route, str(status)).inc()
            self._metrics.request_seconds.labels(scope["method"], route).observe(
                time.perf_counter() - started
            )


class CountedRoute(Route):
    """A route of a bare ASGI application that is counted under its path, as FastAPI's own are."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope["route"] = self
        await super().handle(scope, receive, send)


def _route(scope: MutableMapping[str, Any]) -> str:
    # The pattern, not the path: ids must not become labels.
    return getattr(scope.get("route"), "path", "unmatched")
