"""ReAct: turn after turn until the run is over."""

from __future__ import annotations

from dataclasses import dataclass

from agent.desk import Desk
from agent.ending import Ending


@dataclass(frozen=True, slots=True)
class React:
    """Think, act, observe (Yao et al. 2023, arXiv 2210.03629): the planner that adds nothing."""

    name: str = "react"

    async def run(self, desk: Desk) -> Ending:
        """Turns of the model until one ends the run, or nothing is left to pay for the next."""
        while (ending := desk.spent_up() or await desk.turn()) is None:
            pass
        return ending
