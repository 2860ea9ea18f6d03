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
from server.announcing import announced
from server.auth import Keys, write_private
from server.batches import Batching
from server.canary import CANARY_TICK, Canary
from server.consolidating import NIGHTLY, Consolidating
from server.delivering import Delivering
from server.distilling import DISTILL, Distilling
from server.flowing import Flowing
from server.gate import Doorkeeper
from server.hooks import Hooks
from server.jobs import JobKind, Jobs
from server.key_use import KeyUse
from server.metrics import Metrics
from server.nightly import DISTILL_TICK, Nightly, NightSettings
from server.oidc import Claims, Issuer
from server.outbound import Outbound
from server.proposing import Proposing
from server.quotas import Quota, Quotas
from server.rates import Places, Rates
from server.schedules import Schedules
from server.services import Core, Services
from server.settings import Settings
from server.shelf import Shelf
from server.steering import agent_settings, check, checks_of, recall_settings
from server.suites import Declared
from server.tracing import NoTracer, Tracer
from server.watching import watched
from server.work import TEND, Work

if TYPE_CHECKING:  # torch takes seconds to import
    from agent.mcp.tools import McpServers
    from distill.registry import Registry

BEFORE_DAWN, DAILY = "0 3 * * *", "0 4 * * *"
OTLP_VARIABLES = frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"})


@dataclass(frozen=True, slots=True)
class Parts:
    """What may be put in place of the real thing."""

    models: Mapping[str, Model] = field(default_factory=dict)
    """Models that exist already, by name, beside those of the settings."""
    jobs: Callable[[Settings], Jobs] | None = None
    """Another job engine."""
    clock: Callable[[], float] = time.time
    tracer: Tracer | None = None
    """Another than the settings say."""


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
    metrics = Metrics()
    tracer = parts.tracer or tracer_of(settings)
    opened = _Opener(settings, parts, metrics, tracer)
    return Services(settings, doorkeeper(settings, parts.clock), metrics, opened.open, tracer)


def tracer_of(settings: Settings) -> Tracer:
    """Traces, where the settings or the variables of OpenTelemetry say to whom. Raises BadInput."""
    is_known = bool(OTLP_VARIABLES & os.environ.keys())
    if not settings.otel_endpoint and not is_known:
        return NoTracer()
    from server.tracing_otel import by_otlp  # a third of a second to import

    return by_otlp(settings.otel_endpoint or None, shows_content=settings.otel_content)


def doorkeeper(settings: Settings, clock: Callable[[], float]) -> Doorkeeper:
    """Who knows the callers. Raises BadInput on an issuer that cannot be asked."""
    claims = Claims(
        settings.oidc_issuer,
        settings.oidc_audience,
        settings.oidc_namespace_claim,
        settings.oidc_role_claim,
        settings.oidc_default_role or "",
        settings.oidc_leeway_s,
    )
    limits = (settings.requests_per_minute_key, settings.requests_per_minute)
    return Doorkeeper(
        Keys(settings.keys_path, clock=clock),
        issuer=Issuer(claims, Outbound(settings.outbound_allow), clock) if claims.issuer else None,
        use=KeyUse(settings.key_use_path, clock),
        # Of a clock that nobody sets back.
        rates=None if limits == (None, None) else Rates(*limits, clock=time.monotonic),
        places=Places(settings.max_chats),
        is_open=not settings.auth_required,
    )


def first_key(settings: Settings, keys: Keys) -> Path | None:
    """Make an operator key when there is none, and say where its secret lies."""
    if keys.all() or (made := keys.first("default", "operator", label="made at first start")) is None:
        return None
    write_private(settings.operator_key_path, made[1])
    return settings.operator_key_path


class _Opener:
    def __init__(self, settings: Settings, parts: Parts, metrics: Metrics, tracer: Tracer) -> None:
        self._settings = settings
        self._tracer = tracer
        self._parts = parts
        self._metrics = metrics
        self._adapters: Registry | None = None

    async def open(self) -> Core:
        core = await asyncio.to_thread(self._open_core)
        try:
            await core.quotas.open()
            await core.jobs.launch(self._kinds(core))
            await core.jobs.schedule("tend", TEND, DAILY)
            await core.jobs.schedule("consolidate", NIGHTLY, BEFORE_DAWN)
            await core.jobs.schedule("distill", DISTILL_TICK, self._settings.distill_cron or DAILY)
            await core.jobs.schedule("canary", CANARY_TICK, self._settings.canary_cron or DAILY)
        except BaseException:
            await asyncio.to_thread(core.memory.close)
            raise
        core.schedules.start(core, self._settings)
        return core

    def _open_core(self) -> Core:
        """Imports that take seconds and files that may need repair; runs in a thread."""
        from memory.core import Memory  # imports SQL and the index
        from memory.encoder import open_encoder  # may import torch
        from memory.moving.signing import Signers
        from memory.recall.rerank import CrossReranker
        from memory.writing.limits import Limits
        from server.models import Models
        from server.worlds import Worlds, load_tools, others

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
            shared=settings.shared_adapters,
        )
        worlds = Worlds(load_tools(settings.tools), mcp_servers(settings), others(settings))
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
        shelf = Shelf(shelf_at(settings))
        quota = Quota(
            settings.quota_running, settings.quota_tasks, settings.quota_tokens_day, settings.quota_usd_day
        )
        quotas = Quotas(shelf, quota, self._metrics, clock=self._parts.clock)
        jobs = self._jobs(shelf)
        outbound = Outbound(settings.outbound_allow)
        schedules = Schedules(shelf, most=settings.max_schedules, clock=self._parts.clock)
        hooks = Hooks(shelf, outbound, jobs, most=settings.max_webhooks, clock=self._parts.clock)
        parts = (memory, models, worlds, self._registry, jobs, shelf, quotas, hooks, schedules)
        held = (suites, checks, settings.learning_tokens_day)
        return Core(*parts, agent_settings(settings), *held, self._tracer)

    def _registry(self) -> Registry:
        from distill.registry import Registry  # imports torch

        if self._adapters is None:
            self._adapters = Registry(self._settings.adapters_dir)
        return self._adapters

    def _jobs(self, shelf: Shelf) -> Jobs:
        if self._parts.jobs is not None:
            return self._parts.jobs(self._settings)
        from server.jobs_dbos import DbosJobs  # half a second to import

        url = self._settings.jobs_url
        if url is None:
            return DbosJobs(
                self._settings.jobs_path, poll_s=self._settings.job_poll_s, here=self._tracer.current
            )
        from server.jobs_replicas import Replicas

        replicas = Replicas(shelf, dead_s=self._settings.job_dead_s)
        return DbosJobs(
            url.get_secret_value(),
            poll_s=self._settings.job_poll_s,
            replicas=replicas,
            here=self._tracer.current,
        )

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
        own |= {DISTILL: JobKind(distilling.run, limit=1), **Batching(core.jobs).kinds()}
        delivering = Delivering(
            core.hooks,
            Outbound(settings.outbound_allow),
            retries_s=settings.webhook_retries_s,
            failures=settings.webhook_failures,
            clock=self._parts.clock,
        )
        own = {**announced(own, core.hooks, core.jobs), **delivering.kinds()}
        return watched(own, self._metrics, self._tracer)


def shelf_at(settings: Settings) -> Path | str:
    """Where what callers set up is kept: beside the jobs."""
    if settings.jobs_url is None:
        return settings.shelf_path
    url = settings.jobs_url.get_secret_value()
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


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
