"""What Prometheus reads. Its own registry, so that two servers in one test process do not share counters."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "apprentice_requests", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "apprentice_request_seconds",
            "Time to the end of the answer",
            ["method", "route"],
            buckets=_FAST,
            registry=self.registry,
        )
        self.chat_stage_seconds = Histogram(
            "apprentice_chat_stage_seconds",
            "Time of one stage of a chat: recall, model",
            ["stage"],
            buckets=_FAST,
            registry=self.registry,
        )
        self.tasks = Counter(
            "apprentice_tasks", "Tasks that ended", ["world", "memory", "outcome"], registry=self.registry
        )
        self.task_steps = Histogram(
            "apprentice_task_steps",
            "Steps of tasks that ended",
            ["world", "memory"],
            buckets=(1, 2, 4, 8, 12, 16, 20, 30, 50, 100),
            registry=self.registry,
        )
        self.tokens = Counter("apprentice_tokens", "Model tokens", ["model", "kind"], registry=self.registry)
        self.learned = Counter(
            "apprentice_learned_items", "Memories written by learning", ["kind"], registry=self.registry
        )
        self.learn_errors = Counter(
            "apprentice_learn_errors", "Episodes that could not be learned from", registry=self.registry
        )
        self.last_learned = Gauge(
            "apprentice_last_learned_timestamp_seconds",
            "When an episode was last learned from",
            registry=self.registry,
        )
        self.backlog = Gauge(
            "apprentice_jobs_waiting", "Jobs that wait or run", ["kind"], registry=self.registry
        )
        self.memory_rows = Gauge(
            "apprentice_memory_rows", "Rows of memory", ["table"], registry=self.registry
        )
        self.memory_lag = Gauge(
            "apprentice_memory_index_lag", "Log rows the index has not applied", registry=self.registry
        )
        self.ready_seconds = Gauge(
            "apprentice_ready_seconds", "Time from start to ready", registry=self.registry
        )

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
