"""Does what a search has found meet what it was for?

Source: Fu et al. 2025 (RE-Searcher), arXiv 2509.26048, the reflection on a search.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.deliberate.asking import json_of
from agent.types import Ask, Judgement, Request
from memory.types import Json, Message

_VERDICT: Mapping[str, Json] = {
    "type": "object",
    "properties": {"met": {"type": "boolean"}, "why": {"type": "string"}},
    "required": ["met", "why"],
}
ASKED = (
    "A search had this goal: {goal}\n\nIt found:\n{found}\n\n"
    'Does it meet the goal, about exactly what was asked for? As JSON {{"met": true, "why": "…"}}.'
)


async def goal_met(ask: Ask, goal: str, found: str, *, max_tokens: int = 200) -> Judgement:
    """The verdict of a model; nothing found is not asked about, and one that cannot be read is a no."""
    if not found.strip():
        return Judgement(0.0, False, "nothing was found")
    request = Request((Message("user", ASKED.format(goal=goal, found=found)),), max_tokens=max_tokens)
    said = await json_of(ask, request, _VERDICT)
    if said is None:
        return Judgement(0.0, False, "the verdict could not be read")
    met = said["met"] is True
    return Judgement(float(met), met, str(said["why"]))
