"""What happens to every request: limits of its body, headers for browsers, an id, one line of metrics."""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory.errors import TooLarge
from server.errors import on_unexpected, respond, shape_of


class BodyLimit:
    """Refuses slow bodies, and large ones by their header or, if that lies or is missing, by counting."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_s = max_s

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
        seen, is_whole = 0, False
        until = asyncio.get_running_loop().time() + self._max_s

        async def counted() -> Message:
            nonlocal seen, is_whole
            try:
                # After the body one waits for the client to leave, which may take as long as the answer.
                async with asyncio.timeout_at(None if is_whole else until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not come within {self._max_s:g} s") from None
            is_whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                # Of this kind, because whoever reads the body turns other exceptions into 400.
                raise HTTPException(413, str(error))
            return message

        await self._app(scope, counted, send)


POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""What a page of ours may load, where its route says nothing else."""
_DOCS_POLICY = (
    "default-src 'self' https://cdn.jsdelivr.net; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net;"
    " style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com;"
    " font-src https://fonts.gstatic.com; img-src 'self' data: https://fastapi.tiangolo.com;"
    " worker-src blob:; frame-ancestors 'none'"
)
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Unforeseen:
    """Answers what no handler knows: the framework's last resort stands outside all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. What breaks after the answer has begun goes on: the connection is cut."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await on_unexpected(Request(scope), error)(scope, receive, send)


class Shield:
    """Headers that keep a browser from doing more with an answer than it should; what a route says stands."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_docs = scope["path"] in {"/docs", "/docs/oauth2-redirect", "/redoc"}

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _DOCS_POLICY if is_docs else POLICY)
                if scope["path"].startswith("/v1/"):
                    # What a key opens is nobody else's to keep.
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, shielded)


class CountedRoute(Route):
    """A route of a bare ASGI application that is counted under its path, as FastAPI's own are."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope["route"] = self
        await super().handle(scope, receive, send)
