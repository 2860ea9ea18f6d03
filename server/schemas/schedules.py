"""Schedules of tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from server.schemas.tasks import TaskRequest


class ScheduleRequest(BaseModel):
    """When, and what."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    cron: Annotated[str, Field(max_length=200)]
    """Five fields: minute, hour, day of the month, month, day of the week."""
    time_zone: Annotated[str, Field(max_length=100)] = "UTC"
    """Of the IANA list; an hour that summer time skips fires after it, one that it repeats fires once."""
    task: TaskRequest
    """As for `POST /v1/tasks`; `wait` has no meaning here."""
    missed: Literal["skip", "last", "all"] = "last"
    """What becomes of times at which no server ran: none, the newest, or all (100 at most)."""
    label: Annotated[str, Field(max_length=200)] = ""


class ScheduleOut(BaseModel):
    """A schedule as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["schedule"] = "schedule"
    label: str
    cron: str
    time_zone: str
    task: dict[str, JsonValue]
    missed: Literal["skip", "last", "all"]
    paused: bool
    created_at: float
    next_at: float | None
    """When it fires next; null while it is paused."""
    last_at: float | None
    """The time of the newest firing."""
    last_task: str | None
    """The task that it set."""
    last_error: str | None
    """Why it set none."""


class ScheduleList(BaseModel):
    """A namespace's schedules, oldest first."""

    object: Literal["list"] = "list"
    data: list[ScheduleOut]
