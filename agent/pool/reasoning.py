"""Who carries the actions on a graph of thoughts out: a model, each answer asked for as JSON.

Source: Gimenes et al. 2025 (ARIES), arXiv 2502.21208. What cannot be read is asked for once more, then it is
an answer that could not be had; what nobody could judge is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.deliberate.asking import json_of
from agent.pool.thoughts import Reasoner
from agent.types import Ask, Judgement, Request
from memory.types import Json, Message

_PARTS: Mapping[str, Json] = {
    "type": "object",
    "properties": {"parts": {"type": "array", "items": {"type": "string"}}},
    "required": ["parts"],
}
_ANSWER: Mapping[str, Json] = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["answer"],
}
_VERDICT: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "fault": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "right": {"type": "boolean"},
    },
    "required": ["score", "right"],
}
_AS_ANSWER = 'As JSON {"reasoning": "…", "answer": "…"}; the answer alone, without words around it.'
_SPLIT = (
    "Split this problem into two or more smaller ones of its kind, {most} at most, whose answers together "
    'give its own. Each must say all that is needed to solve it. As JSON {{"parts": ["…"]}}; no parts where '
    "it is small enough."
)
_JUDGE = (
    "Check this answer against its problem, item by item: how much of it is right, 0 to 1, is all of it, and "
    'what is wrong? As JSON {"fault": "…", "score": 0.5, "right": false}.'
)


def reasoner(
    ask: Ask, context: Sequence[Message] = (), *, most_parts: int = 4, max_tokens: int | None = None
) -> Reasoner:
    """A model that carries all five out, with `context` in view; it does not act."""

    def about(problem: str, told: str) -> Request:
        words = f"Do not act.\nProblem: {problem}\n{told}"
        return Request((*context, Message("user", words, kind="plan", agent="pool")), max_tokens=max_tokens)

    async def answer(problem: str, told: str) -> str | None:
        said = await json_of(ask, about(problem, f"{told}\n{_AS_ANSWER}".strip()), _ANSWER)
        return None if said is None else str(said["answer"]).strip()

    async def split(problem: str) -> Sequence[str]:
        said = await json_of(ask, about(problem, _SPLIT.format(most=most_parts)), _PARTS)
        named = said["parts"] if said is not None else []
        parts = [str(one).strip() for one in named if str(one).strip()] if isinstance(named, list) else []
        return parts if 2 <= len(parts) <= most_parts and problem.strip() not in parts else ()

    async def solve(problem: str) -> str | None:
        return await answer(problem, "Solve it.")

    async def refine(problem: str, given: str, fault: str) -> str | None:
        return await answer(problem, f"Answer: {given}\nWrong with it: {fault}\nMend the answer.")

    async def aggregate(problem: str, parts: Sequence[tuple[str, str]], fault: str) -> str | None:
        found = "\n".join(f"Part: {part}\nIts answer: {given}" for part, given in parts)
        before = f"\nWrong with the tries before: {fault}" if fault else ""
        return await answer(problem, f"{found}{before}\nPut the answers of the parts together into its own.")

    async def judge(problem: str, given: str) -> Judgement:
        said = await json_of(ask, about(problem, f"Answer: {given}\n{_JUDGE}"), _VERDICT)
        if said is None:
            return Judgement(0.0, None, "nobody could judge it")
        return Judgement(float(str(said["score"])), bool(said["right"]), str(said.get("fault", "")))

    return Reasoner(split, solve, refine, aggregate, judge)
