"""A run that a verifier looks at; in parts, where that is asked for.

Each part is worked on, looked at, and tried once more, another way, where it does not hold.
Source: MUSE (arXiv 2510.08002), plan, execute, reflect; the order of things is in `verification.subtasks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agent.desk import Desk
from agent.ending import Ending, Over
from agent.types import Guard, Reply, Request, Task
from agent.verification import subtasks
from agent.verification.outcomes import Ruling
from agent.verification.verify import Verifier, verify

_WHOLE = "All parts are done. Now give the answer of the whole task."


@dataclass(frozen=True, slots=True)
class Verified:
    """A run and who looks at it."""

    work: Callable[[], Awaitable[Ending]]
    """Turns of the model until a part is answered, or the run is over."""
    desk: Desk
    verifier: Verifier
    guards: Sequence[Guard]

    async def run(self) -> Ending:
        """Plan, do the parts, then let the model answer. Raises what its effects raise."""
        try:
            await subtasks.run(self.desk.task.text, self._ask, self._attempt, most=self.verifier.most_parts)
        except Over as over:
            return over.ending
        self.desk.trail.take_whole(_WHOLE)
        return await self.work()

    async def ruling(self, ending: Ending, task: Task) -> Ruling:
        """What the verifier finds in the run so far. Raises ModelError and WorldError."""
        desk, verifier = self.desk, self.verifier
        episode = desk.trail.episode(ending)
        return await desk.effects.ruling(
            lambda: verify(
                episode,
                task,
                desk.box.world,
                model=verifier.model,
                settings=verifier.settings,
                guards=self.guards,
                consistency=verifier.consistency,
            )
        )

    async def _ask(self, request: Request) -> tuple[Reply, ...]:
        if (ending := self.desk.spent_up()) is not None:
            raise Over(ending)
        return await self.desk.ask(request, is_turn=True)

    async def _attempt(self, part: str, explore: bool) -> Ruling:
        trail = self.desk.trail
        trail.take_part(part, temperature=self.verifier.explore_temperature if explore else None)
        ending = await self.work()
        if not trail.has_answered_part:
            raise Over(ending)
        done = replace(trail.task, text=part)
        ruling = await self.ruling(ending, done)
        trail.paid(ruling.usage)
        trail.criticised(ruling)
        return ruling
