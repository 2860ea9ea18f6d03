"""A run held to what its task asks for: a policy written at its start, narrowed by what comes of its calls.

Each policy is one more that has to allow, beside the operator's and the request's. What a model is asked for
them goes through the journal and is paid by the run, so that a run that goes on after a crash goes on under
the same policies and asks for none again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from agent.desk import Desk
from agent.dispatch import Dispatched
from agent.guards.drafted import Writes, writer_of
from agent.guards.files import dump_policy
from agent.guards.narrowing import Narrowing
from agent.guards.privilege import Policy, Privilege
from agent.tools import shortened
from memory.types import Json, ToolCall

POLICIES = "policies"
"""What the feedback of an episode calls the policies that were written for it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """How runs are held to the words of their tasks."""

    writes: Writes = "off"
    narrows: bool = False
    """May the model propose rules to be added after each call that ran? One question a call."""

    async def begin(self, desk: Desk) -> None:
        """Hold a run from here on. The writer is shown the task's text and the tools of this moment alone.

        Raises what the model raises, BudgetExceeded when nothing is left.
        """
        writer = writer_of(self.writes, desk.ask, desk.model.style)
        if writer is not None:
            _hold(desk, await writer(desk.task.text, desk.tools()))
        if self.narrows and desk.model.style == "full":
            desk.watches.append(Watcher(desk).watch)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Narrows one run."""

    desk: Desk

    async def watch(self, call: ToolCall, done: Dispatched) -> None:
        """Ask what is to be added once a call ran; nothing where the run has nothing left to spend."""
        desk = self.desk
        if not done.ran or desk.spent_up() is not None:
            return
        said = f"{call.name} {json.dumps(dict(call.arguments))}"
        answer = shortened(done.observation.text)
        added = await Narrowing(desk.ask)(desk.task.text, desk.tools(), said, answer)
        if added is not None:
            _hold(desk, added)


def _hold(desk: Desk, policy: Policy) -> None:
    desk.effects.hold(Privilege((policy,)))
    before = desk.trail.notes.get(POLICIES)
    kept: list[Json] = [*before] if isinstance(before, list) else []
    desk.note(POLICIES, [*kept, dump_policy(policy)])
