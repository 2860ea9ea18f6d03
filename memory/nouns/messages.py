"""Turns of a conversation and what is known about them. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from typing_extensions import (
    TypeAliasType,  # in `typing` from Python 3.12; lets pydantic read a recursive type
)

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["task", "plan", "act", "observe", "reflect", "critique", "answer", "memory"]


LARGEST_KEPT = 65_536
"""Characters of a picture, as a data URL, that episodes keep whole."""
_REFERENCE = "urn:sha256:"


@dataclass(frozen=True, slots=True)
class Text:
    """A text part of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image part of a message: an https or data URL, passed through to the model unchanged."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"

    @property
    def kept(self) -> Image:
        """As an episode keeps it: a large data URL is only named, by the digest of the whole of it."""
        if not self.url.startswith("data:") or len(self.url) <= LARGEST_KEPT:
            return self
        return replace(self, url=_REFERENCE + sha256(self.url.encode()).hexdigest())

    @property
    def is_named(self) -> bool:
        """Is it only named, and not to be seen?"""
        return self.url.startswith(_REFERENCE)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request to run one tool; `arguments` is the parsed JSON object."""

    id: str
    name: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Json]
    read_only: bool = False


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
    rule: str | None = None
    """The rule that the world says was broken here. Its word, never read out of a text."""

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
