"""What is seen of every request: its id, one line of the log, its counters."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory.types import Json
from server.auth import Identity
from server.gate import CALLER
from server.logs import about, told
from server.metrics import Metrics
from server.tracing import Tracer, Value

log = logging.getLogger("apprentice.requests")
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_PROBES = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What machines ask all day is logged at `debug`."""


class Observe:
    """Counts and times requests by route, logs each, and gives each an id, the caller's where sane."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, tracer: Tracer) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, headers = time.perf_counter(), 500, Headers(scope=scope)
        request = request_id(headers.get("x-request-id"))

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request
            await send(message)

        above = headers.get("traceparent")
        with (
            self._tracer.span(scope["method"], "server", parent=above) as span,
            about(request=request, **_trace(self._tracer)),
        ):
            try:
                await self._app(scope, receive, noted)
            finally:
                self._ended(scope, status, time.perf_counter() - started)
                if self._tracer.is_on:
                    span.rename(f"{scope['method']} {route_of(scope)}")
                    span.note(_seen(scope, status, request))

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.request_seconds.labels(scope["method"], route).observe(seconds)
        level = logging.DEBUG if route in _PROBES and status < 500 else logging.INFO
        if log.isEnabledFor(level):
            line: dict[str, Json] = {"method": scope["method"], "route": route, "status": status}
            line |= {"ms": round(seconds * 1000, 1), **_caller(scope)}
            log.log(level, "request", extra=told(line))


def request_id(asked: str | None) -> str:
    """The id that a caller gave, where it may stand in a log; else a fresh one.

    >>> request_id("build-7/step:2"), request_id("two words")[:4], request_id("x" * 200)[:4]
    ('build-7/step:2', 'req_', 'req_')
    """
    if asked is not None and _SANE.fullmatch(asked):
        return asked
    return f"req_{secrets.token_hex(8)}"


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Its pattern, not its path: ids must not become labels."""
    return getattr(scope.get("route"), "path", "unmatched")


def _seen(scope: Scope, status: int, request: str) -> dict[str, Value]:
    caller = {f"apprentice.{name}": str(value) for name, value in _caller(scope).items()}
    return {
        "http.request.method": scope["method"],
        "http.route": route_of(scope),
        "http.response.status_code": status,
        "apprentice.request": request,
        **caller,
    }


def _trace(tracer: Tracer) -> dict[str, Json]:
    """What lines of the log say of a trace."""
    here = tracer.current()
    return {} if here is None else {"trace": here.split("-")[1]}


def _caller(scope: Scope) -> dict[str, Json]:
    caller = scope.get(CALLER)
    if not isinstance(caller, Identity):
        return {}
    return {"namespace": caller.namespace, "principal": caller.principal}
