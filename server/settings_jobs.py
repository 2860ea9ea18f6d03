"""Settings of durable work: where it is kept, how much of it there may be, and whom it tells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode


class JobSettings(BaseSettings, use_attribute_docstrings=True):
    """What an operator can set of it."""

    jobs_url: SecretStr | None = None
    """PostgreSQL database of jobs, `postgresql://user:password@host/name`, that several servers share: what
    one leaves when it dies, another takes over. The file `jobs.db` where none is given."""
    job_dead_s: Annotated[float, Field(ge=2.0)] = 15.0
    """How long a server of those must have been silent before its jobs are taken over, seconds."""
    max_running_tasks: Annotated[int, Field(ge=1)] = 64
    """Tasks that act at the same time; more wait their turn, and namespaces take turns."""
    max_learning_backlog: Annotated[int, Field(ge=1)] = 1000
    """Episodes of one namespace that may wait to be learned from before new tasks get 429."""
    job_poll_s: Annotated[float, Field(gt=0)] = 0.1
    """How often the queue of tasks is looked at, seconds; those where nobody waits a fifth as often."""
    job_retention_days: Annotated[float, Field(gt=0)] = 30.0
    """Finished jobs older than this are deleted; episodes and memory stay."""
    max_task_s: Annotated[float, Field(gt=0)] = 3600.0
    """Longest time a task's budget may ask for."""
    max_batch: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Tasks that one batch may set."""
    max_schedules: Annotated[int, Field(ge=0)] = 100
    """Schedules that one namespace may have."""

    quota_running: Annotated[int, Field(ge=1)] | None = None
    """Tasks of one namespace that act at the same time in this process; more wait. None is no bound."""
    quota_tasks: Annotated[int, Field(ge=1)] | None = None
    """Tasks of one namespace that wait or run; more get 429."""
    quota_tokens_day: Annotated[int, Field(ge=0)] | None = None
    """Tokens of models that tasks and chats of one namespace may use in a day (UTC); then they get 429."""
    quota_usd_day: Annotated[float, Field(ge=0)] | None = None
    """What those may cost in a day."""

    max_webhooks: Annotated[int, Field(ge=0)] = 20
    """Webhooks that one namespace may have."""
    webhook_retries_s: Annotated[tuple[float, ...], NoDecode] = (5, 300, 1800, 7200, 18000, 36000, 50400)
    """Seconds to wait before each further attempt at a delivery. Comma-separated."""
    webhook_failures: Annotated[int, Field(ge=1)] = 50
    """Failed attempts in a row after which a webhook is switched off."""

    @field_validator("webhook_retries_s", mode="before")
    @classmethod
    def _split_retries(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value
