"""A guard by the constitution: an act that a principle shown forbids word for word is sent back.

Small models open what they were told not to open. A principle that was learned is no law: an act that the
model insists on is let through, or nobody would ever find out that it is wrong. What an operator wrote or
pinned is one.
Source: the principles are those of OmniReflect (arXiv 2506.17449), which leaves it to the model to keep them.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.prompt import command_of
from agent.types import ANSWER_TOOL, GuardContext, InForce, Verdict
from memory.constitution.conflicts import claim_of
from memory.types import ToolCall


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Knows what the episode was shown, by its context; meanings are not guessed at."""

    rounds: int = 1
    """How often the same act is sent back because of a principle that was learned."""

    @property
    def name(self) -> str:
        """As verdicts have it."""
        return "principle"

    def check(self, call: ToolCall, context: GuardContext) -> Verdict:
        """Refuse what is forbidden, in the words of the principle."""
        broken = None if call.name == ANSWER_TOOL else _broken(call, context.principles)
        if broken is None or not (broken.is_given or self._n_refused(broken, context) < self.rounds):
            return Verdict("allow", guard=self.name)
        return Verdict("block", broken.text, self.name)

    def _n_refused(self, broken: InForce, context: GuardContext) -> int:
        said = f": {broken.text}"
        return sum(message.role == "tool" and message.text.endswith(said) for message in context.messages)


def _broken(call: ToolCall, principles: tuple[InForce, ...]) -> InForce | None:
    """The first principle that forbids the call; operators' go first."""
    forbidding = [one for one in principles if claim_of(one.text).says == "not"]
    if not forbidding:
        return None
    about = claim_of(command_of(call)).about
    found = (one for one in forbidding if claim_of(one.text).about == about)
    return min(found, key=lambda one: not one.is_given, default=None)
