"""What Prometheus reads. Its own registry, so that two servers in one test process do not share counters."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from memory.types import Usage as ModelUsage
from memory.writing.limits import Usage
from server.standing import Learning

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STEPS = (1, 2, 4, 8, 12, 16, 20, 30, 50, 100)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        timed = partial(Histogram, registry=self.registry, buckets=_FAST)

        route = ["method", "route"]
        self.requests = counter("apprentice_requests", "HTTP requests", [*route, "status"])
        self.request_seconds = timed("apprentice_request_seconds", "Time to the end of the answer", route)
        self.chat_stage_seconds = timed("apprentice_chat_stage_seconds", "Stages of a chat", ["stage"])

        self.tasks = counter("apprentice_tasks", "Tasks that ended", ["world", "memory", "outcome"])
        self.task_steps = Histogram(
            "apprentice_task_steps",
            "Steps of tasks that ended",
            ["world", "memory"],
            buckets=_STEPS,
            registry=self.registry,
        )
        self.adapter_tasks = counter(
            "apprentice_adapter_tasks",
            "Tasks of local models that ended, by the adapter that worked on them",
            ["model", "adapter", "outcome"],
        )
        self.tokens = counter("apprentice_tokens", "Model tokens", ["model", "kind"])

        self.learning_tokens = counter(
            "apprentice_learning_tokens", "Model tokens of reflection and verification", ["kind"]
        )
        self.learned = counter("apprentice_learned_items", "Memories written by learning", ["kind"])
        self.learn_errors = counter("apprentice_learn_errors", "Episodes that could not be learned from")
        self.last_learned = gauge("apprentice_last_learned_timestamp_seconds", "When it last learned")

        self.backlog = gauge("apprentice_jobs_waiting", "Jobs that wait or run", ["kind"])
        self.memory_rows = gauge("apprentice_memory_rows", "Rows of memory", ["table"])
        space = ["namespace"]
        self.memory_living = gauge("apprentice_memory_living_items", "Items that recall may find", space)
        self.memory_budget = gauge("apprentice_memory_living_budget", "Items that it may come to find", space)
        self.memory_lag = gauge("apprentice_memory_index_lag", "Log rows the index has not applied")
        self.learning_times = gauge(
            "apprentice_learning_last_timestamp_seconds",
            "When a namespace last did this: episode, reflection, promotion, retirement, distillation",
            [*space, "what"],
        )
        self.learning_age = gauge(
            "apprentice_learning_oldest_waiting_seconds",
            "How long the first in its backlog has waited",
            space,
        )
        self.canary_ok = gauge(
            "apprentice_canary_ok", "Did the newest lesson come through, or at which stage not?", ["failed"]
        )
        self.canary_at = gauge("apprentice_canary_timestamp_seconds", "When it was sent")
        self.canary_seconds = gauge("apprentice_canary_seconds", "What its stages took", ["stage"])
        self.ready_seconds = gauge("apprentice_ready_seconds", "Time from start to ready")

    def spent_learning(self, usage: ModelUsage) -> None:
        """Something was spent on learning."""
        self.learning_tokens.labels("prompt").inc(usage.prompt_tokens)
        self.learning_tokens.labels("completion").inc(usage.completion_tokens)

    def show_usage(self, namespace: str, usage: Usage) -> None:
        """Let the next rendering show one namespace alone: tenants need not know of each other."""
        self.memory_living.clear()
        self.memory_budget.clear()
        self.memory_living.labels(namespace).set(usage.living)
        if usage.max_living is not None:
            self.memory_budget.labels(namespace).set(usage.max_living)

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
