"""The only composition root: settings in, services out. What tests replace, they replace through `Parts`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.types import Model
from memory.errors import BadInput
from server.advising import Advising
from server.auth import Keys, write_private
from server.canary import CANARY_TICK, Canary
from server.consolidating import NIGHTLY, Consolidating
from server.distilling import DISTILL, Distilling
from server.flowing import Flowing
from server.jobs import JobKind, Jobs
from server.metrics import Metrics
from server.nightly import DISTILL_TICK, Nightly, NightSettings
from server.proposing import Proposing
from server.services import Core, Services
from server.settings import Settings
from server.steering import agent_settings, check, checks_of, recall_settings
from server.suites import Declared
from server.work import TEND, Work

if TYPE_CHECKING:  # torch takes seconds to import
    from agent.mcp.tools import McpServers
    from distill.registry import Registry

BEFORE_DAWN, DAILY = "0 3 * * *", "0 4 * * *"


@dataclass(frozen=True, slots=True)
class Parts:
    """What may be put in place of the real thing."""

    models: Mapping[str, Model] = field(default_factory=dict)
    """Models that exist already, by name, beside those of the settings."""
    jobs: Callable[[Settings], Jobs] | None = None
    """Another job engine."""
    clock: Callable[[], float] = time.time


def build(settings: Settings, parts: Parts | None = None) -> Services:
    """Services that have opened nothing yet; `start` does. Raises BadInput on unsafe settings."""
    parts = parts or Parts()
    if not settings.auth_required and settings.host not in {"127.0.0.1", "::1", "localhost"}:
        raise BadInput(
            f"auth_required=false is only for a loopback host, not {settings.host!r}: make a key with"
            " `apprentice keys create`"
        )
    _memory_at(settings)
    check(settings)
    keys = Keys(settings.keys_path, clock=parts.clock)
    metrics = Metrics()
    opened = _Opener(settings, parts, metrics)
    return Services(settings, keys, metrics, opened.open)


def first_key(settings: Settings, keys: Keys) -> Path | None:
    """Make an operator key when there is none, and say where its secret lies."""
    if keys.all():
        return None
    _, secret = keys.create("default", "operator", label="made at first start")
    write_private(settings.operator_key_path, secret)
    return settings.operator_key_path


class _Opener:
    def __init__(self, settings: Settings, parts: Parts, metrics: Metrics) -> None:
        self._settings = settings
        self._parts = parts
        self._metrics = metrics
        self._adapters: Registry | None = None

    async def open(self) -> Core:
        core = await asyncio.to_thread(self._open_core)
        try:
            await core.jobs.launch(self._kinds(core))
            await core.jobs.schedule("tend", TEND, DAILY)
            await core.jobs.schedule("consolidate", NIGHTLY, BEFORE_DAWN)
            await core.jobs.schedule("distill", DISTILL_TICK, self._settings.distill_cron or DAILY)
            await core.jobs.schedule("canary", CANARY_TICK, self._settings.canary_cron or DAILY)
        except BaseException:
            await asyncio.to_thread(core.memory.close)
            raise
        return core

    def _open_core(self) -> Core:
        """Imports that take seconds and files that may need repair; runs in a thread."""
        from memory.core import Memory  # imports SQL and the index
        from memory.encoder import open_encoder  # may import torch
        from memory.moving.signing import Signers
        from memory.recall.rerank import CrossReranker
        from memory.writing.limits import Limits
        from server.models import Models
        from server.worlds import Worlds, load_tools

        settings = self._settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        models = Models(
            folder=settings.models_dir,
            default=settings.model,
            hosted=settings.hosted_models,
            endpoints=settings.endpoints,
            registry=lambda: self._registry() if settings.adapters_dir.exists() else None,
            limit=settings.max_models,
            ready=self._parts.models,
            vllm=settings.vllm,
        )
        worlds = Worlds(load_tools(settings.tools), mcp_servers(settings))
        where, index = _memory_at(settings)
        encoder = open_encoder(settings.encoder)
        checks = checks_of(settings, models, encoder)
        suites = Declared(settings.suites_path)
        memory = Memory.open(
            where,
            encoder=encoder,
            previous=open_encoder(settings.previous_encoder) if settings.previous_encoder else None,
            reranker=CrossReranker(settings.reranker) if settings.reranker else None,
            settings=recall_settings(settings, encoder.generation),
            clock=self._parts.clock,
            max_pages=settings.memory_max_pages,
            index=index,
            signers=Signers(settings.signing_key_path, frozenset(settings.trusted_signers)),
            limits=Limits(settings.memory_max_living, settings.memory_writes_per_minute),
            held=suites.held,
        )
        if settings.previous_encoder:
            memory.reencode_in_background()
        parts = (memory, models, worlds, self._registry, self._jobs())
        return Core(*parts, agent_settings(settings), suites, checks, settings.learning_tokens_day)

    def _registry(self) -> Registry:
        from distill.registry import Registry  # imports torch

        if self._adapters is None:
            self._adapters = Registry(self._settings.adapters_dir)
        return self._adapters

    def _jobs(self) -> Jobs:
        if self._parts.jobs is not None:
            return self._parts.jobs(self._settings)
        from server.jobs_dbos import DbosJobs  # half a second to import

        return DbosJobs(self._settings.jobs_path, poll_s=self._settings.job_poll_s)

    def _kinds(self, core: Core) -> Mapping[str, JobKind]:
        settings = self._settings
        work = Work(core, self._metrics, retention_s=settings.job_retention_days * 86_400)
        distilling = Distilling(core.memory, settings)
        wanted = NightSettings(bool(settings.distill_cron), settings.distill_least, settings.distill_recipe)
        kinds = work.kinds(max_tasks=settings.max_running_tasks)
        consolidating = Consolidating(core.memory, nightly=settings.consolidate_daily)
        canary = Canary(core.memory, core.agent, is_wanted=bool(settings.canary_cron))
        own = {**kinds, **consolidating.kinds(), **canary.kinds(), **Advising(core).kinds()}
        own |= Flowing(core).kinds() | Proposing(core).kinds()
        own |= Nightly(core, wanted).kinds()
        return {**own, DISTILL: JobKind(distilling.run, limit=1)}


def mcp_servers(settings: Settings) -> McpServers:
    """The MCP servers of the operator's file; nothing is connected yet. Raises BadInput."""
    from agent.mcp.known import Known
    from agent.mcp.servers import read_servers
    from agent.mcp.tools import McpServers  # imports the protocol's packages

    found = () if settings.mcp_servers is None else read_servers(settings.mcp_servers, os.environ)
    return McpServers(found, Known(settings.mcp_known_path))


def _memory_at(settings: Settings) -> tuple[Path | str, Path | Literal["pgvector"] | None]:
    """Where memory is, and where its index."""
    if settings.memory_url is None:
        if settings.memory_index == "pgvector":
            raise BadInput("memory_index is 'pgvector', which needs PostgreSQL: give memory_url too")
        return settings.memory_path, None
    url = settings.memory_url.get_secret_value()
    if settings.memory_index == "pgvector":
        return url, "pgvector"
    # Another database must not meet this one's index.
    return url, settings.data_dir / "index" / f"shared-{sha256(url.encode()).hexdigest()[:16]}"
