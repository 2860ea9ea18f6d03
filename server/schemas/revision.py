"""Merging, restoring, forgetting, consolidating."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory.facade.tending import Consolidation
from memory.writing.forgetting import Cascade, Erased, RootKind
from memory.writing.restoring import FieldChange
from server.jobs import JobState
from server.schemas.memory import ItemIn

Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class MergeRequest(_Form):
    """Several items into one that says what they said."""

    items: Annotated[list[Name], Field(min_length=2, max_length=256)]
    """Ids of the parts, all of the new item's kind and reach."""
    into: ItemIn
    """What the new item says; it gets their evidence and statistics and the least of their trust."""
    expect_versions: list[int] | None = None
    """The merge is refused (409) when a part is at another version."""


class Difference(BaseModel):
    """What two versions of an item say differently."""

    object: Literal["list"] = "list"
    data: list[FieldChange]


class RestoreRequest(_Form):
    """Back to how the items stood."""

    seq: Annotated[int, Field(ge=0)]
    """The log position whose state shall hold again."""


class ForgetRequest(_Form):
    """What to forget, with all that rests on it alone."""

    kind: RootKind
    id: Name
    """Of the item or episode; name of the principal, source or namespace."""
    dry_run: bool = False
    """Only report what would be touched."""


class RevokeRequest(_Form):
    """A source that is not trusted any more."""

    source: Name
    dry_run: bool = False
    """Only report what would be touched."""


class EraseRequest(_Form):
    """What to erase, with all that rests on it alone. It cannot be undone."""

    kind: RootKind
    id: Name
    """Of the item or episode; name of the principal, source or namespace."""


class CascadeOut(BaseModel):
    """Everything that was touched, or would be."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["cascade"] = "cascade"
    dry_run: bool
    cascade: Cascade
    datasets: list[str]
    """Distillations whose dataset has rows of the episodes; their text is removed by an erasure alone."""
    adapters: list[str]
    """Trained on the episodes, or with the items in view; they may not serve any more."""
    rebuilds: list[str] = []
    """Distillations that were begun to make such adapters again, of what is left."""
    erased: Erased | None = None
    """What was taken away and what a search for it finds: nothing."""
    removed: list[str] = []
    """Distillations whose copies of the memory were deleted, and jobs whose records were."""


class ConsolidationRequest(_Form):
    """Put the memory in order."""

    dry_run: bool = False
    """Only report what would be done."""


class ConsolidationOut(BaseModel):
    """A consolidation as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["consolidation"] = "consolidation"
    state: JobState
    dry_run: bool
    created_at: float
    ended_at: float | None = None
    report: Consolidation | None = None
    """Every step with its reason, once it has ended."""
    error: str | None = None


class ConsolidationList(BaseModel):
    """A page of consolidations, newest first."""

    object: Literal["list"] = "list"
    data: list[ConsolidationOut]
    next: str | None = None
