"""Tasks that the server proposes to itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memory.modes import ModeName
from server.jobs import JobState
from server.proposals import ProposeReport
from server.schemas.tasks import BudgetIn

Name = Annotated[str | None, Field(min_length=1, max_length=200)]


class ProposalRequest(BaseModel):
    """What to look for tasks by, and where."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    source: Annotated[str, Field(max_length=40)]
    """`evolve_failed`, `frontier`, `mae`, `introspect`, `from_document`, `imagine`, `risk_scenarios`."""
    world: str = "tools"
    """A name from `GET /v1/worlds`."""
    site: Name = None
    """Of a world that lists tasks: tasks are looked for here."""
    family: Name = None
    """For the world `tools`: the family that the tasks belong to."""
    n: Annotated[int, Field(ge=1, le=50)] = 4
    """Most tasks."""
    dry_run: bool = False
    """Say what would be set, and set nothing."""
    model: str | None = None
    """Works the tasks; the server's own when left out."""
    proposer: str | None = None
    """Writes and judges them; `model` when left out."""
    memory: ModeName | None = None
    """What memory does for the tasks; as for `POST /v1/tasks`."""
    budget: BudgetIn = BudgetIn()
    """Of each task."""

    @model_validator(mode="after")
    def _says_where(self) -> ProposalRequest:
        if (self.site is None) == (self.family is None):
            raise ValueError("give either a site, or a family of the world 'tools'")
        if (self.family is not None) != (self.world == "tools"):
            raise ValueError("a family is of the world 'tools', a site of the others")
        return self

    @property
    def place(self) -> str:
        """The family of the tasks."""
        return self.site or self.family or ""


class ProposalOut(BaseModel):
    """A search for tasks as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["proposal"] = "proposal"
    id: str
    state: JobState
    source: str
    created_at: float
    ended_at: float | None
    report: ProposeReport | None
    """What was set, what was refused and why; once it has ended."""
    error: str | None


class ProposalList(BaseModel):
    """One page of searches, newest first."""

    object: Literal["list"] = "list"
    data: list[ProposalOut]
    next: str | None
    """Give this as `after` for the next page."""

    model_config = ConfigDict(use_attribute_docstrings=True)
