"""Who writes."""

from __future__ import annotations

from dataclasses import dataclass

from memory.errors import BadInput, Denied
from memory.types import GLOBAL, Channel, Scope


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, in which namespace, through which channel, when, and under which encoder generation."""

    namespace: str
    principal: str
    channel: Channel
    at: float
    encoder: str


def check_right(namespace: str, channel: Channel) -> None:
    """Raises Denied where the channel may not write: what every namespace reads is for operators alone."""
    if namespace == GLOBAL and channel != "operator":
        raise Denied(f"the namespace {GLOBAL!r} is for all: written by operators, not by {channel!r}")


def check_scope(namespace: str, scope: Scope) -> None:
    """Raises BadInput unless scope `global`, and nothing else, goes where every namespace reads."""
    if (namespace == GLOBAL) != (scope == "global"):
        raise BadInput(
            f"scope {scope!r} does not fit namespace {namespace!r}: 'global' is what {GLOBAL!r} holds"
        )
