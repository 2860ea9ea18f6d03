"""Where tasks are done: the bundled worlds, and `tools`, free text done with the operator's functions."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence

from agent.tools import FunctionTool, ToolWorld
from agent.types import Catalogue, Task, World
from agent.worlds.catalogue import catalogue
from memory.errors import BadInput, NotFound
from memory.types import Json

BUNDLED = ("household", "workshop")
TOOLS = "tools"


class Worlds:
    """The worlds of one server."""

    def __init__(self, tools: Sequence[FunctionTool] = ()) -> None:
        self._tools = tuple(tools)

    @property
    def names(self) -> tuple[str, ...]:
        """What `Task.world` may be."""
        return (*BUNDLED, TOOLS)

    @property
    def tools(self) -> tuple[FunctionTool, ...]:
        """The functions of the world `tools`."""
        return self._tools

    def catalogue(self, name: str) -> Catalogue:
        """A world that can list its tasks. Raises NotFound."""
        if name not in BUNDLED:
            raise NotFound(f"no world is called {name!r} that lists tasks; there are {', '.join(BUNDLED)}")
        return catalogue(name)

    def task(self, world: str, config: Mapping[str, Json]) -> Task:
        """The task of a configuration; for `tools` that is `text` and maybe `family`. Raises BadInput."""
        if world != TOOLS:
            return self.catalogue(world).task(config)
        text = config.get("text")
        if not isinstance(text, str) or not text.strip():
            raise BadInput("a task in the world 'tools' needs a text")
        family = str(config.get("family") or TOOLS)
        digest = hashlib.sha256(json.dumps([TOOLS, family, text]).encode()).hexdigest()[:16]
        return Task(f"{TOOLS}-{digest}", text, TOOLS, family, {"text": text, "family": family})

    def make(self, task: Task) -> World:
        """A fresh world for a task."""
        return ToolWorld(self._tools) if task.world == TOOLS else self.catalogue(task.world).make()


def load_tools(names: Sequence[str]) -> tuple[FunctionTool, ...]:
    """Python functions by `module:function`, as the operator lists them. Raises BadInput."""
    tools = []
    for name in names:
        module, _, function = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise BadInput(f"the tool {name!r} cannot be imported as module:function: {error}") from error
        tools.append(FunctionTool.of(found))
    return tuple(tools)
