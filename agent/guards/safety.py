"""A guard by outcome: a call that would do what cannot be undone is refused before it is run. Pure.

Source: AutoSafe (arXiv 2505.17735): safety is a matter of what an action would do, not of what the world then
answers. Deviation: the paper asks a model at every step. Here a table is asked, which a run is given as data;
of what the table does not know, only calls that change something may be put to somebody (`unsure`), and a
model may answer in a human's place where the dispatcher asks (`agent.critics.safety.approving`): so guards
stay pure, a replay asks nobody twice, and most calls cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.guards.hazards import HAZARDS, RISKS, Hazard
from agent.types import ANSWER_TOOL, Action, GuardContext, Verdict
from memory.types import ToolCall


@dataclass(frozen=True, slots=True)
class Safety:
    """Refuses calls with a known outcome; off unless an agent is given one."""

    hazards: tuple[Hazard, ...] = HAZARDS
    action: Action = "block"
    """What becomes of one; `ask` leaves it to who approves, `stop` ends the run."""
    unsure: Literal["allow", "ask"] = "allow"
    """What becomes of a call that no hazard fits and that may change something."""
    read_only: frozenset[str] = frozenset()
    """Tools that change nothing, about which nobody is asked."""

    @property
    def name(self) -> str:
        """As verdicts have it."""
        return "safety"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Refuse what is unsafe, with the outcome in words."""
        if call.name == ANSWER_TOOL:
            return Verdict("allow", guard=self.name)
        task = context.task.text if context.task else ""
        found = self.hazard(call, task)
        if found is not None:
            return Verdict(self.action, f"{found.risk}: {RISKS[found.risk]}", self.name)
        if self.unsure == "ask" and call.name not in self.read_only:
            return Verdict("ask", f"nobody knows whether this is safe; the task is: {task}", self.name)
        return Verdict("allow", guard=self.name)

    def hazard(self, call: ToolCall, task: str) -> Hazard | None:
        """The first that fits."""
        return next((one for one in self.hazards if one.holds(call, task)), None)
