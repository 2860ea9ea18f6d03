"""Temporal: the order in which tools may be called, by an automaton. Pure.

Complements `privilege`, which knows no before and after. Source: Crouse et al. 2023 (arXiv 2310.08535),
agents specified in temporal logic; that calls are held to it is ours. What was refused or failed did not
happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.automaton.dfa import Automaton
from agent.automaton.syntax import specification
from agent.types import ANSWER_TOOL, GuardContext, Verdict
from memory.errors import BadInput
from memory.types import ToolCall


@dataclass(frozen=True, slots=True)
class Temporal:
    """Blocks a call that no rule-abiding run goes on from, and an answer before what has to come."""

    order: Automaton
    name = "temporal"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Block with what may follow instead; stop where no end can be reached any more."""
        state = self.order.after(context.done)
        if state is None:
            return Verdict("stop", "calls were made in an order that no rule allows", self.name)
        if call.name == ANSWER_TOOL and ANSWER_TOOL not in self.order.labels:
            if state in self.order.ends:
                return Verdict("allow", guard=self.name)
            return Verdict("block", f"it is too early to answer: {self.order.expected(state)}", self.name)
        if self.order.step(state, call.name) is None:
            reason = f"{call.name!r} may not be called now: {self.order.expected(state)}"
            return Verdict("block", reason, self.name)
        return Verdict("allow", guard=self.name)


def read_order(path: Path) -> Temporal:
    """The guard of a file that holds a specification. Raises BadInput, naming file and line."""
    try:
        return Temporal(specification(path.read_text("utf-8")).automaton)
    except OSError as error:
        raise BadInput(f"the file of orders {str(path)!r} cannot be read: {error}") from error
    except BadInput as error:
        raise BadInput(f"{str(path)!r}: {error}") from error
