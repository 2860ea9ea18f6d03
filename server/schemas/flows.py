"""Improving the flow of a family of tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.flowing import FlowReport
from server.jobs import JobState


class FlowRequest(BaseModel):
    """Tasks that programs are tried on, and how long."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    world: str = "household"
    """A world that lists tasks."""
    site: Annotated[str, Field(min_length=1, max_length=200)]
    """Where the tasks are; the flow is kept for their family."""
    goal: Annotated[str, Field(min_length=1, max_length=1000)]
    """What the flow is for, in words."""
    first: Annotated[str | None, Field(max_length=20_000)] = None
    """The program to begin with; left out, the family's best, else a single step."""
    tasks: Annotated[int, Field(ge=1, le=100)] = 4
    """Programs are scored on so many."""
    held_out: Annotated[int, Field(ge=1, le=100)] = 4
    """So many others decide whether the best is kept."""
    epochs: Annotated[int, Field(ge=1, le=50)] = 10
    """Programs that are written."""
    model: str | None = None
    """Writes the programs and follows them; the server's own when left out."""
    seed: int = 0
    """Draws the tasks."""


class FlowOut(BaseModel):
    """An improvement as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["flow.improvement"] = "flow.improvement"
    id: str
    state: JobState
    created_at: float
    ended_at: float | None
    report: FlowReport | None
    """What was found and whether it was kept; once it has ended."""
    error: str | None
