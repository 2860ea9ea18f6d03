"""What is remembered, and what comes of looking for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memory.errors import BadInput
from memory.types import (
    BODIES,
    Body,
    CaseBody,
    Channel,
    Draft,
    Episode,
    Evidence,
    Hit,
    Item,
    ItemKind,
    Lineage,
    LogEntry,
    NoteBody,
    Outcome,
    PrincipleBody,
    ProcedureBody,
    ReadName,
    Scope,
    Status,
)

MAX_TEXT = 20_000


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ItemIn(_Form):
    """Something to remember."""

    kind: ItemKind
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    """The text that is embedded and searched."""
    body: Body | None = None
    """Left out, a note or an operator's principle is made of the text."""
    scope: Scope = "namespace"
    family: Annotated[str | None, Field(max_length=200)] = None
    outcome: Outcome | None = None
    evidence: list[Evidence] = []
    source: str | None = None
    """Where it comes from, a name by which it can be revoked."""
    valid_to: float | None = None
    valid_from: float | None = None
    audience: Annotated[str | None, Field(max_length=200)] = None
    """The run or team it is confined to; needed by scopes `run` and `team`."""

    def to_draft(self, channel: Channel) -> Draft:
        """As memory takes it: principles are in force by an operator's word alone, others' are on trial."""
        is_tried = self.kind == "principle" and channel != "operator"
        return Draft(
            kind=self.kind,
            text=self.text,
            body=self.body or self._plain_body(),
            scope=self.scope,
            family=self.family,
            outcome=self.outcome,
            status="trial" if is_tried else "active",
            lineage=Lineage(evidence=tuple(self.evidence), source=self.source),
            valid_to=self.valid_to,
            valid_from=self.valid_from,
            audience=self.audience,
        )

    def _plain_body(self) -> Body:
        if self.kind == "principle":
            return PrincipleBody(tier="family" if self.family else "global", builder="operator")
        if self.kind == "case":
            return CaseBody(task=self.text, plan=(), lesson=self.text)
        if self.kind == "procedure":
            return ProcedureBody(
                application=self.family or "", operation=self.text, preconditions=(), steps=()
            )
        if self.kind in {"tool_note", "profile"}:
            return NoteBody(subject=self.text[:80], note=self.text)
        raise BadInput(f"a {self.kind} needs a body, a {BODIES[self.kind].__name__}: see the schema")


class RememberRequest(_Form):
    """Items to remember, together or not at all."""

    items: Annotated[list[ItemIn], Field(min_length=1, max_length=256)]


class EditRequest(_Form):
    """A change; it appends a version. What is left out stays."""

    text: Annotated[str | None, Field(min_length=1, max_length=MAX_TEXT)] = None
    body: Body | None = None
    status: Status | None = None
    pinned: bool | None = None
    evidence: list[Evidence] | None = None
    expect_version: int | None = None
    """The change is refused (409) when the item is at another version."""


class SearchRequest(_Form):
    """What to recall."""

    query: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    family: str | None = None
    run: str | None = None
    team: str | None = None
    kinds: Annotated[list[ItemKind], Field(min_length=1)] = ["case", "procedure", "tool_note"]
    k: Annotated[int, Field(ge=1, le=100)] = 4
    token_budget: Annotated[int, Field(ge=0, le=100_000)] = 4096
    policy: ReadName | None = None
    """What ranks; left out, what ranks for the namespace's tasks."""
    explain: bool = False
    """Return every candidate with the parts of its score and the reason for its fate."""


class SearchResult(BaseModel):
    """What was recalled, best first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["search"] = "search"
    hits: list[Hit]
    candidates: list[Hit] | None = None
    """All that were considered; only with `explain`."""
    log_seq: int
    """The memory's version that was searched."""
    encoder: str


class ItemList(BaseModel):
    """A page of items."""

    object: Literal["list"] = "list"
    data: list[Item]
    next: str | None = None


class History(BaseModel):
    """Every change of one item, oldest first."""

    object: Literal["list"] = "list"
    data: list[LogEntry]


class EpisodeList(BaseModel):
    """A page of episodes, oldest first."""

    object: Literal["list"] = "list"
    data: list[Episode]
    next: str | None = None
