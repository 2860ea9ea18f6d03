"""Where tasks are done: the bundled worlds, those of others, `tools` with functions of the operator's."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from agent.tools import FunctionTool, ToolWorld
from agent.types import Catalogue, Task, World
from agent.worlds.catalogue import catalogue
from memory.errors import BadInput, NotFound
from memory.types import Json

if TYPE_CHECKING:  # imports the protocol's packages
    from pathlib import Path

    from agent.mcp.tools import McpServers
    from server.settings_worlds import GymAt, WorldSettings

BUNDLED = ("household", "workshop", "estate", "city")
TOOLS = "tools"


class Worlds:
    """The worlds of one server."""

    def __init__(
        self,
        tools: Sequence[FunctionTool] = (),
        servers: McpServers | None = None,
        others: Mapping[str, Callable[[], Catalogue]] | None = None,
    ) -> None:
        """`servers` are strangers' tools, for the world `tools`; `others` are opened when needed."""
        self._tools = tuple(tools)
        self._servers = servers
        self._others = dict(others or {})
        self._opened: dict[str, Catalogue] = {}
        self._lock = Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """What `Task.world` may be."""
        return (*self.listed, TOOLS)

    @property
    def listed(self) -> tuple[str, ...]:
        """Those that can list their tasks."""
        return (*BUNDLED, *self._others)

    @property
    def tools(self) -> tuple[FunctionTool, ...]:
        """The functions of the world `tools`."""
        return self._tools

    def catalogue(self, name: str) -> Catalogue:
        """A world that can list its tasks. Raises NotFound, BadInput where it is set but cannot be opened."""
        if name in BUNDLED:
            return catalogue(name)
        if name not in self._others:
            raise NotFound(
                f"no world is called {name!r} that lists tasks; there are {', '.join(self.listed)}"
            )
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._others[name]()
            return self._opened[name]

    def task(self, world: str, config: Mapping[str, Json]) -> Task:
        """The task of a configuration; for `tools` that is `text` and maybe `family` and `mcp`.

        Raises BadInput.
        """
        if world != TOOLS:
            return self.catalogue(world).task(config)
        text = config.get("text")
        if not isinstance(text, str) or not text.strip():
            raise BadInput("a task in the world 'tools' needs a text")
        family = str(config.get("family") or TOOLS)
        digest = hashlib.sha256(json.dumps([TOOLS, family, text]).encode()).hexdigest()[:16]
        named: dict[str, Json] = {} if config.get("mcp") is None else {"mcp": config["mcp"]}
        return Task(f"{TOOLS}-{digest}", text, TOOLS, family, {"text": text, "family": family, **named})

    async def enter(self, task: Task, namespace: str) -> World:
        """A fresh world for a task of a namespace, with the MCP servers that it names, else all it may use.

        Raises BadInput on a name that is not there, WorldError when a named server cannot be reached.
        """
        if task.world != TOOLS:
            return self.make(task)
        if self._servers is None:
            return self.make(task)
        found = await self._servers.tools(namespace, _named(task.config))
        return ToolWorld((*self._tools, *found))

    def check(self, task: Task, namespace: str) -> None:
        """Raises BadInput when a task names an MCP server that its namespace has not."""
        named = _named(task.config)
        if named and self._servers is None:
            raise BadInput(f"there are no MCP servers here, not {named[0]!r}: the operator sets mcp_servers")
        if named and self._servers is not None:
            self._servers.check(named, namespace)

    async def close(self) -> None:
        """Let go of the MCP servers."""
        if self._servers is not None:
            await self._servers.close()

    def make(self, task: Task) -> World:
        """A fresh world for a task, with our own tools alone."""
        return ToolWorld(self._tools) if task.world == TOOLS else self.catalogue(task.world).make()


def _named(config: Mapping[str, Json]) -> tuple[str, ...] | None:
    named = config.get("mcp")
    if named is None:
        return None
    if not isinstance(named, list):
        raise BadInput(f"mcp is {named!r}: give a list of names of MCP servers")
    return tuple(map(str, named))


def others(settings: WorldSettings) -> dict[str, Callable[[], Catalogue]]:
    """How the worlds of others that are set are opened. Raises BadInput on a name that is taken."""
    wanted: list[tuple[str, Callable[[], Catalogue]]] = []
    for world in settings.worlds:
        name, _, where = world.partition("=")
        wanted.append(
            (name, partial(_own, name, where) if where else partial(_foreign, name, settings.alfworld_data))
        )
    wanted += [(name, partial(_gym, name, at)) for name, at in settings.gyms.items()]
    found: dict[str, Callable[[], Catalogue]] = {}
    for name, opened in wanted:
        if name in (*BUNDLED, TOOLS, *found):
            raise BadInput(
                f"a world is called {name!r} already: give that in `worlds` or `gyms` another name"
            )
        found[name] = opened
    return found


def _own(name: str, where: str) -> Catalogue:
    made: Catalogue = _imported(where, "world")()
    if made.name != name:
        raise BadInput(f"{where!r} calls itself {made.name!r}: set it as {made.name}={where}")
    return made


def _foreign(name: str, alfworld_data: Path | None) -> Catalogue:
    match name:
        case "alfworld":
            from agent.worlds.alfworld import Alfworld

            return Alfworld(alfworld_data)
        case "miniwob":
            from agent.worlds.miniwob import MiniWob

            return MiniWob()
        case "babyai":
            from agent.worlds.babyai import BabyAi

            return BabyAi()
        case "textworld":
            from agent.worlds.textworld import TextWorld

            return TextWorld()
        case "pddl":
            from agent.worlds.pddl.world import Pddl

            return Pddl()
    from agent.worlds.scienceworld import ScienceWorld

    return ScienceWorld()


def _gym(name: str, at: GymAt) -> Catalogue:
    from agent.worlds.gym import Gym, GymServer

    splits = {split: range(*ends) for split, ends in at.splits.items()}
    return Gym(GymServer(name, at.url, splits, at.index, at.beside, at.full))


def load_tools(names: Sequence[str]) -> tuple[FunctionTool, ...]:
    """Python functions by `module:function`, as the operator lists them. Raises BadInput."""
    return tuple(FunctionTool.of(_imported(name, "tool")) for name in names)


def _imported(where: str, what: str) -> Callable[..., Any]:
    """What `module:function` names. Raises BadInput."""
    module, _, name = where.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"the {what} {where!r} cannot be imported as module:function: {error}") from error
    return found
