"""A global plan first, revised as observations arrive; every action is taken with the newest in view.

Source: AdaPlan, the paradigm of PilotRL (arXiv 2508.00344): one model plans and acts. Deviation: the paper
revises as observations arrive; here after every failed step and every `revise_every` turns, for each revision
costs a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.desk import Desk
from agent.ending import Ending
from agent.models.schema import Unreadable, checked_json
from agent.planners.react import React
from agent.types import Request
from memory.types import Json, Message

PLANNER = "planner"
"""`Message.agent` of plans."""
_STEPS: Mapping[str, Json] = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
    "required": ["steps"],
}
FIRST = 'Before you act: name the steps of the whole task, in order, as JSON {"steps": ["…"]}.'
AGAIN = (
    "Look at what has happened since the plan was made. Name the steps that are left from here on, "
    'the same ones if the plan still holds, as JSON {"steps": ["…"]}.'
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan, act, revise. Models that read plain text alone go turn by turn."""

    revise_every: int = 4
    """Turns after which the plan is looked at again; 0 is after failed steps alone."""
    most_steps: int = 12
    """Steps of a plan; what is named beyond them is left to a revision."""
    max_tokens: int = 512
    """Longest plan."""
    name: str = "plan"

    async def run(self, desk: Desk) -> Ending:
        """Turns under a plan until the run is over. One that cannot be read leaves the old one, or none."""
        if desk.model.style == "plain":
            return await React().run(desk)
        plan = await self._asked(desk, FIRST)
        self._told(desk, plan)
        desk.show(newest)
        turns = 0
        while (ending := desk.spent_up() or await desk.turn()) is None:
            turns += 1
            if not self._is_due(desk.messages, turns):
                continue
            turns = 0
            left = await self._asked(desk, AGAIN)
            if left and left != plan:
                plan = left
                self._told(desk, plan)
        return ending

    async def _asked(self, desk: Desk, question: str) -> tuple[str, ...]:
        said = (*desk.prompt(), Message("user", question, kind="plan", agent=PLANNER))
        (reply,) = await desk.ask(Request(said, schema=_STEPS, max_tokens=self.max_tokens))
        try:
            value = checked_json(reply.message.text, _STEPS)
        except Unreadable:
            return ()
        steps = value["steps"] if isinstance(value, dict) else None
        named = [str(step).strip() for step in steps] if isinstance(steps, list) else []
        return tuple(step for step in named if step)[: self.most_steps]

    def _told(self, desk: Desk, plan: Sequence[str]) -> None:
        if plan:
            lines = "\n".join(f"{n}. {step}" for n, step in enumerate(plan, 1))
            desk.say(f"Plan:\n{lines}", agent=PLANNER)

    def _is_due(self, messages: Sequence[Message], turns: int) -> bool:
        failed = any(one.ok is False for one in latest_answers(messages))
        return failed or (self.revise_every > 0 and turns >= self.revise_every)


def latest_answers(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The answers to the calls of the model's last turn."""
    last = max((place for place, one in enumerate(messages) if one.role == "assistant"), default=-1)
    return tuple(one for one in messages[last + 1 :] if one.role == "tool")


def newest(messages: Sequence[Message]) -> tuple[Message, ...]:
    """All but the plans that a later one took the place of."""
    plans = [place for place, one in enumerate(messages) if one.kind == "plan" and one.agent == PLANNER]
    old = frozenset(plans[:-1])
    return tuple(one for place, one in enumerate(messages) if place not in old)
