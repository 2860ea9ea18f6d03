"""How an episode came out, and who said so. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.types import Observation
from agent.verification.outcomes import Ruling
from memory.types import Outcome, Source
from memory.value.outcomes import Said, settle


@dataclass(frozen=True, slots=True)
class Ending:
    """How an episode came out."""

    outcome: Outcome
    reward: float | None = None
    error: str | None = None
    by: Source | None = None
    """Who said so; None where nobody knows how it went."""
    is_presumed: bool = False
    """Nobody looked: it stands until somebody does."""

    @property
    def is_open(self) -> bool:
        """May a verifier still say how it went?"""
        return self.is_presumed or (self.outcome == "unknown" and self.error is None)

    @classmethod
    def of(cls, observation: Observation) -> Ending | None:
        """The ending an observation announces, if it does."""
        if not observation.done:
            return None
        outcome = observation.outcome or "unknown"
        sure = {"success": 1.0, "failure": 0.0}.get(outcome)
        reward = sure if observation.reward is None else observation.reward
        return cls(outcome, reward, by=None if sure is None else "world")


class Over(Exception):  # control flow inside this room: a planner or `agent.parts` returns its ending
    """The run ended in the middle of something."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending


def ruled(ending: Ending, ruling: Ruling) -> Ending:
    """The ending as it stands once a verifier has spoken too, see `memory.value.outcomes`."""
    if ending.is_presumed:
        return Ending("success", 1.0, by=ruling.by) if ruling.outcome == "success" else ending
    settled = settle([Said(one.outcome, one.by) for one in (ending, ruling) if one.by is not None])
    if settled is None or (settled.outcome, settled.by) == (ending.outcome, ending.by):
        return ending
    reward = {"success": 1.0, "failure": 0.0}.get(settled.outcome)
    return Ending(settled.outcome, reward, by=settled.by)
