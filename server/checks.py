"""What stands beside the agents of a server, as its settings have it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.automaton.speaking import Protocol
from agent.critics.consistency import Consistency
from agent.deliberate.presets import PresetName
from agent.forge.kit import Forge
from agent.guards.feasible import FeasibleSettings
from agent.guards.privilege import Policy
from agent.guards.safety import Safety
from agent.guards.temporal import Temporal
from agent.holding import Holding
from agent.verification.verify import VerifySettings
from memory.value.steps import GATE, StepSettings

SYMBOLIC = "symbolic"
"""The verifier that needs no model."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What stands beside an agent at work; a namespace's dials go before `is_guarded` and `is_verified`."""

    is_guarded: bool = False
    advantage: StepSettings = GATE
    is_verified: bool = False
    verifier: str = SYMBOLIC
    """Name of the model that looks at runs, or `symbolic`."""
    verify: VerifySettings = field(default_factory=VerifySettings)
    in_parts: bool = False
    policy: Policy | None = None
    """What every call of a tool must keep."""
    holding: Holding = field(default_factory=Holding)
    """How calls are held to the task's own words."""
    order: Temporal | None = None
    """In which order tools may be called."""
    planner: str = "react"
    """In which order runs are worked on, where a request names none."""
    deliberate: PresetName = "off"
    """How answers are thought about twice."""
    safety: Safety | None = None
    """What refuses calls by their outcome."""
    max_spawns: int = 0
    """Agents or tasks that a task may start."""
    max_depth: int = 1
    """Only tasks with fewer above them may."""
    admission: FeasibleSettings | None = None
    """How tasks are weighed before they are begun; None begins all."""
    forge: Forge | None = None
    """Where tools are written; None is nowhere."""
    consistency: Consistency | None = None
    """What looks at runs in the place of checks."""
    speaking: Protocol | None = None
    """How answers are laid out; None leaves it open."""
