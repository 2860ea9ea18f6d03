"""Tasks of which the model is of two minds whether it can do them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.generate.questions import BoundaryTasks, Claim, Votes, edge
from agent.types import Ask, Request
from distill.sources.known import Candidate, Known, Proposal, Rules
from distill.sources.writing import tried, trust_of
from memory.types import Message

_ANY = Rules()


@dataclass(frozen=True, slots=True)
class Introspect:
    """Source: KnowRL (arXiv 2510.11407), by `agent.generate.questions`: the model writes what it believes it
    can do and cannot, and says so again and again. Deviation: its examples are what it measurably did.
    """

    seeds: int = 50
    """Of each kind, at most."""
    k: int = 8
    """Times that it is asked about each."""
    least: float = 0.25
    """Share of its answers on either side, for a task to be at the edge."""
    rules: Rules = _ANY
    over: int = 1

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "introspect"

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """One round of claims and votes."""
        lived = tried(known.lived)
        claims = [Claim(one.task, share > 0.5) for one, share in lived]
        seeds = [one for is_so in (True, False) for one in self._some(claims, is_so)]

        async def vote(text: str) -> Votes:
            return await self._votes(known, ask, text)

        setting = BoundaryTasks(tuple(seeds), ask, vote, n=n)
        rounds = await setting.generator().run(1, retries=0)
        trust = trust_of([one for one, _ in lived])
        return [Proposal(text, trust=trust) for text in edge(rounds, least=self.least)]

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The first."""
        return found[:n]

    def _some(self, claims: Sequence[Claim], is_so: bool) -> list[Claim]:
        return [one for one in claims if one.feasible is is_so][: self.seeds]

    async def _votes(self, known: Known, ask: Ask, text: str) -> Votes:
        tools = "\n".join(f"- {tool.name}: {tool.description}" for tool in known.tools)
        asked = f"You work at {known.family} with these tools:\n{tools}\n\nCan you do this? {text!r}"
        message = (Message("user", asked),)
        request = Request(message, n=self.k, choices=("yes", "no"), temperature=0.7)
        return tuple(reply.choice == 0 for reply in await ask(request))
