"""Consolidation as a job: near-duplicates, procedures, archive; stops between two steps when told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from memory.codec import from_json
from memory.core import Memory
from memory.types import Json
from server.jobs import JobAddress, JobKind, JobRun, json_object

CONSOLIDATE, NIGHTLY = "consolidate", "consolidate_all"


@dataclass(frozen=True, slots=True)
class ConsolidateOrder:
    """A consolidation as it is stored with its job."""

    principal: str
    dry_run: bool


class Consolidating:
    """The handler of consolidations."""

    def __init__(self, memory: Memory, *, nightly: bool) -> None:
        self._memory = memory
        self._nightly = nightly

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Consolidate the job's namespace; returns the report.

        After a crash it begins anew: what was done is done, and is not proposed again.
        """
        order = from_json(ConsolidateOrder, dict(arguments))
        stop = threading.Event()

        async def do() -> Json:
            report = await asyncio.to_thread(
                self._memory.consolidate,
                run.address.namespace,
                principal=order.principal,
                dry_run=order.dry_run,
                stop=stop.is_set,
            )
            return json_object(report)

        try:
            report = await run.step("consolidate", do)
        except asyncio.CancelledError:
            stop.set()
            raise
        assert isinstance(report, dict)
        return report

    async def run_all(self, run: JobRun, _arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Queue a consolidation of every namespace, where that is wanted."""

        async def find() -> Json:
            return list(await asyncio.to_thread(self._memory.namespaces)) if self._nightly else []

        names = await run.step("find", find)
        assert isinstance(names, list)
        for name in map(str, names):
            address = JobAddress(name, CONSOLIDATE, f"consolidation_{run.address.id}")
            await run.enqueue(address, json_object(ConsolidateOrder("memory", dry_run=False)))
        return {"namespaces": names}

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told: one at a time in a namespace."""
        return {
            CONSOLIDATE: JobKind(self.run, limit=2, ordered=True),
            NIGHTLY: JobKind(self.run_all, limit=1),
        }
