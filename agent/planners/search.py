"""Search over calls by A*: what several proposals name next, weighed by plans that worked before.

Source: Zhuang et al. 2023 (ToolChain*), arXiv 2310.13227; the costs are `agent.search.costs`, the plans that
worked are the run's own family's, from memory. Where the world can be put back a call is run when the search
enters it, so that proposals see what it answered; elsewhere the plan is found first and then carried out.
Deviations: what the world ends is over, the search does not come back from it; a plan whose step fails is
made anew from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.builders.steps import Step, steps
from agent.deliberate.asking import json_of
from agent.desk import Desk
from agent.ending import Ending, Over
from agent.planners.places import Place, call_of, can_go_back, done_at, enter, go_on, line_of
from agent.planners.react import React
from agent.search.best_first import Found, Grown, Node, best_open, by_value, every, search
from agent.search.costs import Weights, cost, hops
from agent.types import ANSWER_TOOL, Request
from memory.codec import from_json, to_json
from memory.modes import USES
from memory.types import Json, Message, ToolCall

SEARCH = "search"
"""`Message.agent` of what this planner says."""
END = "nothing is left to do"
"""The step that ends a plan."""
_REST: Mapping[str, Json] = {
    "type": "object",
    "properties": {"calls": {"type": "array", "items": {"type": "string"}}},
    "required": ["calls"],
}
_IMAGINE = (
    "Do not act yet. Name all calls that are left from here to the end of the task, in order, each as one "
    'line, as JSON {"calls": ["…"]}.'
)
_PLANNED = (
    "Planned so far, and not run yet:\n{calls}\nMake the one call that comes next in the plan, or none where "
    "nothing is left to do. It is planned only."
)
Plans = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A* over calls, then turns of the model for what is left. Plain models imagine nothing."""

    k: int = 4
    """Proposals for each next call."""
    temperature: float = 1.0
    most: int = 30
    """Places a search may enter."""
    most_plans: int = 2
    """Plans of a run whose world cannot be put back."""
    imagines: bool = True
    """Ask once at each place for the rest of the plan; one call more."""
    weights: Weights = field(default_factory=Weights)
    recent: int = 50
    """Newest episodes that are looked through for plans that worked; 0 does without memory."""
    max_tokens: int = 512
    """Longest imagined rest."""
    name: str = "search"

    async def run(self, desk: Desk) -> Ending:
        """Search, and go on turn by turn where it found no end."""
        goes_back = can_go_back(desk)
        if desk.model.style == "plain" and not goes_back:
            return await React().run(desk)
        plans = await self._plans(desk)
        try:
            if goes_back:
                await self._walk(desk, plans)
            else:
                for _ in range(self.most_plans):
                    if await self._planned(desk, plans):
                        break
        except Over as over:
            return over.ending
        return await React().run(desk)

    async def _walk(self, desk: Desk, plans: Plans) -> None:
        """Every place is entered in the world. Leaves it at the most promising one. Raises Over at an end."""
        root = Place(None, messages=tuple(desk.messages), snapshot=desk.snapshot())

        async def expand(node: Node[Place]) -> Grown[Place]:
            place = await enter(desk, node)
            if place.seen is not None and place.seen.ok is False:
                return Grown(state=place)
            return Grown(await self._next(desk, node, place.messages, plans), place)

        found = await search(root, expand, by_value, best_open, most=self.most)
        await go_on(desk, _most_promising(found.root).state)

    async def _planned(self, desk: Desk, plans: Plans) -> bool:
        """Find a plan, then carry it out; False where a step failed. Raises Over at an end."""
        told = desk.prompt()

        async def expand(node: Node[Place]) -> Grown[Place]:
            if (ending := desk.spent_up()) is not None:
                raise Over(ending)
            if node.state.hop.is_end:
                return Grown(is_goal=True)
            calls = [one.state.line for one in node.path]
            asked = _PLANNED.format(calls="\n".join(calls) or "nothing")
            messages = (*told, Message("user", asked, kind="plan", agent=SEARCH))
            return Grown(await self._next(desk, node, messages, plans))

        found = await search(Place(None), expand, by_value, best_open, most=self.most)
        return found.goal is None or await _carried_out(desk, found)

    async def _next(
        self, desk: Desk, node: Node[Place], messages: Sequence[Message], plans: Plans
    ) -> tuple[tuple[Place, float], ...]:
        """The calls that are proposed to come next, and what each is worth: −f."""
        request = Request(tuple(messages), desk.tools() if desk.model.style == "full" else ())
        warm = replace(request, n=self.k, temperature=self.temperature, seed=desk.run.seed)
        replies = await desk.ask(warm)
        calls: dict[str, ToolCall | None] = {}
        proposed = []
        for reply in replies:
            call = call_of(reply, desk.tools())
            line = END if call is None or done_at(call) else line_of(call)
            calls.setdefault(line, call)
            proposed.append(line)
        rest = await self._rest(desk, request)
        next_hops = hops(proposed, depth=node.depth, rest=rest, end=END)
        before = tuple(one.state.hop for one in node.path)
        found = [
            (Place(calls[hop.step], hop), -cost((*before, hop), plans, self.weights)) for hop in next_hops
        ]
        goes_back = can_go_back(desk)
        # In a world that was walked, saying nothing is no step: nobody would hear of it.
        return tuple(one for one in found if one[0].call is not None or not goes_back)

    async def _rest(self, desk: Desk, request: Request) -> tuple[str, ...]:
        if not self.imagines or desk.model.style == "plain":
            return ()
        asked = Message("user", _IMAGINE, kind="plan", agent=SEARCH)
        messages = (*request.messages, asked)
        said = await json_of(desk.ask, Request(messages, max_tokens=self.max_tokens), _REST)
        calls = said["calls"] if said else None
        return tuple(map(str, calls)) if isinstance(calls, list) else ()

    async def _plans(self, desk: Desk) -> Plans:
        """What successes of the family did, newest first."""
        memory, run, recent = desk.memory, desk.run, self.recent
        if memory is None or not USES[run.memory].shows or not recent:
            return ()
        family = desk.task.family if run.family_scope else None

        async def look() -> Json:
            read = memory.episodes
            lived = await asyncio.to_thread(read, run.namespace, family=family, limit=recent, newest=True)
            good = [one for one in lived if one.outcome == "success" and one.id != run.episode_id]
            worked = [tuple(_as_line(step) for step in steps(one) if step.ok is not False) for one in good]
            return to_json(tuple(plan for plan in worked if plan))

        return from_json(Plans, await desk.effects.once("plans", look))


async def _carried_out(desk: Desk, found: Found[Place]) -> bool:
    path = found.goal.path if found.goal is not None else ()
    for node in path:
        if node.state.call is None or done_at(node.state.call):
            continue  # the answer is the model's, once it has seen what came of the plan
        if (ending := desk.spent_up()) is not None:
            raise Over(ending)
        seen, ending = await desk.act(node.state.call)
        if ending is not None:
            raise Over(ending)
        if seen.ok is False:
            return False
    return True


def _as_line(step: Step) -> str:
    return END if step.command.startswith(f"{ANSWER_TOOL} ") else " ".join(step.command.split())


def _most_promising(root: Node[Place]) -> Node[Place]:
    """The entered place, not a refused one, with the best way on; the deepest of equals."""
    good = [
        one
        for one in every(root)
        if one.is_entered and (one.state.seen is None or one.state.seen.ok is not False)
    ]
    return max(good, key=lambda one: (one.value, one.depth))
