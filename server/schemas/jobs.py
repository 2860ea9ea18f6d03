"""Jobs of every kind."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from server.jobs import JobState


class ProgressEvent(BaseModel):
    """The newest thing a job told."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seq: int
    """Counts from 0 within the job."""
    name: str
    data: JsonValue


class JobOut(BaseModel):
    """A piece of durable work, of whatever kind."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["job"] = "job"
    kind: str
    """`task`, `learn`, `batch`, `consolidate`, `distill`, `delivery`, ..."""
    state: JobState
    attempts: int
    """How often it was begun: more than once after a crash, or where it was tried again."""
    created_at: float
    updated_at: float
    ended_at: float | None
    error: str | None
    can_cancel: bool
    """Whether it may be stopped now; where its kind may not be, the refusal says why."""
    can_retry: bool
    """Whether it ended in a way from which it may go on."""
    progress: ProgressEvent | None = None
    """Shown where one job is asked for."""


class JobList(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[JobOut]
    next: str | None = None
    """Pass as `after` for the next page; null on the last one."""
