"""Procedures on demand: the prompt holds a line of each that was recalled, a tool gives the rest.

Source: MUSE (arXiv 2510.08002), procedural memory: an index in the prompt, bodies by a tool. Deviations: the
index holds what was recalled, not all there is; what a coin held out cannot be read either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agent.prompt import FETCH
from agent.settings import Run
from agent.toolbox import Toolbox
from agent.types import Observation, ToolSpec
from memory.core import Memory
from memory.modes import USES
from memory.types import Json

RECALL_PROCEDURE = ToolSpec(
    FETCH,
    "Read a procedure of memory, by the id of its item. Changes nothing.",
    {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": False,
    },
    read_only=True,
)


@dataclass(slots=True)
class Shelf:
    """What may be read in one run."""

    memory: Memory
    run: Run
    offered: frozenset[str] = frozenset()

    def offer(self, procedures: Sequence[str], box: Toolbox) -> None:
        """Let these be read from now on. Raises BadInput when the world has a tool of that name."""
        if procedures:
            self.offered |= frozenset(procedures)
            box.offer(RECALL_PROCEDURE, self._read)

    async def _read(self, arguments: Mapping[str, Json]) -> Observation:
        name = str(arguments.get("id", ""))
        # What is frozen keeps its counters too.
        counts = USES[self.run.memory].credits
        fetch = partial(
            self.memory.fetched, self.run.namespace, name, principal=self.run.principal, counts=counts
        )
        item = await asyncio.to_thread(fetch) if name in self.offered else None
        if item is None:
            return Observation(f"there is no procedure {name!r} to read here.", ok=False)
        return Observation(item.text, ok=True)
