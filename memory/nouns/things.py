"""What is remembered: items, their bodies, statistics and lineage. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from memory.nouns.messages import Evidence, Json

Outcome = Literal["success", "failure", "unknown", "infra"]
ItemKind = Literal[
    "case", "principle", "procedure", "tool_note", "tool", "flow", "policy", "safety", "profile"
]
Scope = Literal["run", "family", "team", "namespace", "global"]
Status = Literal["draft", "trial", "active", "quarantined", "retired"]
Channel = Literal["operator", "user", "tool", "reflection", "external"]
GLOBAL = "*"
"""The namespace of items of scope `global`: read from every namespace, written by operators alone."""
TRUST: Mapping[Channel, int] = {
    "operator": 4,
    "user": 3,
    "tool": 2,
    "reflection": 1,
    "external": 0,
}
"""Trust by the authenticated channel a thing came through; what is derived has the minimum of its sources."""


@dataclass(frozen=True, slots=True)
class CaseBody:
    """An episodic case (Memento, arXiv 2508.16153): what was tried and how it went."""

    task: str
    plan: tuple[str, ...]
    """Actions in order, as the world understood them."""
    lesson: str
    """What the reflection says is worth knowing next time."""
    cause: str | None = None
    """Why it failed; failures without a cause are never shown."""
    steps: int = 0


@dataclass(frozen=True, slots=True)
class PrincipleBody:
    """One rule of the constitution (OmniReflect, arXiv 2506.17449)."""

    tier: Literal["global", "family", "tool"]
    builder: Literal["symbolic", "neural", "neuro-symbolic", "operator"]
    support: int = 0
    violations: int = 0
    confidence: float | None = None
    """Share of its occasions that bear it out, 0..1; None where nothing was counted."""
    pattern: str = ""
    """What was counted: the miner's name for it, e.g. `order`, `loop`."""
    against: tuple[Evidence, ...] = ()
    """Where the opposite was seen, as far as that was kept: what is here is not counted again."""


@dataclass(frozen=True, slots=True)
class ProcedureBody:
    """A standard operating procedure (MUSE, arXiv 2510.08002)."""

    application: str
    operation: str
    preconditions: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolBody:
    """A tool that was written on the job: what it is called with and the code behind it."""

    name: str
    description: str
    parameters: dict[str, Json]
    """JSON Schema of the arguments."""
    code: str
    requires: tuple[str, ...] = ()
    """Names of tools it calls."""


@dataclass(frozen=True, slots=True)
class FlowBody:
    """A program in natural language (CoRE, arXiv 2405.06907): numbered steps that may branch."""

    goal: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyBody:
    """One privilege rule (Progent, arXiv 2504.11703): what to do with calls of a tool whose arguments fit."""

    effect: Literal["allow", "forbid", "ask"]
    tool: str
    conditions: dict[str, Json]
    """JSON Schema of the arguments it holds for; empty is all."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SafetyBody:
    """A hazard that was met or foreseen, and what to do instead (AutoSafe, arXiv 2505.17735)."""

    situation: str
    hazard: str
    safe_action: str


@dataclass(frozen=True, slots=True)
class NoteBody:
    """A note on a tool or a profile of somebody: a subject and free text."""

    subject: str
    note: str


Body = CaseBody | PrincipleBody | ProcedureBody | ToolBody | FlowBody | PolicyBody | SafetyBody | NoteBody
BODIES: Mapping[ItemKind, type[Body]] = {
    "case": CaseBody,
    "principle": PrincipleBody,
    "procedure": ProcedureBody,
    "tool_note": NoteBody,
    "tool": ToolBody,
    "flow": FlowBody,
    "policy": PolicyBody,
    "safety": SafetyBody,
    "profile": NoteBody,
}
"""The body that items of a kind have."""


@dataclass(frozen=True, slots=True)
class Lift:
    """What showing an item adds to the reward, by the episodes in which a coin decided; see `value.lift`."""

    n: int = 0
    """Episodes with it in view in which the coin decided, shown or held out."""
    n_held: int = 0
    mean: float = 0.0
    """Inverse-propensity estimate, in reward; may lie outside -1..1 while n is small."""
    variance: float = 0.0
    """Of one episode's estimate."""
    log_up: float = 0.0
    """Natural logarithm of the evidence (e-value) against `it does not help`."""
    log_down: float = 0.0
    """The same against `it does no harm`."""
    test: int = 0
    """Which test of the item it is; a release from quarantine begins the next."""


@dataclass(frozen=True, slots=True)
class Utility:
    """Outcome statistics of an item over the episodes that had it in view."""

    n: int = 0
    reward_sum: float = 0.0
    q: float = 0.0
    """Running value, Q ← Q + a (r - Q); MemRL, arXiv 2601.03192."""
    held_out_n: int = 0
    held_out_reward_sum: float = 0.0
    last_used_at: float | None = None
    lift: Lift | None = None
    """None before a coin has decided about it."""
    fetched: int = 0
    """How often it was read on demand, where only its title was shown."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What an item was derived from."""

    evidence: tuple[Evidence, ...] = ()
    items: tuple[str, ...] = ()
    """Ids of items it supersedes or was merged from."""
    source: str | None = None
    """An import, document or channel that can be revoked as a whole."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants remembered; memory gives it id, version, trust and time."""

    kind: ItemKind
    text: str
    """The text that is embedded and searched."""
    body: Body
    scope: Scope = "namespace"
    family: str | None = None
    outcome: Outcome | None = None
    status: Status = "active"
    lineage: Lineage = field(default_factory=Lineage)
    valid_to: float | None = None
    valid_from: float | None = None
    """None is from now on."""
    audience: str | None = None
    """The run or team it is confined to; needed by scopes `run` and `team`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One remembered thing at one version."""

    id: str
    namespace: str
    kind: ItemKind
    scope: Scope
    family: str | None
    text: str
    body: Body
    outcome: Outcome | None
    status: Status
    version: int
    channel: Channel
    trust: int
    author: str
    """Principal that wrote its text and body; who pinned, merged or retired it is in the log."""
    created_at: float
    updated_at: float
    valid_from: float
    valid_to: float | None = None
    superseded_by: str | None = None
    pinned: bool = False
    lineage: Lineage = field(default_factory=Lineage)
    utility: Utility = field(default_factory=Utility)
    audience: str | None = None
    """The run or team it is confined to."""
