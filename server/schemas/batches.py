"""Batches of tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.jobs import JobState
from server.schemas.tasks import TaskRequest


class BatchRequest(BaseModel):
    """Tasks that are set together: all of them, or none where one is refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    tasks: Annotated[list[TaskRequest], Field(min_length=1)]
    """Each as for `POST /v1/tasks`; `wait` has no meaning here."""
    label: Annotated[str, Field(max_length=200)] = ""


class BatchOut(BaseModel):
    """A batch as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["batch"] = "batch"
    label: str
    state: JobState
    """`done` when every task has ended, in whatever way."""
    total: int
    counts: dict[JobState, int]
    """Tasks by state; those that are still to be queued count as `queued`."""
    created_at: float
    ended_at: float | None
    error: str | None


class BatchList(BaseModel):
    """A page of batches, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[BatchOut]
    next: str | None = None
    """Pass as `after` for the next page; null on the last one."""
