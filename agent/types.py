"""The seams of this room: what a model, a world, a guard and a journal are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from memory.types import Channel, Evidence, Image, Json, Message, Outcome, Text, ToolCall, Usage
from memory.types import ToolSpec as ToolSpec  # beside the seams that speak of it

Finish = Literal["stop", "length", "tool_calls"]
Style = Literal["plain", "full"]
ANSWER_TOOL = "finish"
"""The tool that gives the final answer; saying something to one's user needs no privilege."""


@dataclass(frozen=True, slots=True)
class Request:
    """One model call."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    n: int = 1
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Json] | None = None
    """JSON Schema the answer must satisfy."""
    choices: tuple[str, ...] = ()
    """Forced multiple choice: the answer is one of these, by likelihood."""
    must_call: bool = False
    """One of `tools` has to be called, see `agent.models.calling`."""
    parallel: bool = True
    """May several tools be called in one answer?"""
    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model."""

    message: Message
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "stop"
    model: str = ""
    choice: int | None = None
    """Index into `Request.choices`."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the last one carries the whole reply."""

    text: str = ""
    reply: Reply | None = None


class Model(Protocol):
    """A language model: hosted, in process, or scripted."""

    @property
    def name(self) -> str:
        """How the API and episodes call it, e.g. `local:tiny` or `openai/gpt-4.1`."""
        ...

    @property
    def style(self) -> Style:
        """`plain` for small models that read the world's own English and act by a text marker."""
        ...

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """`request.n` answers. Raises ModelError when no answer can be had, BudgetExceeded on a limit."""
        ...

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        """One answer, piece by piece."""
        ...

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's own tokens."""
        ...


Ask = Callable[[Request], Awaitable[tuple[Reply, ...]]]
"""A way to ask a model: its own `complete`, or one that is journaled and paid for by a run."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, and where."""

    id: str
    """Hash of world and config: the unit that splits are made by."""
    text: str
    world: str
    family: str
    """What experience is shared within, e.g. `maple 7`, a site."""
    config: Mapping[str, Json] = field(default_factory=dict)
    max_steps: int = 20


@dataclass(frozen=True, slots=True)
class Observation:
    """What a world answers."""

    text: str
    ok: bool | None = None
    """False when the call was refused or did nothing; a world that cannot tell says None."""
    done: bool = False
    outcome: Outcome | None = None
    reward: float | None = None
    rule: str | None = None
    """The rule that the call broke, as a sentence; only worlds that know their rules say so."""
    channel: Channel | None = None
    """Where this answer came from, where that is not where answers of its tool come from."""
    images: tuple[Image, ...] = ()

    @property
    def content(self) -> str | tuple[Text | Image, ...]:
        """As a message holds it."""
        return (Text(self.text), *self.images) if self.images else self.text


class World(Protocol):
    """Where an agent acts. One object serves one episode at a time."""

    def tools(self) -> tuple[ToolSpec, ...]:
        """What can be called."""
        ...

    async def reset(self, task: Task) -> Observation:
        """Start the task afresh."""
        ...

    async def step(self, call: ToolCall) -> Observation:
        """Run one call. Raises WorldError before `reset`, after the end, and when the world itself broke."""
        ...


@runtime_checkable
class Snapshots(Protocol):
    """A world that can be put back where it was, e.g. after a crash of the server."""

    def snapshot(self) -> Json:
        """The whole state as JSON."""
        ...

    def restore(self, task: Task, snapshot: Json) -> None:
        """Back to a state that `snapshot` returned for this task."""
        ...


class Expert(Protocol):
    """A world that knows the right actions; for teaching and measuring, never shown to an agent at work."""

    def expert(self) -> tuple[str, ...]:
        """The commands that are right in the present state, best first."""
        ...


@runtime_checkable
class Choices(Protocol):
    """A world that knows what can be done now, for whoever acts by choosing."""

    def commands(self) -> tuple[str, ...]:
        """The commands that do something now; empty before `reset` or where none is known."""
        ...


class Catalogue(Protocol):
    """A kind of world by name: it lists tasks and makes worlds."""

    @property
    def name(self) -> str:
        """As in `Task.world`."""
        ...

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` different tasks of a site. Raises BadInput on an unknown site or split."""
        ...

    def all(self, site: str) -> tuple[Task, ...]:
        """Every task of a site, whatever its split. Raises BadInput on an unknown site."""
        ...

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of one configuration (what `Task.config` holds). Raises BadInput."""
        ...

    def split_of(self, task: Task) -> str:
        """The split that a task belongs to, however it is worded. Raises BadInput."""
        ...

    def make(self) -> World:
        """A fresh world."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What every critic, guard and evaluation returns."""

    score: float
    """0..1."""
    ok: bool | None
    feedback: str = ""
    evidence: tuple[Evidence, ...] = ()


Action = Literal["allow", "block", "ask", "stop"]
Approve = Callable[[ToolCall, "Verdict"], Awaitable[bool]]
"""Asks a human about a call; True lets it through."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's word on one call. A block is told to the agent as an observation."""

    action: Action
    reason: str = ""
    guard: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an episode has used so far."""

    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one episode; None means no limit."""

    max_steps: int | None = 30
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = 600.0


@dataclass(frozen=True, slots=True)
class InForce:
    """A principle that a model was shown."""

    text: str
    is_given: bool = False
    """Written or pinned by an operator, rather than learned."""


@dataclass(frozen=True, slots=True)
class GuardContext:
    """What a guard may look at."""

    messages: Sequence[Message]
    spent: Spent
    trust: int
    """Lowest trust of anything in context, see `memory.types.TRUST`."""
    task: Task | None = None
    """What the episode is about; None where a guard is asked outside of one."""
    principles: tuple[InForce, ...] = ()
    """Those that were shown at its opening."""
    nested: tuple[str, ...] = ()
    """Tools that were called from inside other tools so far, in order."""
    done: tuple[str, ...] = ()
    """Calls that were carried out and did not fail, by their tools; an outer one before those inside."""


class Guard(Protocol):
    """One link of the chain at the dispatcher; pure, no I/O."""

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Allow, block, ask a human, or stop the episode."""
        ...


class Journal(Protocol):
    """Makes effects durable: a step that was recorded is not run again after a crash."""

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """Run `do` once under this name and keep its JSON result; on replay return the kept one."""
        ...

    async def event(self, name: str, data: Json) -> None:
        """Publish progress (for live streams); replays may repeat it."""
        ...


@runtime_checkable
class Waits(Protocol):
    """A journal through which somebody outside can answer a run."""

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        """Wait for what is sent to the run under a topic; None when the time is over.

        Durable: after a crash the wait goes on for what is left of its time.
        """
        ...
