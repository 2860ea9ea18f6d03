"""Several attempts in one run: each is condensed, the next one's strategy is made of those before it.

Source: Lin et al. 2025 (SE-Agent), arXiv 2508.02085; the pool and its operators are `agent.pool`. An attempt
ends with an answer that the world does not hear of; the best one is given at the end, the world put back to
where it was made. Deviations: a model judges the attempts; a world that cannot be put back is
found as the last attempt left it; what the world ends is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent.deliberate.asking import json_of
from agent.desk import Desk
from agent.ending import Ending, Over
from agent.planners.places import can_go_back
from agent.planners.react import React
from agent.pool.attempts import (
    Attempt,
    at_first,
    condensed,
    on_all,
    on_failed,
    on_two,
    operators,
)
from agent.pool.mechanism import Entry, Pool, evolve, scheduled
from agent.prompt import transcript
from agent.types import ANSWER_TOOL, Judgement, Request
from memory.codec import to_json
from memory.types import Json, Message, ToolCall

POOL = "pool"
"""`Message.agent` of what this planner says, and the name of its note."""
_SCHEDULE = (at_first, on_failed, on_two, on_all)
_VERDICT: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "done": {"type": "boolean"},
    },
    "required": ["score", "done"],
}
_JUDGE = (
    'How far does this attempt do the task, 0 to 1, and is it done? As JSON {"score": 0.5, "done": false}.'
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt left things."""

    call: ToolCall | None
    """Its answer."""
    snapshot: Json


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is attempted: the task, or the part of it that the run was set to."""

    text: str
    part: str | None
    temperature: float | None
    """Of a part's second try."""

    @classmethod
    def of(cls, desk: Desk) -> _Aim:
        """As the run stands before the first attempt."""
        trail = desk.trail
        return cls(trail.part or desk.task.text, trail.part, trail.exploring)

    def take_up(self, desk: Desk, said: str) -> None:
        """Back to it, after the attempts."""
        if self.part is None:
            desk.trail.take_whole(said)
        else:
            desk.say(said)
            desk.trail.take_part(self.part, temperature=self.temperature)


@dataclass(frozen=True, slots=True)
class PoolOfAttempts:
    """Try, revise, recombine, refine; the best is given. Plain models, and tasks without an answer, go turn
    by turn.
    """

    most: int = 4
    """Attempts."""
    turns: int = 8
    """Turns of the model in one attempt."""
    log: int = 4000
    """Last characters of an attempt that are read to condense and to judge it."""
    name: str = "pool"

    async def run(self, desk: Desk) -> Ending:
        """Attempts until one is found to be right, then its answer; else the best one's."""
        if desk.model.style == "plain" or all(tool.name != ANSWER_TOOL for tool in desk.tools()):
            return await React().run(desk)
        try:
            return await self._evolved(desk)
        except Over as over:
            return over.ending

    async def _evolved(self, desk: Desk) -> Ending:
        opening, start, ends = desk.messages, desk.snapshot(), list[Ended]()
        aim = _Aim.of(desk)
        attempt = partial(self._attempt, desk, aim, opening, start, ends)
        recalled = _recalled(opening)
        pool = await evolve(
            Pool(recalled),
            operators(desk.ask, attempt),
            scheduled([_SCHEDULE[min(n, 3)] for n in range(self.most)]),
            most=self.most,
        )
        desk.note(POOL, to_json([one.content for one in pool.entries if not one.content.is_recalled]))
        desk.show(None)
        best = pool.best
        end = None if best is None else ends[best.id - len(recalled)]
        if end is None or end.call is None:
            aim.take_up(desk, "None of the attempts came to an answer. Give the best you have.")
            return await React().run(desk)
        if can_go_back(desk) and desk.snapshot() != end.snapshot:
            await desk.restore(end.snapshot)
        aim.take_up(desk, "The best attempt is given as the answer.")
        _, ending = await desk.act(replace(end.call, id=""))
        return ending or await React().run(desk)

    async def _attempt(
        self,
        desk: Desk,
        aim: _Aim,
        opening: Sequence[Message],
        start: Json,
        ends: list[Ended],
        strategy: str,
    ) -> tuple[Attempt, Judgement]:
        """One attempt from the start, the model shown the opening and this attempt alone."""
        if can_go_back(desk) and desk.snapshot() != start:
            await desk.restore(start)
        begun = len(desk.messages)
        desk.show(lambda messages: (*opening, *messages[begun:]))
        told = f"{aim.text}\nStrategy: {strategy}" if strategy else aim.text
        desk.trail.take_part(told, temperature=aim.temperature)
        await self._worked(desk)
        said = desk.messages[begun:]
        ends.append(Ended(_answer(said), desk.snapshot()))
        log = "\n".join(text for _, text in transcript(said))[-self.log :]
        log = f"Task: {aim.text}\n{log}"
        return await condensed(desk.ask, log, strategy), await self._judged(desk, log)

    async def _worked(self, desk: Desk) -> None:
        for _ in range(self.turns):
            ending = desk.spent_up() or await desk.turn()
            if desk.trail.has_answered_part:
                return
            if ending is not None:
                raise Over(ending)

    async def _judged(self, desk: Desk, log: str) -> Judgement:
        asked = Message("user", f"{log}\n\n{_JUDGE}", kind="critique", agent=POOL)
        said = await json_of(desk.ask, Request((asked,)), _VERDICT)
        if said is None:
            return Judgement(0.0, None)
        return Judgement(float(str(said["score"])), bool(said["done"]))


def _answer(said: Sequence[Message]) -> ToolCall | None:
    calls = [call for one in said for call in one.tool_calls if call.name == ANSWER_TOOL]
    return calls[-1] if calls else None


def _recalled(opening: Sequence[Message]) -> tuple[Entry[Attempt], ...]:
    """What memory had shown, as one attempt of another run to recombine with."""
    texts = [one.text for one in opening if one.kind == "memory"]
    if not texts:
        return ()
    return (Entry(0, Attempt("as recalled", "\n".join(texts), status="recalled", is_recalled=True)),)
