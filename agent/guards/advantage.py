"""A guard by experience: what was credibly worse here than what was done otherwise is refused once.

Source: Zhang et al. 2024 (ReAd), arXiv 2405.14314: a proposal whose advantage is below a bound is sent back
before it is run. Deviations: the advantage is a kernel mean of how stored steps ended, without discount; it
must have been seen more than once; the same action is sent back once, not up to fifteen times. Pure but for
what it was given.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.types import ANSWER_TOOL, Action, GuardContext, Verdict
from memory.types import ToolCall
from memory.value.states import acted
from memory.value.steps import GATE, StepSettings, Walked, is_bad
from memory.writing.stepping import state_encoder

_TOLD = "did not pay here"
"""What tells a refusal of this guard from others."""


@dataclass(frozen=True, slots=True)
class Advantage:
    """Knows the steps of one family, as `Memory.walked` gives them; off unless an agent is given one."""

    walked: Walked
    settings: StepSettings = GATE
    action: Action = "block"
    """What becomes of a bad one; `ask` leaves it to a human."""
    rounds: int = 1
    """How often the same action is sent back in one episode; then it is let through."""

    @property
    def name(self) -> str:
        """As verdicts have it."""
        return "advantage"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Refuse what was bad near this state; what nobody has tried is allowed."""
        fine = Verdict("allow", guard=self.name)
        if context.task is None or call.name == ANSWER_TOOL or not self.walked.acts:
            return fine
        steps = acted(context.task.text, context.messages)
        now = next((one for one in reversed(steps) if one.call == call.id), None)
        if now is None or self._n_refused(call, context) >= self.rounds:
            return fine
        state = state_encoder().encode([now.state])[0]
        worth = next(
            (one for one in self.walked.worths(state, self.settings) if one.action == now.action), None
        )
        if worth is None or not is_bad(worth, self.settings):
            return fine
        n = len(worth.steps)
        n_good = sum(step.worth > 0.0 for step in worth.steps)
        why = f"{now.action!r} {_TOLD}: of {n} times it went well {n_good} times"
        return Verdict(self.action, why, self.name)

    def _n_refused(self, call: ToolCall, context: GuardContext) -> int:
        """How often this guard has sent the same action back."""
        same = {
            other.id
            for message in context.messages
            for other in message.tool_calls
            if (other.name, other.arguments) == (call.name, call.arguments)
        }
        return sum(
            message.tool_call_id in same and _TOLD in message.text
            for message in context.messages
            if message.role == "tool"
        )
