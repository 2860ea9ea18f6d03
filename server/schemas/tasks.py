"""Tasks, their events, feedback, worlds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from agent.types import Budget
from distill.sources.known import Lineage
from memory.modes import ModeName
from memory.types import Mode, Outcome, Usage
from server.jobs import JobState

Wait = Literal["accepted", "finished", "learned"]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class BudgetIn(_Form):
    """Limits of one task; the first one reached ends it."""

    max_steps: Annotated[int | None, Field(ge=1, le=1000)] = 30
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_cost_usd: Annotated[float | None, Field(gt=0)] = None
    max_seconds: Annotated[float | None, Field(gt=0)] = 600.0

    def to_budget(self, *, max_seconds: float) -> Budget:
        """As the agent knows it, never longer than the server allows."""
        seconds = max_seconds if self.max_seconds is None else min(self.max_seconds, max_seconds)
        return Budget(self.max_steps, self.max_tokens, self.max_cost_usd, seconds)


class TaskRequest(_Form):
    """What is to be done, and how."""

    world: str = "tools"
    """A name from `GET /v1/worlds`. `tools` does free text with the operator's Python functions."""
    config: dict[str, JsonValue] | None = None
    """One task of the world, as `GET /v1/worlds/{name}/tasks` lists it."""
    site: str | None = None
    """Instead of `config`: draw one task of this site by `seed`."""
    text: Annotated[str | None, Field(max_length=100_000)] = None
    """The task in words, for the world `tools`."""
    family: Annotated[str | None, Field(max_length=200)] = None
    """What experience is shared within, for the world `tools`."""
    mcp: Annotated[list[str] | None, Field(max_length=50)] = None
    """MCP servers whose tools it may call, for the world `tools`; left out, all of its namespace."""
    model: str | None = None
    """A name from `GET /v1/models`; the server's default when left out."""
    memory: ModeName | None = None
    """`learn` (or `on`) recalls and learns, `frozen` (or `read`) recalls, `shadow` learns and shows nothing,
    `off` does neither; left out, as the namespace's dial says. A dial at `off` wins. The episode is kept in
    any case."""
    budget: BudgetIn = BudgetIn()
    seed: int = 0
    constitution: Annotated[str | None, Field(max_length=100)] = None
    """A frozen version, see `/v1/constitution/versions`, to be served in the place of what is in force."""
    planner: Annotated[str | None, Field(max_length=40)] = None
    """In which order it is worked on, see docs/operations.md; the server's default when left out."""
    deliberate: Annotated[str | None, Field(max_length=40)] = None
    """How its answer is thought about twice: `off`, `rewrite`, `choose`, `gvr`, `debate`, `tests`; the
    server's default when left out."""
    speaking: Annotated[str | None, Field(max_length=10_000)] = None
    """How its answer is laid out: rules of succession, see docs/automaton.md."""
    policy: dict[str, JsonValue] | None = None
    """Rules that its calls must keep beside the server's: it can only narrow them."""
    wait: Wait = "accepted"
    """Answer at once, when the task has ended, or when the episode has also been learned from."""
    wait_s: Annotated[float, Field(gt=0)] = 300.0
    """Longest time to wait; the task goes on after it."""

    @model_validator(mode="after")
    def _says_what(self) -> TaskRequest:
        given = [name for name in ("config", "site", "text") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of config, site and text")
        return self


class QuestionOut(BaseModel):
    """A call that a task may make only if somebody says so."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    question: int
    """Counts from 1 within the task."""
    tool: str
    arguments: dict[str, JsonValue]
    reason: str
    """What the guard says."""
    wait_s: float
    """How long an answer is waited for; then it is a no."""


class ApprovalIn(_Form):
    """A human's word on a call."""

    approve: bool


class TaskOut(BaseModel):
    """A task as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["task"] = "task"
    state: JobState
    """`failed`: the server could not run it. An agent that fails its task ends `done` with an outcome."""
    world: str
    family: str
    text: str
    config: dict[str, JsonValue]
    model: str
    memory: Mode
    seed: int
    created_at: float
    ended_at: float | None = None
    episode: str
    """Id of the episode it leaves."""
    outcome: Outcome | None = None
    reward: float | None = None
    steps: int | None = None
    usage: Usage | None = None
    error: str | None = None
    learned: bool | None = None
    """Whether the episode has been learned from; null when nothing is to be learned from it."""
    learning_error: str | None = None
    proposed: Lineage | None = None
    """Which source proposed it and what of, see `/v1/proposals`; null where somebody set it."""
    asks: QuestionOut | None = None
    """What it waits for somebody to allow; shown where one task is asked for."""


class TaskList(BaseModel):
    """A page of tasks, newest first."""

    object: Literal["list"] = "list"
    data: list[TaskOut]
    next: str | None = None
    """Pass as `after` for the next page; null on the last one."""


class FeedbackIn(_Form):
    """What somebody says of an episode, possibly long after it."""

    outcome: Literal["success", "failure", "unknown"] | None = None
    reward: Annotated[float | None, Field(ge=-1, le=1)] = None
    values: dict[str, JsonValue] = {}
    """Named booleans, numbers or texts."""
    learn: bool = True
    """Learn from the episode now that its outcome is known."""

    @model_validator(mode="after")
    def _says_something(self) -> FeedbackIn:
        if self.outcome is None and self.reward is None and not self.values:
            raise ValueError("give an outcome, a reward or values")
        return self


class WorldOut(BaseModel):
    """A world tasks can be set in."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    listed: bool
    """Whether it lists tasks of its own."""
    tools: list[str]
    """Functions of the world `tools`."""


class WorldTask(BaseModel):
    """One task a world offers."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    text: str
    world: str
    family: str
    config: dict[str, JsonValue]
    """Send it as `config` of `POST /v1/tasks`."""
