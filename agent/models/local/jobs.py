"""What the engine of a local model is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch


@dataclass(frozen=True, slots=True)
class Generated:
    """What one request came to."""

    tokens: tuple[int, ...]
    """Without the stop token."""
    logprob: float
    """Sum over what was written, the stop token included (nats)."""
    finish: Literal["stop", "length"]


@dataclass(slots=True, eq=False)
class Generation:
    """A request to continue a prompt."""

    prompt: Sequence[int]
    max_new: int
    stop_ids: frozenset[int]
    is_complete: Callable[[Sequence[int]], bool] | None = None
    """Asked after every token: has a stop string appeared?"""
    on_token: Callable[[int], None] | None = None
    temperature: float = 0.0
    generator: torch.Generator | None = None
    future: Future[Generated] = field(default_factory=Future)
    written: list[int] = field(default_factory=list)
    logprob: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A request for the log-likelihood of each option as the continuation of a prompt."""

    prompt: Sequence[int]
    options: tuple[tuple[int, ...], ...]
    future: Future[tuple[float, ...]] = field(default_factory=Future)


Job: TypeAlias = Generation | Scoring
