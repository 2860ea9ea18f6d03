"""What somebody who looked at an episode says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agent.critics.trajectories import Features
from memory.types import Outcome, Source, Usage

Dimension = Literal["authenticity", "process", "deliverable", "integrity"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold."""

    dimension: Dimension
    reason: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one source says of an episode."""

    outcome: Outcome
    by: Source
    findings: tuple[Finding, ...] = ()
    model: str = ""
    """Who checked, where a model did."""
    usage: Usage = field(default_factory=Usage)
    features: Features | None = None
    """What the critic `consistency` measured, kept so that a classifier can be fitted to it."""
