"""A run that is first asked whether it can succeed; another planner works on what is begun.

Source: KnowRL, at serve time; the weighing is `agent.guards.feasible`. The prediction stands in the episode's
feedback under `feasible`, so that it can be held against the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.desk import Desk, Planner
from agent.ending import Ending
from agent.guards.feasible import Feasibility, FeasibleSettings, Near, feasible
from agent.opening import coins_of, situation_text
from agent.types import Request, Verdict
from memory.codec import from_json, to_json
from memory.errors import ModelError
from memory.modes import USES
from memory.recall.choosing import coin
from memory.types import Episode, Json, Message, ToolCall
from memory.value.means import reward_of
from memory.writing.stepping import state_encoder

NAME = "feasible"
"""Of the guard, and of what it leaves in the feedback."""
ASKED = "Before you begin: can you do this task here, with these tools? Answer yes or no."


@dataclass(frozen=True, slots=True)
class Admitted:
    """Weighs the task, then lets `inner` work, or declines."""

    inner: Planner
    settings: FeasibleSettings = field(default_factory=FeasibleSettings)

    @property
    def name(self) -> str:
        """That of who works."""
        return self.inner.name

    async def run(self, desk: Desk) -> Ending:
        """A declined run ends `unknown`: nothing was tried, nothing is learned of it."""
        if NAME in desk.trail.notes:  # a part of a run that was weighed
            return await self.inner.run(desk)
        votes = await self._votes(desk)
        near = await self._near(desk)
        found = feasible(votes, near, self.settings)
        desk.note(NAME, to_json(found))
        if found.action == "proceed" or self._explores(desk) or await self._allowed(desk, found):
            return await self.inner.run(desk)
        said = f"declined: {found.p:.0%} of success, by {found.n:.1f} tasks like it"
        desk.trail.say(Message("assistant", said, kind="answer"))
        return Ending("unknown", error=said)

    def _explores(self, desk: Desk) -> bool:
        run = desk.run
        return coin(coins_of(run.namespace, run.episode_id), NAME) < self.settings.explore

    async def _allowed(self, desk: Desk, found: Feasibility) -> bool:
        if found.action != "ask":
            return False
        call = ToolCall("admission", "begin", {"task": desk.task.text})
        question = Verdict("ask", f"{found.p:.0%} of success is expected", NAME)
        return await desk.effects.approved(call, question, wait_s=desk.settings.approval_s)

    async def _votes(self, desk: Desk) -> tuple[bool, ...]:
        """A model that cannot say has no vote."""
        settings = self.settings
        if not settings.votes or desk.model.style == "plain":
            return ()
        asked = Message("user", ASKED, kind="critique", agent=NAME)
        request = Request(
            (*desk.prompt(), asked),
            desk.tools(),
            n=settings.votes,
            choices=("yes", "no"),
            temperature=settings.temperature,
        )
        try:
            replies = await desk.ask(request)
        except ModelError:
            return ()
        return tuple(reply.choice == 0 for reply in replies)

    async def _near(self, desk: Desk) -> tuple[Near, ...]:
        memory, run, recent = desk.memory, desk.run, self.settings.recent
        if memory is None or not USES[run.memory].shows or not self.settings.k:
            return ()

        async def look() -> Json:
            read = memory.episodes
            lived = await asyncio.to_thread(read, run.namespace, limit=recent, newest=True)
            known = [one for one in lived if one.id != run.episode_id]
            return to_json(near(situation_text(desk.task.text, desk.task.family), known))

        found = await desk.effects.once(NAME, look)
        return from_json(tuple[Near, ...], found)


def near(situation: str, episodes: Sequence[Episode]) -> tuple[Near, ...]:
    """How finished tasks went, by their likeness to a situation; what ended otherwise says nothing."""
    lived = (one for one in episodes if one.origin == "real")
    told = [(one, reward) for one in lived if (reward := reward_of(one)) is not None]
    if not told:
        return ()
    texts = [situation_text(one.task, one.family) for one, _ in told]
    vectors = state_encoder().encode([situation, *texts])
    cosines = vectors[1:] @ vectors[0]
    return tuple(Near(float(cosine), reward) for cosine, (_, reward) in zip(cosines, told, strict=True))
