"""A graph of thoughts before the answer: the task is split, solved, put together and judged, by votes.

Source: Gimenes et al. 2025 (ARIES), arXiv 2502.21208; the graph and its actions are `agent.pool.thoughts`.
Deviations: one model is policy and reasoner; an answer is given only where it was judged right, else the
model goes on turn by turn, told what was found. It is for tasks that are thought: no tool is called before.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.desk import Desk
from agent.ending import Ending
from agent.planners.react import React
from agent.pool.mechanism import Choose, Entry, Move, evolve
from agent.pool.reasoning import reasoner
from agent.pool.thoughts import Thought, Thoughts, begun, best_of, operators, static, voting
from agent.types import ANSWER_TOOL
from memory.codec import to_json
from memory.types import ToolCall

THOUGHTS = "thoughts"
"""`Message.agent` of what this planner says, and the name of its note."""


@dataclass(frozen=True, slots=True)
class GraphOfThoughts:
    """Think it through, then answer. Plain models go turn by turn."""

    votes: int = 3
    """For each move; 0 leaves the moves to the static schedule."""
    depth: int = 2
    """Splits above a problem, at most."""
    tries: int = 2
    """Of each action on one problem."""
    verifies: bool = True
    """Put aggregates aside that are found wrong."""
    most: int = 24
    """Moves."""
    most_parts: int = 4
    """Of one problem."""
    max_tokens: int | None = None
    """Longest thought."""
    name: str = "thoughts"

    async def run(self, desk: Desk) -> Ending:
        """Think until the whole is answered or nothing is left to try; give the answer, or work it out."""
        if desk.model.style == "plain":
            return await React().run(desk)
        pool = await self._thought(desk)
        best = best_of(pool, 0)
        if best is not None and best.is_right and any(tool.name == ANSWER_TOOL for tool in desk.tools()):
            desk.say("The answer that was thought through is given.", agent=THOUGHTS)
            call = ToolCall("", ANSWER_TOOL, {"answer": best.content.answer or ""})
            _, ending = await desk.act(call)
            return ending or await React().run(desk)
        desk.say(_told(pool), agent=THOUGHTS)
        return await React().run(desk)

    async def _thought(self, desk: Desk) -> Thoughts:
        fixed = static(depth=self.depth, tries=self.tries)
        voted = voting(desk.ask, votes=self.votes, otherwise=fixed, most_depth=self.depth, tries=self.tries)
        mind = reasoner(desk.ask, desk.prompt(), most_parts=self.most_parts, max_tokens=self.max_tokens)
        pool = await evolve(
            begun(desk.trail.part or desk.task.text),
            operators(mind, most_depth=self.depth, verifies=self.verifies),
            _noting(desk, voted if self.votes else fixed),
            most=self.most,
            is_enough=_is_right,
        )
        _note(desk, pool)
        return pool


def _noting(desk: Desk, choose: Choose[Thought]) -> Choose[Thought]:
    """As `choose`; what was thought so far stays with the episode if the run ends in the middle."""

    async def noted(pool: Thoughts) -> Move | None:
        _note(desk, pool)
        return await choose(pool)

    return noted


def _note(desk: Desk, pool: Thoughts) -> None:
    desk.note(THOUGHTS, to_json(list(pool.entries)))


def _is_right(pool: Thoughts) -> bool:
    best = best_of(pool, 0)
    return best is not None and best.is_right


def _told(pool: Thoughts) -> str:
    """What is known where no answer was judged right."""
    answers = (best_of(pool, one.id) for one in pool.entries if one.content.answer is None)
    lines = [f"- {one.content.problem}: {one.content.answer} ({_doubt(one)})" for one in answers if one]
    found = "\n".join(lines) or "nothing"
    return f"Thought through so far, none of it sure to answer the whole:\n{found}\nGo on with the task."


def _doubt(one: Entry[Thought]) -> str:
    if one.is_right:
        return "judged right"
    fault = one.judgement.feedback if one.judgement else ""
    return f"doubtful: {fault}" if fault else "doubtful"
