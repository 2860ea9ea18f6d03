"""The nouns every room shares: messages, episodes, items, hits. This is the door to all of them.

All are frozen; a change is a new value (`dataclasses.replace`). Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from memory.nouns.messages import (
    Evidence,
    Image,
    Json,
    Kind,
    Message,
    Role,
    Span,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
)
from memory.nouns.questions import (
    Constitution,
    Dropped,
    Fate,
    Hit,
    Proposed,
    Query,
    ReadName,
    Recall,
    Recalled,
    RecallRecord,
    Score,
)
from memory.nouns.things import (
    BODIES,
    GLOBAL,
    TRUST,
    Body,
    CaseBody,
    Channel,
    Draft,
    FlowBody,
    Item,
    ItemKind,
    Lift,
    Lineage,
    NoteBody,
    Outcome,
    PolicyBody,
    PrincipleBody,
    ProcedureBody,
    SafetyBody,
    Scope,
    Status,
    ToolBody,
    Utility,
)

__all__ = [
    "BODIES",
    "GLOBAL",
    "TRUST",
    "Body",
    "CaseBody",
    "Channel",
    "Constitution",
    "Draft",
    "Dropped",
    "Episode",
    "EpisodeOrigin",
    "Evidence",
    "Fate",
    "FlowBody",
    "Hit",
    "Image",
    "Item",
    "ItemKind",
    "Json",
    "Kind",
    "Lift",
    "Lineage",
    "LogEntry",
    "Message",
    "Mode",
    "NoteBody",
    "Outcome",
    "PolicyBody",
    "PrincipleBody",
    "ProcedureBody",
    "Proposed",
    "Query",
    "ReadName",
    "Recall",
    "RecallRecord",
    "Recalled",
    "Role",
    "SafetyBody",
    "Scope",
    "Score",
    "Source",
    "Span",
    "Status",
    "StepVerdict",
    "Text",
    "ToolBody",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "Utility",
    "shown_too",
]

EpisodeOrigin = Literal["real", "imagined", "synthetic"]
Source = Literal["world", "rule", "human", "verifier", "judge"]
"""Who says how an episode went, the most believed first."""
Mode = Literal["learn", "frozen", "shadow", "off"]
"""What memory does for an episode: shown and learnt from; shown alone; learnt from alone; neither."""


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """How one step of an episode went."""

    message: int
    """Place of the action among the episode's messages."""
    verdict: Literal["ok", "error", "recovery"]
    """A recovery is a step that puts right what an error before it did."""
    reason: str = ""
    by: Literal["miner", "model", "world"] = "miner"
    confidence: float | None = None
    """How sure whoever gave it is, 0..1; None where they did not say."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One attempt at one task, complete enough to learn from, replay and audit."""

    id: str
    namespace: str
    task_id: str
    """Hash of world and task: attempts at the same task share it; splits are made by it."""
    task: str
    world: str
    family: str
    """What experience is shared within, e.g. a site of the household world."""
    group: str
    """Attempts at the same task under the same model and memory."""
    messages: tuple[Message, ...]
    outcome: Outcome
    reward: float | None = None
    feedback: dict[str, Json] = field(default_factory=dict)
    origin: EpisodeOrigin = "real"
    recall: RecallRecord | None = None
    reminders: tuple[RecallRecord, ...] = ()
    """What memory was asked in the middle and said."""
    model: str = ""
    adapter: str | None = None
    prompt_version: str = ""
    constitution_version: str | None = None
    seed: int = 0
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    """Calls made to the world or its tools."""
    error: str | None = None
    """Why the episode ended early (infra), in words."""
    started_at: float = 0.0
    ended_at: float = 0.0
    principal: str = ""
    verdicts: tuple[StepVerdict, ...] = ()
    """By step, in order; the first error is what a lesson is about."""
    outcome_by: Source | None = None
    """Who said how it went; None where nobody wrote it down."""
    mode: Mode = "learn"
    learning: Usage = field(default_factory=Usage)
    """What reflection and verification cost; not part of `usage`."""
    channel: Channel | None = None
    """How it was imported; None: it was lived here."""
    source: str | None = None
    """The import it came in by, which can be revoked as a whole."""
    forgotten: str | None = None
    """Why it may never teach: it, its source or its principal was forgotten. None: it may."""
    tools: tuple[ToolSpec, ...] = ()
    """What the model was told it could call, see `shown_too`; empty where it was told of none, or of none by
    schema as in the plain style, and in episodes from before this was kept."""

    @property
    def first_error(self) -> int | None:
        """The message of the first wrong step; None where none is known."""
        return next((one.message for one in self.verdicts if one.verdict == "error"), None)


def shown_too(before: Sequence[ToolSpec], now: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    """The tools of an episode once these are shown as well: all that were ever offered.

    Chat templates take one set for a whole conversation, and each call in it needs its tool. So a tool stays
    when it is taken away, in the order of first showing; one that changes counts as it was shown last.
    """
    found = {tool.name: tool for tool in before}
    found.update((tool.name, tool) for tool in now)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One row of the outbox log: history, undo, audit trail and change feed at once."""

    seq: int
    at: float
    namespace: str
    principal: str
    op: str
    """add, edit, retire, quarantine, delete, reinforce, episode, feedback, …"""
    item: str | None
    version: int | None
    before: Json
    after: Json
    hash: str
    """SHA-256 over the row and the hash of the row before it."""
