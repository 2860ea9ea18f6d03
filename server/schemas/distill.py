"""Distillations and adapters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from distill.spec import SuiteForm
from distill.suites import Role, Suite
from server.jobs import JobState


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SuiteIn(_Form):
    """Frozen tasks the gate compares the arms on."""

    name: Annotated[str, Field(min_length=1)]
    world: str = "household"
    site: str
    split: str = "gate"
    n: Annotated[int, Field(ge=1, le=1000)] = 16
    role: Role | None = None
    """`adapt` should get better, `retain` must not get worse, `safe` must break no more rules, `transfer` is
    reported only; left out, `retain` when the name begins so."""

    @classmethod
    def of(cls, suite: Suite) -> SuiteIn:
        """As the API shows it."""
        return cls(**asdict(suite))

    def suite(self) -> Suite:
        """As the gate knows it."""
        return SuiteForm(**self.model_dump()).suite()


class SuitesIn(_Form):
    """The suites that every distillation of a namespace is judged on."""

    suites: Annotated[list[SuiteIn], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Each draws its own tasks for every suite."""


class SuitesOut(BaseModel):
    """The declared suites."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["suites"] = "suites"
    suites: list[SuiteIn]
    seeds: list[int]
    tasks: int
    """So many tasks nothing may be learned from."""
    by: str | None = None
    """The key that declared them."""
    at: float | None = None


class DistillRequest(_Form):
    """Turn this namespace's memory into an adapter and judge it."""

    recipe: str = "step"
    base: str | None = None
    """A `local:` model; the server's default when left out."""
    suites: list[SuiteIn] = []
    """Beside those that the namespace has declared; needed where it has none."""
    seed: int = 0
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    """Seeds the gate repeats every suite with."""
    train: dict[str, JsonValue] = {}
    """Settings of the trainer that differ from the recipe's own."""
    promote: bool = True
    """Let the adapter serve as `local:<base>+promoted` when the gate says so."""
    dry_run: bool = False
    """Only report what would be kept, masked and rejected, and why."""


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
    proposer: str = ""
    """The key that asked for it, and cannot let its adapter serve by hand."""
    rebuilds: str | None = None
    """The adapter in whose place it is made."""
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
    share: float = 0.0
    """Of the episodes that `local:<base>+promoted` is asked for, how many this one answers."""
    manifest: dict[str, JsonValue]


class PromoteIn(_Form):
    """Let an adapter serve."""

    reason: Annotated[str, Field(max_length=2000)] = ""
    """Needed where the gate kept it out; kept with the adapter, with your name."""


class CanaryIn(PromoteIn):
    """Try an adapter out beside the one in service."""

    share: Annotated[float, Field(ge=0, le=1)]
    """Part of the episodes that it answers; 0 ends the trial."""


class LineageRow(BaseModel):
    """Where one training row came from."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    episode: str
    also: list[str]
    """Further episodes that it was made of."""
    indices: list[int]
    """Of its messages in the episode; -1 for what was written for it."""
    weights: list[float]
    """How much of each message was learned; 0 was context."""
    stream: str


class LineageOut(BaseModel):
    """Everything that an adapter was made of."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["lineage"] = "lineage"
    adapter: str
    episodes: list[str]
    items: list[str]
    """Shown to the episodes that trained it."""
    rows: list[LineageRow]
    next: int | None = None
    """`after` of the next page of rows."""


class AdapterList(BaseModel):
    """Every adapter, oldest first."""

    object: Literal["list"] = "list"
    data: list[AdapterOut]
