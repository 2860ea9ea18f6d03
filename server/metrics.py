"""What Prometheus reads. Its own registry, so that two servers in one test process do not share counters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from memory.types import Json
from memory.types import Usage as ModelUsage
from server.jobs import Backlog
from server.standing import Holding, Learning

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_STEPS = (1, 2, 4, 8, 12, 16, 20, 30, 50, 100)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counter = partial(Counter, registry=self.registry)
        self._gauge = partial(Gauge, registry=self.registry)
        self._histogram = partial(Histogram, registry=self.registry)
        self._of_requests()
        self._of_work()
        self._of_learning()
        self._of_jobs()
        self._of_memory()
        self._of_liveness()

    def _of_requests(self) -> None:
        route = ["method", "route"]
        self.requests = self._counter("apprentice_requests", "HTTP requests", [*route, "status"])
        self.request_seconds = self._histogram(
            "apprentice_request_seconds", "Time to the end of the answer", route, buckets=_FAST
        )
        self.chat_stage_seconds = self._histogram(
            "apprentice_chat_stage_seconds",
            "Stages of a chat: recall, model, record",
            ["stage"],
            buckets=_FAST,
        )
        self.ready_seconds = self._gauge("apprentice_ready_seconds", "Time from start to ready")

    def _of_work(self) -> None:
        ended = ["world", "memory"]
        self.tasks = self._counter("apprentice_tasks", "Tasks that ended", [*ended, "outcome"])
        self.task_steps = self._histogram(
            "apprentice_task_steps", "Steps of tasks that ended", ended, buckets=_STEPS
        )
        self.adapter_tasks = self._counter(
            "apprentice_adapter_tasks",
            "Tasks of local models that ended, by the adapter that worked on them",
            ["model", "adapter", "outcome"],
        )
        self.tokens = self._counter("apprentice_tokens", "Model tokens", ["model", "kind"])
        self.cost = self._counter("apprentice_cost_usd", "What the calls of a model cost, in USD", ["model"])

    def _of_learning(self) -> None:
        self.learning_tokens = self._counter(
            "apprentice_learning_tokens", "Model tokens of reflection and verification", ["kind"]
        )
        self.learned = self._counter("apprentice_learned_items", "Memories written by learning", ["kind"])
        self.learn_errors = self._counter(
            "apprentice_learn_errors", "Episodes that could not be learned from"
        )
        self.last_learned = self._gauge("apprentice_last_learned_timestamp_seconds", "When it last learned")
        self.decisions = self._counter(
            "apprentice_principle_decisions", "Principles that learning raised or put down", ["status"]
        )

    def _of_jobs(self) -> None:
        self.backlog = self._gauge("apprentice_jobs_waiting", "Jobs that wait or run", ["kind"])
        self.backlog_age = self._gauge(
            "apprentice_jobs_oldest_seconds", "How long ago the first of them was queued", ["kind"]
        )
        self.jobs = self._counter("apprentice_jobs", "Runs of jobs that ended here", ["kind", "ended"])
        self.job_seconds = self._histogram(
            "apprentice_job_seconds", "What a run of a job took here", ["kind"], buckets=_LONG
        )
        self.quota_refusals = self._counter(
            "apprentice_quota_refusals", "Requests refused since a namespace had reached a quota", ["quota"]
        )
        self.job_stage_seconds = self._histogram(
            "apprentice_job_stage_seconds",
            "Stages of jobs, of tasks: recall, model, tool; of learning: reflect, remember, review",
            ["kind", "stage"],
            buckets=_FAST,
        )

    def _of_memory(self) -> None:
        space = ["namespace"]
        self.memory_rows = self._gauge("apprentice_memory_rows", "Rows of memory", ["table"])
        self.memory_items = self._gauge(
            "apprentice_memory_items", "Items of memory", [*space, "kind", "status"]
        )
        self.memory_living = self._gauge(
            "apprentice_memory_living_items", "Items that recall may find", space
        )
        self.memory_budget = self._gauge(
            "apprentice_memory_living_budget", "Items that it may come to find", space
        )
        self.memory_lag = self._gauge("apprentice_memory_index_lag", "Log rows the index has not applied")
        self.adapters = self._gauge("apprentice_adapters", "Adapters that may serve", [*space, "model"])

    def _of_liveness(self) -> None:
        self.learning_times = self._gauge(
            "apprentice_learning_last_timestamp_seconds",
            "When a namespace last did this: episode, reflection, promotion, retirement, distillation",
            ["namespace", "what"],
        )
        self.learning_age = self._gauge(
            "apprentice_learning_oldest_waiting_seconds",
            "How long the first in its backlog has waited",
            ["namespace"],
        )
        self.canary_ok = self._gauge(
            "apprentice_canary_ok", "Did the newest lesson come through, or at which stage not?", ["failed"]
        )
        self.canary_at = self._gauge("apprentice_canary_timestamp_seconds", "When it was sent")
        self.canary_seconds = self._gauge("apprentice_canary_seconds", "What its stages took", ["stage"])

    def spent(self, model: str, usage: ModelUsage) -> None:
        """Calls of a model were answered."""
        self.tokens.labels(model, "prompt").inc(usage.prompt_tokens)
        self.tokens.labels(model, "completion").inc(usage.completion_tokens)
        self.cost.labels(model).inc(usage.cost_usd)

    def spent_learning(self, usage: ModelUsage) -> None:
        """Something was spent on learning."""
        self.learning_tokens.labels("prompt").inc(usage.prompt_tokens)
        self.learning_tokens.labels("completion").inc(usage.completion_tokens)

    def decided(self, decisions: Json) -> None:
        """What a review of the constitution decided, as its job recorded it."""
        for one in decisions if isinstance(decisions, list) else ():
            if isinstance(one, dict):
                self.decisions.labels(str(one["status"])).inc()

    def show_jobs(self, standing: Mapping[str, Backlog], now: float) -> None:
        """What waits or runs in all namespaces, by kind; kinds that are not in it have nothing."""
        for kind, backlog in standing.items():
            self.backlog.labels(kind).set(backlog.count)
            self.backlog_age.labels(kind).set(max(0.0, now - backlog.since) if backlog.count else 0.0)

    def show_holding(self, namespace: str, holding: Holding) -> None:
        """Let the next rendering show one namespace alone: tenants need not know of each other."""
        usage = holding.usage
        for one in (self.memory_living, self.memory_budget, self.memory_items, self.adapters):
            one.clear()
        self.memory_living.labels(namespace).set(usage.living)
        if usage.max_living is not None:
            self.memory_budget.labels(namespace).set(usage.max_living)
        for (kind, status), count in holding.sizes.items():
            self.memory_items.labels(namespace, kind, status).set(count)
        for model, count in holding.adapters.items():
            self.adapters.labels(namespace, model).set(count)

    def show_learning(self, learning: Learning) -> None:
        """Likewise; the canary is everybody's."""
        namespace, canary = learning.namespace, learning.canary
        mine = (self.learning_times, self.learning_age)
        for one in (*mine, self.canary_ok, self.canary_seconds):
            one.clear()
        for what, at in (
            ("episode", learning.last_episode_at),
            ("reflection", learning.last_reflection_at),
            ("promotion", learning.last_promotion_at),
            ("retirement", learning.last_retirement_at),
            ("distillation", learning.last_distillation_at),
        ):
            if at is not None:
                self.learning_times.labels(namespace, what).set(at)
        self.learning_age.labels(namespace).set(learning.oldest_waiting_s or 0.0)
        if canary is not None:
            self.canary_ok.labels(canary.failed or "").set(canary.ok)
            self.canary_at.set(canary.at)
            for stage, seconds in (canary.seconds or {}).items():
                self.canary_seconds.labels(stage).set(seconds)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
