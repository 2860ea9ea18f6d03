"""What a source of tasks is given and what it gives: memory as data, proposals, what passed the filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agent.generate.loop import Refusal
from agent.types import Ask, Judgement, Task, ToolSpec
from memory.types import TRUST, Channel, Episode, Item, Json

PROPOSED, QUALITY = "proposed", "task_quality"
"""In an episode's feedback: who proposed its task, and how good a judge found it, 0..1."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Who proposed a task, and what of; it stays with the task and its episode."""

    source: str
    items: tuple[str, ...] = ()
    """Of memory, that it was made of."""
    job: str = ""
    quality: float | None = None
    p: float | None = None
    """Success that was measured near it."""

    def feedback(self) -> dict[str, Json]:
        """As an episode carries it."""
        items: list[Json] = [*self.items]
        told: Json = {"source": self.source, "items": items, "job": self.job, "p": self.p}
        return {PROPOSED: told} | ({} if self.quality is None else {QUALITY: self.quality})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A task as a model wrote it: a text, or a configuration of a world that lists its tasks."""

    said: Json
    items: tuple[str, ...] = ()
    """Of memory, that it was made of."""
    trust: int = max(TRUST.values())
    """Lowest of what the model was shown for it."""
    names: frozenset[str] | None = None
    """Those it may use; None: any."""
    tag: str = ""
    """The source's own mark."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal that passed the filter, and what memory measured near it."""

    task: Task
    proposal: Proposal
    p: float
    """Probability of success."""
    n: float
    """Finished tasks near it, by their weight."""
    calls: float
    """That attempts near it made; towards 0 where there are none."""
    quality: float | None = None

    def lineage(self, source: str, job: str = "") -> Lineage:
        """Where it comes from."""
        return Lineage(source, self.proposal.items, job, self.quality, self.p)

    @property
    def channel(self) -> Channel | None:
        """`external` where strangers' words had part in it; None: whoever asked answers for it."""
        return "external" if self.proposal.trust == TRUST["external"] else None


@dataclass(frozen=True, slots=True)
class Known:
    """One family of tasks as memory holds it."""

    world: str
    family: str
    read: Callable[[Mapping[str, Json]], Task]
    """The task of a configuration. Raises BadInput."""
    listed: Mapping[str, Task] = field(default_factory=dict)
    """By id, all that the world lists here; empty for tasks in free text."""
    split: Callable[[Task], str] = lambda _: "work"
    """Of the world's own; what is not `work` measures, and is never proposed."""
    held: tuple[Task, ...] = ()
    """What the gate asks."""
    episodes: tuple[Episode, ...] = ()
    """Of the world, the newest first."""
    items: tuple[Item, ...] = ()
    """Principles, and what documents said."""
    tools: tuple[ToolSpec, ...] = ()
    waiting: tuple[str, ...] = ()
    """Texts of tasks that are set and have not ended."""
    accepted: tuple[Candidate, ...] = ()
    """Of this search so far."""
    refused: tuple[Refusal[Proposal], ...] = ()

    @property
    def lived(self) -> tuple[Episode, ...]:
        """Real attempts of the family that came to an outcome, the newest first."""
        told = (one for one in self.episodes if one.family == self.family and one.origin == "real")
        return tuple(one for one in told if one.outcome in ("success", "failure") and not one.forgotten)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the filter asks of a source's proposals."""

    band: tuple[float, float] = (0.0, 1.0)
    """Measured success near a task, ends included; where nothing is known it counts as one half."""
    quality: float = 0.7
    """A judge's least score; MAE's threshold. 0 asks no judge."""


class TaskSource(Protocol):
    """What to try next. A source is a setting of one loop, see `distill.sources.finding`."""

    @property
    def name(self) -> str:
        """As it is asked for."""
        ...

    @property
    def rules(self) -> Rules:
        """Of the filter."""
        ...

    @property
    def over(self) -> int:
        """How many times what is wanted has to pass before some are chosen."""
        ...

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """New ones, about n; what came of those before is in `known`. None: there is nothing to go by.

        Raises what `ask` raises.
        """
        ...

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """At most n of those that passed."""
        ...


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A task as it was played, which is not lived, and what a judge says of it."""

    episode: Episode
    """Of origin `imagined`."""
    judgement: Judgement
    """ok: is it worth keeping?"""


@runtime_checkable
class Played(Protocol):
    """A source whose tasks are played before any is set; kept are those whose playing is."""

    async def play(self, candidate: Candidate, known: Known) -> Rehearsal:
        """Raises what models raise."""
        ...
