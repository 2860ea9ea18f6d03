"""Every search has a goal, and a verdict on whether it was met before the next.

Sources: Fu et al. 2025 (RE-Searcher), arXiv 2509.26048: goal, search, reflect, refine; Fan et al. 2025
(SSRL), arXiv 2508.10874: the model as a source of its own. Deviations: each goal has a cap of its own beside
the one on all searches; a goal that reaches it is given up, and the answer is told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.critics.goals import goal_met
from agent.deliberate.asking import json_of
from agent.desk import Desk
from agent.ending import Ending
from agent.finding.router import Router, surprise
from agent.finding.sources import SourceName, from_memory, from_self, from_tool, search_tool
from agent.planners.react import React
from agent.types import Judgement, Reply, Request
from memory.types import Json, Message

GOALS = "goals"
"""`Message.agent` of what this planner says."""
_NEXT: Mapping[str, Json] = {
    "type": "object",
    "properties": {"goal": {"type": "string"}, "query": {"type": "string"}},
    "required": ["goal", "query"],
}
_REFINED: Mapping[str, Json] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}
ASK_NEXT = (
    "What has to be found out next to do the task? Name the goal of one search and its query, as JSON "
    '{"goal": "…", "query": "…"}; an empty goal if nothing is missing any more.'
)
ASK_REFINED = (
    "The goal is not met yet: {goal}\nTried: {tried}\nWord another query for the same goal, "
    'as JSON {{"query": "…"}}.'
)


@dataclass(slots=True)
class _Hunt:
    """Where one run is: made anew from what its effects return, so a replay has the same."""

    searches: int = 0
    surprise: float | None = None
    """Of the query before, in bits per token."""
    closed: set[str] = field(default_factory=set)
    """Goals that were met or given up; one that is named again ends the search."""


@dataclass(frozen=True, slots=True)
class Goals:
    """Searches goal by goal, then turns of the model to the answer. Plain models go turn by turn."""

    source: SourceName = "memory"
    """Where is searched."""
    tool: str = "search"
    """The tool of source `external`, of the world or of an MCP server."""
    router: Router | None = None
    """With one, the model's own word is taken where it is sure, and the source asked where it is not."""
    reflects: bool = True
    """Without it, whatever is found meets its goal."""
    per_goal: int = 4
    """Searches for one goal."""
    most_searches: int = 12
    """Searches in all."""
    max_tokens: int = 512
    """Longest word of the model beside its turns."""
    name: str = "goals"

    @classmethod
    def of(cls, sources: str) -> Goals:
        """By where is searched: `memory`, `self` or the name of a tool; with `+self` the router between them.

        >>> Goals.of("web+self").tool
        'web'
        """
        outside, _, own = sources.partition("+")
        router = Router() if own == "self" else None
        if outside in ("memory", "self"):
            return cls("memory" if outside == "memory" else "self", router=router)
        return cls("external", outside, router)

    async def run(self, desk: Desk) -> Ending:
        """Search until nothing is missing or a cap is reached, then go on turn by turn to the end."""
        if desk.model.style == "plain":
            return await React().run(desk)
        hunt = _Hunt()
        while hunt.searches < self.most_searches and desk.spent_up() is None:
            goal, query, sure = await self._next(desk)
            if not goal or not query or goal in hunt.closed:
                break
            hunt.closed.add(goal)
            ending = await self._pursue(desk, hunt, goal, query, sure)
            if ending is not None:
                return ending
        desk.say("That was the search. Go on with the task from what was found.", agent=GOALS)
        return await React().run(desk)

    async def _pursue(
        self, desk: Desk, hunt: _Hunt, goal: str, query: str, sure: float | None
    ) -> Ending | None:
        """Search for one goal, query after query, until it is met or given up."""
        tried: list[str] = []
        while True:
            tried.append(query)
            found, ending = await self._searched(desk, hunt, goal, query, sure)
            if ending is not None:
                return ending
            judged = await self._judged(desk, goal, found)
            verdict = "met" if judged.ok else "not met"
            desk.say(f"Goal {verdict}: {goal}. {judged.feedback}".strip(), kind="reflect", agent=GOALS)
            if judged.ok:
                return None
            is_capped = len(tried) >= self.per_goal or hunt.searches >= self.most_searches
            query, sure = (
                ("", None) if is_capped or desk.spent_up() else await self._refined(desk, goal, tried)
            )
            if not query:
                desk.say(f"Given up after {len(tried)} searches: {goal}", kind="reflect", agent=GOALS)
                return None

    async def _searched(
        self, desk: Desk, hunt: _Hunt, goal: str, query: str, sure: float | None
    ) -> tuple[str, Ending | None]:
        hunt.searches += 1
        before, hunt.surprise = hunt.surprise, sure
        desk.say(f"Goal: {goal}\nSearch: {query}", agent=GOALS)
        own = self.router is not None and await self.router.knows(desk.ask, query, sure, before)
        if own or self.source == "self":
            return await from_self(desk, query, self.max_tokens), None
        if self.source == "memory":
            return await from_memory(desk, query), None
        return await from_tool(desk, search_tool(desk, self.tool), query)

    async def _judged(self, desk: Desk, goal: str, found: str) -> Judgement:
        if not self.reflects:
            return Judgement(1.0, True)
        return await goal_met(desk.ask, goal, found, max_tokens=self.max_tokens)

    async def _next(self, desk: Desk) -> tuple[str, str, float | None]:
        said, sure = await self._asked(desk, ASK_NEXT, _NEXT)
        return said.get("goal", ""), said.get("query", ""), sure

    async def _refined(self, desk: Desk, goal: str, tried: list[str]) -> tuple[str, float | None]:
        said, sure = await self._asked(desk, ASK_REFINED.format(goal=goal, tried="; ".join(tried)), _REFINED)
        return said.get("query", ""), sure

    async def _asked(
        self, desk: Desk, question: str, schema: Mapping[str, Json]
    ) -> tuple[dict[str, str], float | None]:
        """What the model says in this form, nothing where it cannot be read, and its surprise."""
        heard: list[Reply] = []

        async def ask(request: Request) -> tuple[Reply, ...]:
            heard.extend(replies := await desk.ask(request))
            return replies

        asked = Message("user", question, kind="plan", agent=GOALS)
        said = await json_of(ask, Request((*desk.prompt(), asked), max_tokens=self.max_tokens), schema)
        fields = {key: str(value).strip() for key, value in (said or {}).items()}
        return fields, surprise(heard[-1])
