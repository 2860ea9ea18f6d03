"""Who writes."""

from __future__ import annotations

from dataclasses import dataclass

from memory.types import Channel


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, in which namespace, through which channel, when, and under which encoder generation."""

    namespace: str
    principal: str
    channel: Channel
    at: float
    encoder: str
