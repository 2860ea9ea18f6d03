"""A connection to one MCP server, made when it is needed and again after it was lost.

The protocol's streams belong to the task that opened them, so each connection has a task of its own that does
nothing but hold it; requests are sent from wherever they are made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from mcp import Client, ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.client import Transport
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    PaginatedRequestParams,
)

from agent.mcp.definitions import Definition
from agent.mcp.servers import McpServer
from memory.errors import WorldError
from memory.types import Json

MOST_PAGES = 50
"""Of one listing of tools."""


class Lost(Exception):  # control flow inside this room: it becomes an observation
    """The server went away while a call was under way."""


class Refused(Exception):  # likewise
    """The server answered with an error of the protocol."""


class _Live:
    """An open connection and the task that holds it."""

    def __init__(self, server: McpServer) -> None:
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._hold(server))

    @property
    def is_over(self) -> bool:
        """Is nobody holding it any more?"""
        return self._task.done() or self._stop.is_set()

    async def session(self) -> ClientSession:
        """Once it is open. Raises what opening raised."""
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        """End it; a process that does not go by itself is killed."""
        self._stop.set()
        if not self._opened.done():
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _hold(self, server: McpServer) -> None:
        try:
            async with Client(_transport(server), cache=None) as client:
                self._opened.set_result(client.session)
                await self._stop.wait()
        except BaseException as error:  # noqa: BLE001 - the edge to a foreign process: told to whoever waits
            if not self._opened.done():
                self._opened.set_exception(WorldError(_root(error)))
                self._opened.exception()  # nobody may be waiting any more


class Connection:
    """One server, whether it is there or not."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self._live: _Live | None = None
        self._lock = asyncio.Lock()

    async def definitions(self) -> dict[str, Definition]:
        """Its tools as it lists them now, only those that are allowed; connects again where that is needed.

        Raises WorldError when it cannot be reached.
        """
        is_new = self._live is None or self._live.is_over
        try:
            return await self._listed()
        except Exception as error:
            await self._drop()
            if is_new:
                raise self._unreachable(error) from error
        try:
            return await self._listed()
        except Exception as error:
            await self._drop()
            raise self._unreachable(error) from error

    async def call(self, tool: str, arguments: Mapping[str, Json]) -> CallToolResult:
        """Send one call, once. Raises Lost, Refused, and TimeoutError after `timeout_s`."""
        live = self._live
        if live is None or live.is_over:
            raise Lost("it was not connected")
        params = CallToolRequestParams(name=tool, arguments=dict(arguments))
        try:
            async with asyncio.timeout(self.server.timeout_s):
                session = await live.session()
                return await session.send_request(CallToolRequest(params=params), CallToolResult)
        except TimeoutError:
            raise
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise Refused(str(error)) from error
            await self._drop(live)
            raise Lost(str(error)) from error
        except Exception as error:
            await self._drop(live)
            raise Lost(_root(error)) from error

    async def close(self) -> None:
        """Let go; a later use connects again."""
        await self._drop()

    async def _listed(self) -> dict[str, Definition]:
        async with asyncio.timeout(self.server.connect_s):
            session = await (await self._opened()).session()
            found: dict[str, Definition] = {}
            cursor: str | None = None
            for _ in range(MOST_PAGES):
                page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
                for tool in page.tools:
                    if self.server.allows(tool.name):
                        words = (tool.description or "", tool.input_schema, tool.output_schema)
                        found[tool.name] = Definition(tool.name, *words)
                cursor = page.next_cursor
                if cursor is None:
                    return found
        raise WorldError(f"its list of tools has more than {MOST_PAGES} pages")

    async def _opened(self) -> _Live:
        async with self._lock:
            if self._live is None or self._live.is_over:
                self._live = _Live(self.server)
            return self._live

    async def _drop(self, live: _Live | None = None) -> None:
        """Close what is open; with `live`, only if that is still it."""
        async with self._lock:
            if self._live is None or (live is not None and live is not self._live):
                return
            gone, self._live = self._live, None
        await gone.close()

    def _unreachable(self, error: Exception) -> WorldError:
        why = "it did not answer in time" if isinstance(error, TimeoutError) else _root(error)
        return WorldError(f"the MCP server {self.server.name!r} cannot be reached: {why}")


def _transport(server: McpServer) -> Transport:
    if server.command:
        program, *arguments = server.command
        return stdio_client(
            StdioServerParameters(
                command=program, args=arguments, env=dict(server.environment), cwd=server.folder
            )
        )
    return _over_http(server)


@asynccontextmanager
async def _over_http(server: McpServer) -> AsyncIterator[TransportStreams]:
    limits = httpx2.Timeout(server.connect_s, read=max(server.timeout_s, server.connect_s))
    async with contextlib.AsyncExitStack() as held:
        client = await held.enter_async_context(
            httpx2.AsyncClient(headers=dict(server.headers), timeout=limits)
        )
        yield await held.enter_async_context(streamable_http_client(server.url, http_client=client))


def _root(error: BaseException) -> str:
    """The first cause inside of a group, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
