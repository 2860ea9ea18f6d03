"""Distillations and adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from server.jobs import JobState


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SuiteIn(_Form):
    """Frozen tasks the gate compares the arms on."""

    name: str
    world: str = "household"
    site: str
    split: str = "gate"
    n: Annotated[int, Field(ge=1, le=1000)] = 16
    role: Literal["adapt", "retain"] | None = None
    """`adapt` should get better, `retain` must not get worse; left out, `retain` when the name begins so."""


class DistillRequest(_Form):
    """Turn this namespace's memory into an adapter and judge it."""

    recipe: str = "step"
    base: str | None = None
    """A `local:` model; the server's default when left out."""
    suites: Annotated[list[SuiteIn], Field(min_length=1)]
    seed: int = 0
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Seeds the gate repeats every suite with."""
    train: dict[str, JsonValue] = {}
    """Settings of the trainer that differ from the recipe's own."""
    promote: bool = True
    """Let the adapter serve as `local:<base>+promoted` when the gate says so."""


class ProgressOut(BaseModel):
    """One line of progress."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: float
    stage: str
    done: float = 0
    total: float = 0
    message: str = ""
    metrics: dict[str, JsonValue] = {}


class DistillationOut(BaseModel):
    """A distillation as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["distillation"] = "distillation"
    state: JobState
    recipe: str
    base: str
    created_at: float
    ended_at: float | None = None
    progress: ProgressOut | None = None
    """The latest line."""
    report: dict[str, JsonValue] | None = None
    """Adapter id, promotion, the four arms by suite, dataset and training facts."""
    error: str | None = None


class RowsOut(BaseModel):
    """Some rows of a dataset."""

    object: Literal["list"] = "list"
    data: list[dict[str, JsonValue]]
    total: int


class DistillationList(BaseModel):
    """A page of distillations, newest first."""

    object: Literal["list"] = "list"
    data: list[DistillationOut]
    next: str | None = None


class AdapterOut(BaseModel):
    """An adapter in the registry."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["adapter"] = "adapter"
    model: str
    """The name to use in requests."""
    promoted: bool
    """Whether `local:<base>+promoted` is this one."""
    manifest: dict[str, JsonValue]


class AdapterList(BaseModel):
    """Every adapter, oldest first."""

    object: Literal["list"] = "list"
    data: list[AdapterOut]
