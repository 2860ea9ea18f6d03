"""`apprentice mcp`: the tools of others that tasks may use, and this server as tools for others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    console,
    fail,
    show_json,
    show_table,
)

if TYPE_CHECKING:
    from agent.mcp.known import Seen
    from agent.mcp.tools import McpServers

mcp_app = typer.Typer(
    help="Tools of MCP servers for our tasks, and our memory as tools for others.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="Name of a server in the file that APPRENTICE_MCP_SERVERS names.")]


@mcp_app.command()
def tools(name: Name, as_json: AsJson = False, data: Data = DEFAULT_DATA) -> None:
    """What a server offers now, and whether that is what it offered before."""
    seen = _asked(data, lambda servers: servers.look(name))
    rows = [(one.definition.name, one.standing, _words(one)) for one in seen]
    if as_json:
        show_json([dict(zip(("tool", "standing", "says"), row, strict=True)) for row in rows])
        return
    show_table(f"Tools of {name}", ("tool", "it is", "what it says of itself"), rows, "None is allowed.")


@mcp_app.command()
def accept(name: Name, as_json: AsJson = False, data: Data = DEFAULT_DATA) -> None:
    """Take a server's tools as they are now; what had changed is offered to tasks again."""
    seen = _asked(data, lambda servers: servers.accept(name))
    changed = [one.definition.name for one in seen if one.standing == "changed"]
    if as_json:
        show_json({"accepted": len(seen), "changed": changed})
        return
    console.print(f"accepted {len(seen)} tools of {name}, changed: {', '.join(changed) or 'none'}")


@mcp_app.command()
def stdio(url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Be an MCP server over stdin and stdout: what a running server offers at /mcp, by the same key."""
    from memory.errors import ApprenticeError
    from server.bridging import bridge
    from server.client import find_key

    try:
        asyncio.run(bridge(f"{url.rstrip('/')}/mcp", find_key(data)))
    except ApprenticeError as error:
        fail(str(error))


def _asked(data: Path, ask: Callable[[McpServers], Awaitable[tuple[Seen, ...]]]) -> tuple[Seen, ...]:
    from memory.errors import ApprenticeError
    from server.settings import Settings
    from server.wiring import mcp_servers

    async def run() -> tuple[Seen, ...]:
        servers = mcp_servers(Settings(data_dir=data))
        try:
            return await ask(servers)
        finally:
            await servers.close()

    try:
        return asyncio.run(run())
    except ApprenticeError as error:
        fail(str(error))
        raise


def _words(seen: Seen) -> str:
    from agent.mcp.definitions import quoted

    now = quoted(seen.definition.description)
    if seen.standing != "changed" or seen.before is None:
        return now
    return f"{now} (was {quoted(seen.before.description)})"
