"""What is asked of memory, what it answers, and what is kept of that. All frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from memory.nouns.things import Item, ItemKind

RANKER = "3"
"""Version of how words are read and candidates ordered; a recall replays under its own alone."""
Fate = Literal[
    "kept", "floor", "duplicate", "cap", "principal", "budget", "limit", "status", "held_out", "shadow"
]
"""Shown, or why not: under the floor, said already, too many failures, too much of one principal, over the
token budget, over k or not among the most similar, not valid or not to be shown, held out by the coin, asked
in a mode that shows nothing."""
ReadName = Literal["cosine", "per_case", "episodic", "lift", "neural"]
"""What ranks candidates, see `memory.value.reads`: nearness alone, an item's running value, what came of it
near such a question, what showing it adds there, a fitted critic."""
_WANTED: frozenset[Fate] = frozenset({"kept", "held_out", "shadow"})
"""What recall chose, shown or not."""


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
    """What every coin is tossed with. Runs take one of their own each, or an item would always be held out,
    or never."""
    run: str | None = None
    """The run that asks: items of scope `run` are found by their own run alone."""
    team: str | None = None
    """The team that asks, likewise."""
    at: float | None = None
    """When validity is judged; None is now. A recall answers with the time it used: a replay needs it."""
    policy: ReadName | None = None
    """What ranks the candidates; None is what the memory was opened with."""
    mixture: tuple[tuple[ReadName, float], ...] = ()
    """What a coin drew `policy` from, with the chance of each; empty where none was tossed."""
    hold_out: float = 0.0
    """Probability that nothing of what is recalled is shown, to measure recall as a whole."""

    @property
    def propensity(self) -> float:
        """With which an item that is chosen is shown: both coins must let it."""
        return (1.0 - self.hold_out) * (1.0 - self.drop_rate)

    @property
    def reaches(self) -> frozenset[str]:
        """The confined items it may see, as `memory.entry.reach_of` names them."""
        named = (("family", self.family), ("run", self.run), ("team", self.team))
        return frozenset(f"{scope}:{name}" for scope, name in named if name is not None)


@dataclass(frozen=True, slots=True)
class Score:
    """The parts of a hit's score; None where a ranker did not see the item."""

    dense: float | None = None
    """Cosine similarity, -1..1."""
    lexical: float | None = None
    """BM25, higher is better."""
    coverage: float = 0.0
    """Share of the question's words found in it, weighted by how rare they are, 0..1."""
    fused: float = 0.0
    """Both in one: the mean of their z-scores over all candidates."""
    utility: float = 0.0
    """What the read policy makes of it: by default its shrunken mean reward, 0..1."""
    rerank: float | None = None
    """What a cross-encoder makes of question and text, higher is better; None where none was asked."""
    recency: float = 0.0
    """1 when its content was written or confirmed just now, halved every half-life."""
    diversity: float = 0.0
    """Largest cosine with an item taken before it, 0 at least."""
    total: float = 0.0
    """What decided; 0 for a candidate that did not reach the weighing."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An item with the parts of its score and the reason for its fate."""

    item: Item
    score: Score
    fate: Fate
    tokens: int
    """What it costs in the prompt; 0 where it was out before that mattered."""
    propensity: float = 1.0
    """Of being shown rather than held out."""
    chance: float = 1.0
    """With which it was drawn at its turn; 1 where the best was taken."""

    @property
    def kept(self) -> bool:
        """Does it go into the prompt?"""
        return self.fate == "kept"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A principle that is in force and yet not shown, and why."""

    item: str
    reason: Literal["budget", "conflict", "withdrawn"]
    by: str | None = None
    """Id of the one that it contradicts."""


@dataclass(frozen=True, slots=True)
class Constitution:
    """The principles of a namespace that are in force, most useful first, within a token budget."""

    namespace: str
    family: str | None
    version: str
    """Hash of the ids and versions below."""
    principles: tuple[Item, ...]
    dropped: tuple[Dropped, ...] = ()
    """Those left out by the budget, or because a narrower one says otherwise."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """One item as it was considered for an episode; enough to check a replay and to weigh its effect."""

    item: str
    version: int
    score: float
    propensity: float
    """Probability with which it was shown, in (0, 1]; 0 where showing it was out of the question (shadow)."""
    shown: bool
    tokens: int = 0
    """What it cost, in the counter's tokens."""
    chance: float = 1.0
    """With which a warm read drew it, of what was left then. Its effect is weighed by `propensity` alone."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A candidate as an approximate search proposed it: searching again might propose others."""

    item: str
    dense: float | None
    lexical: float | None
    coverage: float
    shared: bool = False
    """Was it found among the items of scope `global`?"""


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
    principles: tuple[Recalled, ...] = ()
    """Those that were drawn for, shown or not; records before 0.3 name the shown ones alone."""
    tokens: int = 0
    """Spent on the items shown, of `query.token_budget`."""
    counter: str = ""
    """Whose tokens: the model's name where its tokenizer counted."""
    reranker: str | None = None
    """The cross-encoder that was asked, if any."""
    floor: float | None = None
    """The least cosine then; None in records of the first release."""
    proposed: tuple[Proposed, ...] | None = None
    """What an approximate search found; None after an exact one, which can be run again."""
    ranker: str = "1"
    """Version of the ranking, see `RANKER`; the first release did not write it down."""
    policy: ReadName = "per_case"
    valued: tuple[tuple[str, float], ...] = ()
    """What a policy that looks at single episodes made of the items: later words on these change it."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The answer to a query: every candidate, best first; `hits` are those to show."""

    query: Query
    candidates: tuple[Hit, ...]
    log_seq: int
    encoder: str
    counter: str = ""
    reranker: str | None = None
    floor: float = 0.0
    proposed: tuple[Proposed, ...] | None = None
    policy: ReadName = "per_case"
    valued: tuple[tuple[str, float], ...] = ()
    """By item, see `RecallRecord.valued`."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The kept ones, in the order to show them."""
        return tuple(hit for hit in self.candidates if hit.kept)

    def in_shadow(self) -> Recall:
        """The same with nothing to show: what would have been shown stays in the record, never credited."""
        unseen = tuple(
            replace(hit, fate="shadow", propensity=0.0) if hit.fate in _WANTED else hit
            for hit in self.candidates
        )
        return replace(self, candidates=unseen)

    def record(
        self, constitution: Constitution | None = None, drawn: tuple[Recalled, ...] = ()
    ) -> RecallRecord:
        """What an episode keeps of it: items chosen, shown or not, and principles drawn."""
        items = tuple(_recalled(hit) for hit in self.candidates if hit.fate in _WANTED)
        principles = () if constitution is None else constitution.principles
        return RecallRecord(
            self.query,
            self.log_seq,
            self.encoder,
            items,
            tuple(f"{item.id}@{item.version}" for item in principles),
            drawn,
            tokens=sum(hit.tokens for hit in self.hits),
            counter=self.counter,
            reranker=self.reranker,
            floor=self.floor,
            proposed=self.proposed,
            ranker=RANKER,
            policy=self.policy,
            valued=self.valued,
        )


def _recalled(hit: Hit) -> Recalled:
    item = hit.item
    return Recalled(item.id, item.version, hit.score.total, hit.propensity, hit.kept, hit.tokens, hit.chance)
