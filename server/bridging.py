"""Standard input and output joined to a running server's `/mcp`, for clients that start a program."""

from __future__ import annotations

from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult

from server.client import ApiError

LONGEST_S = 700.0
"""Longer than the server waits for a task."""


async def bridge(url: str, key: str | None) -> None:
    """Serve until standard input ends. Raises ApiError when the server cannot be reached or refuses."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx2.Timeout(LONGEST_S, connect=5.0)
    async with httpx2.AsyncClient(headers=headers, timeout=limits, trust_env=False) as http:
        await _check(http, url)
        async with Client(streamable_http_client(url, http_client=http), cache=None) as client:
            server = _joined(client)
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())


def _joined(client: Client) -> Server[Any]:
    async def list_tools(_context: object, _params: object) -> ListToolsResult:
        return await client.session.list_tools()

    async def call_tool(_context: object, params: Any) -> CallToolResult:
        # Not the client's own `call_tool`, which may send a call a second time.
        return await client.session.call_tool(params.name, params.arguments)

    return Server(
        "apprentice",
        version="0.1.0",
        instructions=client.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _check(http: httpx2.AsyncClient, url: str) -> None:
    """A clear word before the protocol begins."""
    try:
        answer = await http.post(url, json={})
    except httpx2.TransportError as error:
        raise ApiError(f"no server answers at {url}: {error}; start one with `apprentice serve`") from error
    if answer.status_code in {401, 403, 404}:
        raise ApiError(f"{url} answers {answer.status_code}: {answer.text[:300]}", answer.status_code)
