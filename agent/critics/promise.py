"""A critic with two scores: what a step has done, and what is to be expected from here.

Source: Zhang et al. 2024 (WebPilot), arXiv 2408.15978: effectiveness and future promise, half each; a
reflection for what comes next, one for what is not to be tried again beside it. One call for all four, and
for whether an expected end is reached, where one is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.deliberate.asking import json_of
from agent.types import Ask, Request
from memory.types import Json, Message

CRITIC = "promise"
"""`Message.agent` of what it is asked."""
_SCORE: Json = {"type": "number", "minimum": 0, "maximum": 10}
_FORM: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "effect": _SCORE,
        "promise": _SCORE,
        "next": {"type": "string"},
        "beside": {"type": "string"},
        "met": {"type": "boolean"},
    },
    "required": ["effect", "promise"],
}
_ASKED = (
    "Do not act. Judge the last step: how far did it do what it was meant to (effect), and how likely does "
    "the task succeed from here (promise), each 0 to 10? What should come next, and what should not be tried "
    'again in its place? As JSON {"effect": 5, "promise": 5, "next": "…", "beside": "…"}.'
)
_IS_MET = 'Expected at the end: {expected}\nIs that seen now? Add "met": true or false.'


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A step as it was judged."""

    effect: float
    """0..1."""
    promise: float
    """0..1."""
    child: str = ""
    """For what comes next."""
    sibling: str = ""
    """For what is tried in its place."""
    is_met: bool = False
    """Is the expected end reached?"""

    @property
    def score(self) -> float:
        """Both, half each."""
        return 0.5 * self.effect + 0.5 * self.promise


async def appraised(
    ask: Ask, messages: Sequence[Message], *, max_tokens: int, expected: str = ""
) -> Appraisal:
    """The last step of a conversation; one that nobody can judge is worth nothing and says nothing."""
    words = f"{_ASKED}\n{_IS_MET.format(expected=expected)}" if expected else _ASKED
    asked = Message("user", words, kind="critique", agent=CRITIC)
    said = await json_of(ask, Request((*messages, asked), max_tokens=max_tokens), _FORM)
    if said is None:
        return Appraisal(0.0, 0.0)
    effect, promise = (float(str(said[name])) / 10 for name in ("effect", "promise"))
    is_met = bool(expected) and said.get("met") is True
    return Appraisal(effect, promise, str(said.get("next", "")), str(said.get("beside", "")), is_met)
