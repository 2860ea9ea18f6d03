"""What a running server is made of, and how it comes up: the port opens first, the heavy parts follow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.opening import AgentSettings
from memory.core import Memory
from memory.types import Query
from server.auth import Keys
from server.checks import Checks
from server.errors import NotReady
from server.gate import Doorkeeper
from server.hooks import Hooks
from server.jobs import Jobs
from server.metrics import Metrics
from server.models import Models
from server.quotas import Quotas
from server.settings import Settings
from server.shelf import Shelf
from server.suites import Declared
from server.tracing import NoTracer, Tracer
from server.worlds import Worlds

if TYPE_CHECKING:  # torch takes seconds to import
    from distill.registry import Registry
    from server.schedules import Schedules  # they set tasks, which the core holds

log = logging.getLogger("apprentice.server")


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that take a moment to open."""

    memory: Memory
    models: Models
    worlds: Worlds
    registry: Callable[[], Registry]
    jobs: Jobs
    shelf: Shelf
    """What callers and operators set up."""
    quotas: Quotas
    hooks: Hooks
    schedules: Schedules
    agent: AgentSettings
    suites: Declared
    """Of the gate; nothing of their tasks is learned from."""
    checks: Checks = field(default_factory=Checks)
    learning_tokens_day: int | None = None
    tracer: Tracer = field(default_factory=NoTracer)


class Services:
    """Everything the routes need. Made by `server.wiring.build` alone."""

    def __init__(
        self,
        settings: Settings,
        doorkeeper: Doorkeeper,
        metrics: Metrics,
        open_core: Callable[[], Awaitable[Core]],
        tracer: Tracer | None = None,
    ) -> None:
        self.settings = settings
        self.doorkeeper = doorkeeper
        self.metrics = metrics
        self.tracer = tracer or NoTracer()
        self._open_core = open_core
        self._opening: asyncio.Task[Core] | None = None
        self._preloading: asyncio.Task[None] | None = None

    @property
    def keys(self) -> Keys:
        """The keys of the data folder."""
        return self.doorkeeper.keys

    @property
    def is_ready(self) -> bool:
        """Is the core open?"""
        opening = self._opening
        return (
            opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None
        )

    @property
    def is_opening(self) -> bool:
        """Is the core still being opened?"""
        return self._opening is None or not self._opening.done()

    def start(self) -> None:
        """Begin to open the core; returns at once."""
        self._opening = asyncio.create_task(self._open())

    async def core(self) -> Core:
        """The core, waiting for a server that has just started. Raises NotReady, or why it did not open."""
        if self._opening is None:
            raise NotReady("the server has not been started")
        try:
            return await asyncio.wait_for(asyncio.shield(self._opening), self.settings.warm_wait_s)
        except TimeoutError:
            raise NotReady("the server is still warming up; try again in a moment") from None

    async def close(self) -> None:
        """Close what was opened; unfinished jobs go on at the next start."""
        for task in (self._preloading, self._opening):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self.doorkeeper.use is not None:
            self.doorkeeper.use.write()
        gc.unfreeze()
        await asyncio.to_thread(self.tracer.close)
        if self._opening is None or not self.is_ready:
            return
        core = self._opening.result()
        await core.schedules.close()
        await core.jobs.close()
        await core.shelf.close()
        await core.worlds.close()
        await core.models.close()
        await asyncio.to_thread(core.memory.close)

    async def _open(self) -> Core:
        started = time.perf_counter()
        # Thousands of modules are imported until the preload has ended: collecting meanwhile costs a third.
        gc.disable()
        try:
            core = await self._open_core()
        except Exception:
            gc.enable()
            log.exception(
                "the server could not open its data; every request will be answered with the reason"
            )
            raise
        self.metrics.ready_seconds.set(time.perf_counter() - started)
        self._preloading = asyncio.create_task(_preload(core))
        return core


async def _preload(core: Core) -> None:
    # The first task should not wait for model and encoder; if they cannot be loaded, that task says why.
    try:
        async with core.models.use(core.models.default):
            pass
        warm = Query("system", "warm up")
        await asyncio.to_thread(core.memory.recall, warm, count_tokens=len)
    except Exception as error:  # noqa: BLE001 - told now, and again to whoever asks for them
        log.warning("model %s or encoder cannot be loaded: %s", core.models.default, error)
    finally:
        # What is there by now lives as long as the server: looking through it stops all for half a second.
        gc.freeze()
        gc.enable()


def new_id(prefix: str) -> str:
    """An id that sorts by time: milliseconds, then 50 random bits."""
    return f"{prefix}_{int(time.time() * 1000):011x}{secrets.token_hex(6)}"
