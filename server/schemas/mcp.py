"""What the tools take that other agents call over MCP."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memory.types import ItemKind


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class RecallArguments(_Arguments):
    """What to look for."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    """The situation or question, in words."""
    family: Annotated[str | None, Field(max_length=200)] = None
    """Site or family that comes first."""
    k: Annotated[int, Field(ge=1, le=32)] = 4
    """Most memories wanted."""


class RememberArguments(_Arguments):
    """What to keep."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    kind: ItemKind = "tool_note"
    """`case`, `procedure`, `tool_note` or `profile`; a `principle` of anybody but an operator is on trial."""
    family: Annotated[str | None, Field(max_length=200)] = None
    """Site or family that it belongs to."""
    source: Annotated[str | None, Field(max_length=200)] = None
    """Where it comes from, a name by which it can be revoked."""


class ConstitutionArguments(_Arguments):
    """Which principles."""

    family: Annotated[str | None, Field(max_length=200)] = None
    """Only what holds for this site or family; all of it when left out."""


class TaskArguments(_Arguments):
    """A new task by its text, or an old one by its id."""

    text: Annotated[str | None, Field(min_length=1, max_length=100_000)] = None
    """What is to be done, in words."""
    id: Annotated[str | None, Field(max_length=100)] = None
    """Of a task that was set before: how it stands."""
    family: Annotated[str | None, Field(max_length=200)] = None
    """What experience is shared within."""
    model: Annotated[str | None, Field(max_length=200)] = None
    """The server's default when left out."""
    wait_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """Longest time to wait for its end; the task goes on after it, ask again by its id."""

    @model_validator(mode="after")
    def _says_what(self) -> TaskArguments:
        if (self.text is None) == (self.id is None):
            raise ValueError("give either text or id")
        return self
