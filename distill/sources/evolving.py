"""What failed, changed a little: the next tasks of a family are written from those that went badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.types import Ask
from distill.sources.known import Candidate, Known, Proposal, Rules
from distill.sources.writing import names_in, shown, tried, trust_of, written
from memory.types import Episode

_WEBRL = Rules((0.05, 0.75))


@dataclass(frozen=True, slots=True)
class EvolveFailed:
    """Source: WebRL (arXiv 2411.02337): some failed tasks of one site, two turns of writing, the same domain
    and difficulty, only names that are in the examples; then a band on the chance of success.
    """

    shown: int = 10
    turns: int = 2
    rules: Rules = _WEBRL
    temperature: float = 0.8
    over: int = 1

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "evolve_failed"

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """None where nothing failed."""
        failed = self._failed(known)
        if not failed:
            return ()
        text = (
            "The agent failed at these tasks:\n"
            + "\n".join(shown(known, one) for one in failed)
            + "\n\nNew tasks are of the same kind and about as hard, and use only names of things and places "
            "that occur above."
        )
        names = frozenset[str]().union(*(self._names(known, one) for one in failed))
        trust = trust_of(failed)
        said = []
        for turn in range(self.turns):
            share = n // self.turns + (turn < n % self.turns)
            said += await written(known, ask, text, share, temperature=self.temperature) if share else []
        return [Proposal(one, trust=trust, names=names) for one in said]

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The first."""
        return found[:n]

    def _failed(self, known: Known) -> list[Episode]:
        return [one for one, share in tried(known.lived) if share < 1.0 and one.outcome == "failure"][
            : self.shown
        ]

    def _names(self, known: Known, episode: Episode) -> frozenset[str]:
        task = known.listed.get(episode.task_id)
        if task is not None:
            return names_in(task, listed=True)
        return frozenset() if known.listed else names_in(known.read({"text": episode.task}), listed=False)
