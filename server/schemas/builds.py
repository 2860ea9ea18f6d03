"""Building a constitution from a calibration set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.builders.advisor import Advice
from agent.builders.ops import BuilderName
from agent.builders.settings import MineSettings, PatternName
from server.jobs import JobState

Site = Annotated[str, Field(min_length=1, max_length=200)]


class BuildRequest(BaseModel):
    """Tasks that an agent works without memory, and what reads them afterwards."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    world: str = "household"
    """A world that lists tasks."""
    sites: Annotated[list[Site], Field(min_length=1, max_length=50)]
    """Where the tasks are; each site is a family of its own."""
    tasks: Annotated[int, Field(ge=1, le=100)] = 8
    """How many at each site."""
    builder: BuilderName = "symbolic"
    """Counters, a model, or counters whose finds a model words and merges."""
    model: str | None = None
    """Works the tasks; the server's own when left out."""
    builder_model: str | None = None
    """Reads what happened; `model` when left out."""
    patterns: Annotated[list[PatternName], Field(min_length=1)] = list(MineSettings().patterns)
    """What counters look for; the bundled model reads the first two kinds best."""
    shared_only: bool | None = None
    """Freeze only what several sites show, for agents at others; left out: where there are several."""
    seed: int = 0
    """Draws the tasks."""


class BuildOut(BaseModel):
    """A build as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["constitution.build"] = "constitution.build"
    id: str
    state: JobState
    created_at: float
    ended_at: float | None
    report: Advice | None
    """What was built and frozen, and what it cost; once it has ended."""
    error: str | None


class BuildList(BaseModel):
    """One page of builds, newest first."""

    object: Literal["list"] = "list"
    data: list[BuildOut]
    next: str | None
    """Give this as `after` for the next page."""

    model_config = ConfigDict(use_attribute_docstrings=True)
