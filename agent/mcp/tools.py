"""Tools of MCP servers, as a world takes them, and all the servers of one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.mcp.answers import observed
from agent.mcp.connection import Connection, Lost, Refused
from agent.mcp.definitions import Definition, bounded, offered, quoted
from agent.mcp.known import Known, Seen
from agent.mcp.servers import McpServer
from agent.types import Observation, ToolSpec
from memory.errors import BadInput, StoreError, WorldError
from memory.types import Channel, Json

log = logging.getLogger("apprentice.agent")


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool of a server, as it was when it was offered."""

    spec: ToolSpec
    channel: Channel
    definition: Definition
    _connection: Connection = field(repr=False)

    async def call(self, arguments: Mapping[str, Json]) -> Observation:
        """Look whether the tool is still what was offered, then call it, once.

        Nothing is sent twice: where nobody knows whether a call was done, the answer says so.
        """
        name, server = self.spec.name, self._connection.server
        try:
            now = (await self._connection.definitions()).get(self.definition.name)
        except WorldError as error:
            return Observation(f"{name} was not called: {error}", ok=False)
        if now is None or now.digest != self.definition.digest:
            what = "is gone" if now is None else "has changed"
            return Observation(f"{name} was not called: it {what} since it was offered.", ok=False)
        try:
            result = await self._connection.call(self.definition.name, arguments)
        except TimeoutError:
            text = f"{name} did not answer within {server.timeout_s:g} seconds. It may have been done."
            return Observation(text, ok=False)
        except Lost:
            text = f"{name}: the MCP server {server.name} went away in the middle. It may have been done."
            return Observation(text, ok=False)
        except Refused as error:
            return Observation(f"{name} failed: {quoted(str(error))}", ok=False)
        output = self.definition.output
        return observed(name, result, None if output is None else bounded(output, name))


class McpServers:
    """All that are configured, for every task of a process; each is connected to when it is first needed."""

    def __init__(self, servers: Sequence[McpServer] = (), known: Known | None = None) -> None:
        self._connections = {server.name: Connection(server) for server in servers}
        self._known = known or Known()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all servers."""
        return tuple(self._connections)

    def check(self, names: Sequence[str], namespace: str) -> None:
        """Raises BadInput on a name that this namespace has no server of."""
        there = [one for one, held in self._connections.items() if held.server.serves(namespace)]
        for name in names:
            if name not in there:
                raise BadInput(
                    f"no MCP server is called {name!r} here; there are: {', '.join(there) or 'none'}"
                )

    async def tools(self, namespace: str, names: Sequence[str] | None = None) -> tuple[McpTool, ...]:
        """What these servers offer a namespace; without names, all of them that can be reached.

        Raises BadInput on a name that is not there, WorldError when a named server cannot be reached.
        """
        if names is not None:
            self.check(names, namespace)
        wanted = [
            held
            for name, held in self._connections.items()
            if held.server.serves(namespace) and (names is None or name in names)
        ]
        found = await asyncio.gather(*(self._offered(one, names is not None) for one in wanted))
        return tuple(tool for tools in found for tool in tools)

    async def look(self, name: str) -> tuple[Seen, ...]:
        """A server's tools, allowed ones, beside what was known of them. Raises BadInput, WorldError."""
        connection = self._connection(name)
        definitions = await connection.definitions()
        return self._known.look(name, definitions.values())

    async def accept(self, name: str) -> tuple[Seen, ...]:
        """Take a server's tools as they are now. Raises BadInput, WorldError."""
        seen = await self.look(name)
        self._known.accept(name, (one.definition for one in seen))
        return seen

    async def close(self) -> None:
        """Let go of all."""
        await asyncio.gather(*(held.close() for held in self._connections.values()))

    async def _offered(self, connection: Connection, must: bool) -> tuple[McpTool, ...]:
        server = connection.server
        try:
            seen = await self.look(server.name)
        except (WorldError, StoreError) as error:
            if must:
                raise
            log.warning("its tools are left out: %s", error)
            return ()
        tools = [tool for one in seen if (tool := self._tool(connection, one)) is not None]
        names = [tool.spec.name for tool in tools]
        return tuple(tool for tool in tools if names.count(tool.spec.name) == 1)

    def _tool(self, connection: Connection, seen: Seen) -> McpTool | None:
        server, name = connection.server, seen.definition.name
        if seen.standing == "changed":
            log.warning(
                "tool %r of the MCP server %r is not what it was when it was first seen; it is withheld until"
                " `apprentice mcp accept %s`",
                name,
                server.name,
                server.name,
            )
            return None
        try:
            spec = offered(server, seen.definition)
            if seen.definition.output is not None:
                bounded(seen.definition.output, spec.name)
        except BadInput as error:
            log.warning("tool %r of the MCP server %r is left out: %s", name, server.name, error)
            return None
        return McpTool(spec, server.channel, seen.definition, connection)

    def _connection(self, name: str) -> Connection:
        if name not in self._connections:
            raise BadInput(f"no MCP server is called {name!r}; there are: {', '.join(self.names) or 'none'}")
        return self._connections[name]
