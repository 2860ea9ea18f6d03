"""Before every turn the model says where it believes to be and the goal to lie, against what it had expected.

Source: Zeng et al. 2024 (PReP), arXiv 2408.04168: anticipate, compare, correct; what was done at a place when
one comes by again. Deviations: one call a step for all three; perception is the world's words; long-term
memory is asked about a place when it is new, if at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.deliberate.asking import json_of
from agent.desk import Desk
from agent.ending import Ending
from agent.finding.sources import from_memory
from agent.planners.react import React
from agent.prompt import command_of
from agent.types import Request
from memory.types import Json, Message

BELIEF = "belief"
"""`Message.agent` of beliefs."""
_FORM: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "expected": {"type": "string"},
        "differs": {"type": "string"},
        "place": {"type": "string"},
        "goal": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["place", "goal", "confidence"],
}
_ASKED = (
    "Before you act: what did you expect to find after your last step, by your last belief? How does it "
    "differ from what you see? So by what is this place known, where does the goal lie from here, and how "
    'sure are you, 0 to 1? As JSON {"expected": "…", "differs": "…", "place": "…", "goal": "…", '
    '"confidence": 0.5}.'
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One stop at a place."""

    place: str
    act: str = ""
    """What was done there next."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Turns with a belief in view, the newest alone. Plain models go turn by turn."""

    recalls: bool = False
    """Ask long-term memory about every place that is new."""
    max_tokens: int = 300
    """Longest belief."""
    name: str = "belief"

    async def run(self, desk: Desk) -> Ending:
        """Believe and act in turns. A belief that cannot be read leaves the old one."""
        if desk.model.style == "plain":
            return await React().run(desk)
        desk.show(newest_belief)
        visits: list[Visit] = []
        while (ending := desk.spent_up()) is None:
            believes = await self._believe(desk, visits)
            before = len(desk.messages)
            ending = await desk.turn()
            if ending is not None:
                break
            if believes:
                visits[-1] = Visit(visits[-1].place, _done(desk.messages[before:]))
        return ending

    async def _believe(self, desk: Desk, visits: list[Visit]) -> bool:
        asked = Message("user", _ASKED, kind="plan", agent=BELIEF)
        request = Request((*desk.prompt(), asked), max_tokens=self.max_tokens)
        said = await json_of(desk.ask, request, _FORM)
        if said is None:
            return False
        place = " ".join(str(said["place"]).split())
        is_new = place not in {one.place for one in visits}
        visits.append(Visit(place))
        desk.say(rendered(said, visits), agent=BELIEF)
        if self.recalls and is_new:
            await from_memory(desk, f"{desk.task.family}: {place}")
        return True


def rendered(said: Mapping[str, Json], visits: Sequence[Visit]) -> str:
    """A belief as it stands in view: the goal, what was expected, what was done here before."""
    here = visits[-1].place
    lines = [f"Belief: the goal lies {said['goal']} (confidence {said['confidence']})."]
    lines += [f"Expected: {said['expected']}"] if said.get("expected") else []
    lines += [f"But: {said['differs']}"] if said.get("differs") else []
    done = [one.act for one in visits[:-1] if one.place == here and one.act]
    lines += [f"You were at {here} before, and then did: {'; '.join(done)}."] if done else []
    times = Counter(one.place for one in visits)
    lines += [f"Visited: {', '.join(f'{place} ({n})' for place, n in times.items())}."]
    return "\n".join(lines)


def newest_belief(messages: Sequence[Message]) -> tuple[Message, ...]:
    """All but the beliefs that a later one took the place of."""
    places = [place for place, one in enumerate(messages) if one.agent == BELIEF]
    old = frozenset(places[:-1])
    return tuple(one for place, one in enumerate(messages) if place not in old)


def _done(messages: Sequence[Message]) -> str:
    """The calls of a turn that were not refused, as lines."""
    refused = {one.tool_call_id for one in messages if one.role == "tool" and one.ok is False}
    calls = [call for one in messages for call in one.tool_calls if call.id not in refused]
    return "; ".join(command_of(call) for call in calls)
