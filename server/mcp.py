"""The server as an MCP server, over streamable HTTP at `/mcp`: every request is by a key, as everywhere.

No sessions: a request carries its key and is answered for itself, so that nobody can go on in another's.
The protocol's packages are imported at the first request, since they take half a second.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from memory.errors import ApprenticeError
from memory.types import Json
from server.auth import Identity
from server.errors import answer_to
from server.gate import caller_of
from server.offering import OFFERS, Asked, Offer
from server.services import Services

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp_types import CallToolResult, Tool

log = logging.getLogger("apprentice.server")
INSTRUCTIONS = (
    "Memory and an agent that learns: `recall` before you begin, `remember` what turned out, read the"
    " `constitution`, or give a whole `task` away."
)
_LOOPBACK = ["127.0.0.1:*", "localhost:*", "[::1]:*"]


class McpEndpoint:
    """The ASGI application of one path."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._holder: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the application serves."""
        try:
            yield
        finally:
            self._stop.set()
            if self._holder is not None:
                await asyncio.wait([self._holder], timeout=5.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Without a key that opens something the answer is 401."""
        try:
            caller_of(scope)
        except ApprenticeError as error:
            await answer_to(error)(scope, receive, send)
            return
        await (await self._manager()).handle_request(scope, receive, send)

    async def _manager(self) -> StreamableHTTPSessionManager:
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._holder = asyncio.create_task(self._hold(self._ready))
        return await asyncio.shield(self._ready)

    async def _hold(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        # The manager's tasks belong to the task that runs it, which outlives every request.
        try:
            manager = await asyncio.to_thread(_made, self._services)
            async with manager.run():
                ready.set_result(manager)
                await self._stop.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)


def _made(services: Services) -> StreamableHTTPSessionManager:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings

    # Without keys a page in a browser must not reach us through a name that it rebinds.
    is_open = not services.settings.auth_required
    security = TransportSecuritySettings(enable_dns_rebinding_protection=is_open, allowed_hosts=_LOOPBACK)
    return StreamableHTTPSessionManager(
        tool_server(services),
        json_response=True,
        stateless=True,
        security_settings=security,
        max_request_body_size=services.settings.max_body_bytes,
    )


def tool_server(services: Services) -> Server[Any]:
    """The protocol's side: which tools there are for a caller, and their calls."""
    from mcp.server.lowlevel.server import Server
    from mcp_types import ListToolsResult

    async def list_tools(context: Any, _params: object) -> ListToolsResult:
        caller = caller_of(context.request.scope)
        return ListToolsResult(tools=[_tool(name, one) for name, one in OFFERS.items() if _may(caller, one)])

    async def call_tool(context: Any, params: Any) -> CallToolResult:
        return await _called(services, caller_of(context.request.scope), params.name, params.arguments or {})

    return Server(
        "apprentice",
        version="0.1.0",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _called(
    services: Services, caller: Identity, name: str, arguments: dict[str, Json]
) -> CallToolResult:
    from mcp_types import CallToolResult, TextContent

    def said(text: str, data: dict[str, Json] | None = None, *, is_error: bool = False) -> CallToolResult:
        content = [TextContent(type="text", text=text)]
        return CallToolResult(content=list(content), structured_content=data, is_error=is_error)

    offer = OFFERS.get(name)
    if offer is None:
        return said(f"there is no tool {name!r}; there are: {', '.join(OFFERS)}", is_error=True)
    try:
        offer.admit(caller)
        text, data = await offer.run(Asked(services, await services.core(), caller), arguments)
    except ApprenticeError as error:
        return said(str(error), is_error=True)
    except Exception:
        log.exception("unexpected error in the tool %s", name)
        return said("unexpected error; the server's log has the details", is_error=True)
    return said(text, json.loads(json.dumps(data)))


def _tool(name: str, offer: Offer) -> Tool:
    from mcp_types import Tool, ToolAnnotations

    return Tool(
        name=name,
        description=offer.description,
        input_schema=offer.arguments.model_json_schema(),
        annotations=ToolAnnotations(read_only_hint=offer.read_only, open_world_hint=name == "task"),
    )


def _may(caller: Identity, offer: Offer) -> bool:
    try:
        offer.admit(caller)
    except ApprenticeError:
        return False
    return True
