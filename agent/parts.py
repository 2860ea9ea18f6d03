"""A run that a verifier looks at; in parts, where that is asked for.

Each part is worked on, looked at, and tried once more, another way, where it does not hold.
Source: MUSE (arXiv 2510.08002), plan, execute, reflect; the order of things is in `verification.subtasks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agent.effects import Effects
from agent.ending import Ending
from agent.trail import Trail
from agent.types import Guard, Request, Task, World
from agent.verification import subtasks
from agent.verification.outcomes import Ruling
from agent.verification.verify import Verifier, verify

_WHOLE = "All parts are done. Now give the answer of the whole task."


class _Over(Exception):
    """The whole run ended in the middle of a part."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Verified:
    """A run and who looks at it."""

    work: Callable[[], Awaitable[Ending]]
    """Turns of the model until a part is answered, or the run is over."""
    world: World
    effects: Effects
    trail: Trail
    verifier: Verifier
    guards: Sequence[Guard]

    async def run(self) -> Ending:
        """Plan, do the parts, then let the model answer. Raises what its effects raise."""
        try:
            await subtasks.run(self.trail.task.text, self._ask, self._attempt, most=self.verifier.most_parts)
        except _Over as over:
            return over.ending
        self.trail.take_whole(_WHOLE)
        return await self.work()

    async def ruling(self, ending: Ending, task: Task) -> Ruling:
        """What the verifier finds in the run so far. Raises ModelError and WorldError."""
        episode, verifier = self.trail.episode(ending), self.verifier
        return await self.effects.ruling(
            lambda: verify(
                episode,
                task,
                self.world,
                model=verifier.model,
                settings=verifier.settings,
                guards=self.guards,
                consistency=verifier.consistency,
            )
        )

    async def _ask(self, request: Request) -> str:
        if (ending := self.trail.spent_up()) is not None:
            raise _Over(ending)
        reply = await self.effects.complete(request, limit_s=self.trail.seconds_left())
        self.trail.paid(reply.usage)
        return reply.message.text

    async def _attempt(self, part: str, explore: bool) -> Ruling:
        self.trail.take_part(part, temperature=self.verifier.explore_temperature if explore else None)
        ending = await self.work()
        if not self.trail.has_answered_part:
            raise _Over(ending)
        done = replace(self.trail.task, text=part)
        ruling = await self.ruling(ending, done)
        self.trail.paid(ruling.usage)
        self.trail.criticised(ruling)
        return ruling
