"""The nouns every room shares: messages, episodes, items, hits. Standard library only,
but for the named alias that pydantic needs to read a recursive type.

All are frozen; a change is a new value (`dataclasses.replace`). Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import TypeAliasType  # in `typing` from Python 3.12

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["task", "plan", "act", "observe", "reflect", "critique", "answer", "memory"]
Outcome = Literal["success", "failure", "unknown", "infra"]
EpisodeOrigin = Literal["real", "imagined", "synthetic"]
ItemKind = Literal[
    "case", "principle", "procedure", "tool_note", "tool", "flow", "policy", "safety", "profile"
]
Scope = Literal["run", "family", "team", "namespace", "global"]
Status = Literal["draft", "trial", "active", "quarantined", "retired"]
Channel = Literal["operator", "user", "tool", "reflection", "external"]
Fate = Literal["kept", "floor", "duplicate", "cap", "budget", "limit", "status", "held_out"]

TRUST: Mapping[Channel, int] = {
    "operator": 4,
    "user": 3,
    "tool": 2,
    "reflection": 1,
    "external": 0,
}
"""Trust by the authenticated channel a thing came through; what is derived has the minimum of its sources."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text part of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image part of a message: an https or data URL, passed through to the model unchanged."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request to run one tool; `arguments` is the parsed JSON object."""

    id: str
    name: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[begin, end)` of a message's text with their own training weight."""

    begin: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Message:
    """One turn, with what is known about it."""

    role: Role
    content: str | tuple[Text | Image, ...] = ""
    kind: Kind | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    agent: str = "agent"
    ok: bool | None = None
    """Was this step right? None: nobody knows."""
    weight: float | None = None
    """Training weight set by hand; None leaves it to the recipe."""
    spans: tuple[Span, ...] = ()
    logprob: float | None = None
    """Sum of token log-probabilities (nats) under the model that wrote it."""
    reward: float | None = None

    @property
    def text(self) -> str:
        """The text parts joined; images are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where something was seen: a message of an episode (index into `Episode.messages`)."""

    episode: str
    message: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """One item as it was considered for an episode; enough to check a replay and to weigh its effect."""

    item: str
    version: int
    score: float
    propensity: float
    """Probability that a kept item was in fact shown, in (0, 1]."""
    shown: bool


@dataclass(frozen=True, slots=True)
class RecallRecord:
    """What was asked of memory and at which log position; replaying it gives the same hits."""

    query: Query
    log_seq: int
    encoder: str
    """Encoder generation, e.g. `minilm-384-1`."""
    items: tuple[Recalled, ...]
    constitution: tuple[str, ...] = ()
    """Ids of the principles shown, as `id@version`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money of model calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Totals of both."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
            self.calls + other.calls,
        )


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


@dataclass(frozen=True, slots=True)
class ProcedureBody:
    """A standard operating procedure (MUSE, arXiv 2510.08002)."""

    application: str
    operation: str
    preconditions: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoteBody:
    """Any other kind (tool_note, profile, safety, …): a subject and free text."""

    subject: str
    note: str


Body = CaseBody | PrincipleBody | ProcedureBody | NoteBody


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
    """Principal that wrote this version."""
    created_at: float
    updated_at: float
    valid_from: float
    valid_to: float | None = None
    superseded_by: str | None = None
    pinned: bool = False
    lineage: Lineage = field(default_factory=Lineage)
    utility: Utility = field(default_factory=Utility)


@dataclass(frozen=True, slots=True)
class Query:
    """What recall is asked: a situation, in one namespace."""

    namespace: str
    text: str
    family: str | None = None
    kinds: tuple[ItemKind, ...] = ("case", "procedure", "tool_note")
    k: int = 4
    token_budget: int = 1024
    exclude_task: str | None = None
    """Task id whose own cases are left out (no answer leaks to itself when a benchmark asks so)."""
    drop_rate: float = 0.0
    """Probability that each kept item is held out of the prompt, for causal utility."""
    seed: int = 0
    at: float | None = None
    """When validity is judged; None is now. A recall answers with the time it used: a replay needs it."""


@dataclass(frozen=True, slots=True)
class Score:
    """The parts of a hit's score; None where a ranker did not see the item."""

    dense: float | None = None
    """Cosine similarity, -1..1."""
    lexical: float | None = None
    """BM25, higher is better."""
    fused: float = 0.0
    """Reciprocal-rank fusion of the two."""
    utility: float = 0.0
    """Shrunken mean reward, 0..1."""
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """An item with the parts of its score and the reason for its fate."""

    item: Item
    score: Score
    fate: Fate
    tokens: int
    propensity: float = 1.0

    @property
    def kept(self) -> bool:
        """Does it go into the prompt?"""
        return self.fate == "kept"


@dataclass(frozen=True, slots=True)
class Recall:
    """The answer to a query: every candidate, best first; `hits` are those to show."""

    query: Query
    candidates: tuple[Hit, ...]
    log_seq: int
    encoder: str

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The kept ones, in the order to show them."""
        return tuple(hit for hit in self.candidates if hit.kept)

    def record(self, constitution: Constitution | None = None) -> RecallRecord:
        """What an episode keeps of it: the items shown and those held out by the coin."""
        items = tuple(
            Recalled(hit.item.id, hit.item.version, hit.score.total, hit.propensity, shown=hit.kept)
            for hit in self.candidates
            if hit.fate in {"kept", "held_out"}
        )
        principles = () if constitution is None else constitution.principles
        shown = tuple(f"{item.id}@{item.version}" for item in principles)
        return RecallRecord(self.query, self.log_seq, self.encoder, items, shown)


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


@dataclass(frozen=True, slots=True)
class Constitution:
    """The principles of a namespace that are in force, most useful first, within a token budget."""

    namespace: str
    family: str | None
    version: str
    """Hash of the ids and versions below."""
    principles: tuple[Item, ...]
    dropped: tuple[str, ...] = ()
    """Ids left out by the budget."""
