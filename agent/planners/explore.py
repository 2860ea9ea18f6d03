"""Search by roll-outs: a place gets its call when it is entered, unlike those beside it, and is then judged.

Source: Zhang et al. 2024 (WebPilot), arXiv 2408.15978: two scores, a simulated step, reflections for children
and siblings, back-up by the maximum, repairs of a call before it is made, an expected end; the decomposition
into parts is `agent.parts`, around any planner, each part with an end of its own.
Deviations: scores are 0..1; a place is come back to by a snapshot of the world, not by a page's address; what
the world ends is over; a call is checked against the tools' schemas, not by a model; what stays at fault is
not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.critics.promise import Appraisal, appraised
from agent.deliberate.asking import again, draft, json_of
from agent.desk import Desk
from agent.ending import Ending, Over
from agent.planners.places import Place, call_of, can_go_back, enter, fault_of, go_on, line_of
from agent.planners.react import React
from agent.search.best_first import (
    Backup,
    Grown,
    Node,
    best_known,
    best_leaf,
    by_visits,
    mean_known,
    search,
)
from agent.types import Request
from memory.types import Json, Message, ToolCall

EXPLORE = "explore"
"""`Message.agent` of what this planner says."""
Leaves = tuple[tuple[Place, float], ...]
"""Places to be entered, with a guess of what each is worth."""
_NO_PLACES: Leaves = ()
_NOTHING = Place(None)
_END: Mapping[str, Json] = {
    "type": "object",
    "properties": {"expected": {"type": "string"}},
    "required": ["expected"],
}
_ASK_END = (
    "Do not act. What will be seen once this is done, the part where you were given one? In one sentence, as "
    'JSON {"expected": "…"}.'
)
_MEND = "That call cannot be made: {fault}. Make another."


@dataclass(frozen=True, slots=True)
class Explore:
    """Roll-outs, then turns of the model from the best place. Plain models, and worlds that cannot be put
    back, go turn by turn.
    """

    samples: int = 3
    """Calls that are tried at each place."""
    depth: int = 10
    """Calls in a row."""
    most: int = 20
    """Places that are entered."""
    weight: float = 0.5
    """Of what was visited little against what is worth much."""
    backup: Literal["max", "mean"] = "max"
    simulates: bool = True
    """Try and judge one step more at each place; it counts a quarter."""
    keeps_above: float = 0.9
    """A simulated step that is judged better than this is a place of its own."""
    reflects: bool = True
    """Show what was tried beside a place, and what was thought of it."""
    repairs: int = 3
    """Times that the model is told why its call cannot be made, before the place is given up; 0 makes it."""
    expects: bool = True
    """Ask first what will be seen at the end, and stop exploring where it is seen; one call."""
    temperature: float = 1.0
    max_tokens: int = 400
    """Longest judgement."""
    name: str = "explore"

    async def run(self, desk: Desk) -> Ending:
        """Explore, and go on turn by turn where it found no end."""
        if desk.model.style == "full" and can_go_back(desk):
            try:
                await self._explored(desk)
            except Over as over:
                return over.ending
        return await React().run(desk)

    async def _explored(self, desk: Desk) -> None:
        expected = await self._expected(desk) if self.expects else ""
        root = Place(None, messages=tuple(desk.messages), snapshot=desk.snapshot())

        async def expand(node: Node[Place]) -> Grown[Place]:
            if node.parent is None:
                return Grown(self._blank(node))
            return await self._entered(desk, node, node.parent, expected)

        backup: Backup[Place] = best_known if self.backup == "max" else mean_known()
        found = await search(root, expand, by_visits(self.weight), backup, most=self.most + 1)
        await go_on(desk, (found.goal or best_leaf(found.root)).state)

    async def _expected(self, desk: Desk) -> str:
        """What will be seen at the end, told to the model; empty where it cannot say."""
        asked = Message("user", _ASK_END, kind="plan", agent=EXPLORE)
        said = await json_of(desk.ask, Request((*desk.prompt(), asked), max_tokens=self.max_tokens), _END)
        expected = "" if said is None else str(said["expected"]).strip()
        if expected:
            desk.say(f"Expected at the end: {expected}", agent=EXPLORE)
        return expected

    async def _entered(
        self, desk: Desk, node: Node[Place], above: Node[Place], expected: str
    ) -> Grown[Place]:
        known = node.state.call
        call = known or await self._call(desk, above.state, _beside(node) if self.reflects else ())
        if call is None or (known is None and line_of(call) in {one.line for one in _beside(node)}):
            return Grown(is_gone=True)
        node.state = replace(node.state, call=call)
        # A simulated step that was kept has been there.
        place = node.state if node.state.seen is not None else await enter(desk, node)
        if place.seen is not None and place.seen.ok is False:
            return Grown(state=replace(place, notes=("", "it was refused")), reward=0.0)
        judged = await appraised(desk.ask, place.messages, max_tokens=self.max_tokens, expected=expected)
        place = replace(place, notes=(judged.child, judged.sibling))
        node.state = place
        reward, kept = judged.score, _NO_PLACES
        if judged.is_met:
            return Grown(state=place, reward=reward, is_goal=True)
        if self.simulates and node.depth < self.depth:
            reward, kept = await self._simulated(desk, node, judged)
        return Grown((*kept, *self._blank(node)), place, reward)

    async def _simulated(self, desk: Desk, node: Node[Place], judged: Appraisal) -> tuple[float, Leaves]:
        """What a place is worth by one step more, and that step where it is good."""
        call = await self._call(desk, node.state, ())
        if call is None:
            return judged.score, _NO_PLACES
        ahead = Node(replace(_NOTHING, call=call), node)
        place = await enter(desk, ahead)
        if place.seen is not None and place.seen.ok is False:
            return 0.75 * judged.score, _NO_PLACES
        after = await appraised(desk.ask, place.messages, max_tokens=self.max_tokens)
        kept = ((place, after.score),) if after.score > self.keeps_above else _NO_PLACES
        return 0.75 * judged.score + 0.25 * after.score, kept

    async def _call(self, desk: Desk, above: Place, beside: Sequence[Place]) -> ToolCall | None:
        told = _told(above, beside) if self.reflects else ""
        said = (Message("user", told, kind="plan", agent=EXPLORE),) if told else ()
        request = Request((*above.messages, *said), desk.tools(), temperature=self.temperature)
        for left in range(self.repairs, -1, -1):
            (reply,) = await desk.ask(request)
            fault = fault_of(reply, desk.tools()) if self.repairs else None
            if fault is None:
                return call_of(reply, desk.tools())
            if left:
                mend = Message("user", _MEND.format(fault=fault), kind="plan", agent=EXPLORE)
                request = again(request, draft(reply.message), mend)
        return None

    def _blank(self, node: Node[Place]) -> Leaves:
        return ((_NOTHING, 0.0),) * self.samples if node.depth < self.depth else _NO_PLACES


def _beside(node: Node[Place]) -> tuple[Place, ...]:
    """What was tried in its place so far."""
    siblings = node.parent.children if node.parent is not None else []
    return tuple(one.state for one in siblings if one is not node and one.state.call is not None)


def _told(above: Place, beside: Sequence[Place]) -> str:
    hint = above.notes[0] if above.notes else ""
    lines = [f"What was thought after the last step: {hint}"] if hint else []
    if beside:
        lines.append("Tried here before, and gone back from; take another call:")
        lines += [f"- {one.line}{_because(one)}" for one in beside]
    return "\n".join(lines)


def _because(place: Place) -> str:
    return f" ({place.notes[1]})" if len(place.notes) > 1 and place.notes[1] else ""
