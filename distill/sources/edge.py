"""Tasks at the edge of what can be done: many are proposed, those that would teach most are chosen.

Sources: Agent0 (arXiv 2511.16043), reward of the curriculum agent: 1 - 2|p - 1/2|, a bonus for calls of
tools, less the share of the batch that is alike; MAE (arXiv 2510.23595), the proposer: quality and
difficulty. Deviations: p is measured, not a vote; the calls are those that attempts near a task made;
likeness is a cosine, in chains, where Agent0 clusters by BLEU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agent.types import Ask
from distill.sources.known import Candidate, Known, Proposal, Rules
from distill.sources.writing import line, shown, tried, trust_of, written
from memory.encoder import Encoder, HashEncoder

Worth = Literal["uncertainty", "difficulty"]
_AGENT0 = Rules((0.3, 0.8))


@dataclass(frozen=True, slots=True)
class AtFrontier:
    """Agent0 by default, with its band; `mae` is by difficulty and quality, without the upper edge."""

    name: str = "frontier"
    by: Worth = "uncertainty"
    rules: Rules = _AGENT0
    over: int = 3
    """So many times what is wanted is looked at."""
    bonus: float = 0.05
    """For each call of a tool."""
    most_calls: int = 4
    alike: float = 0.75
    """Cosine from which two tasks are of one cluster."""
    shown: int = 6
    """Tasks of each sort."""
    temperature: float = 1.0
    encoder: Encoder = field(default_factory=HashEncoder)

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """Shown are tasks that were tried with how often they succeeded, and what this search accepted."""
        lived = tried(known.lived)
        edge = sorted(lived, key=lambda one: abs(one[1] - 0.5))[: 2 * self.shown]
        told = [f"{shown(known, one)} ({share:.0%} succeed)" for one, share in edge]
        text = "Tasks that were tried:\n" + "\n".join(told or ["none yet"])
        if known.accepted:
            newest = known.accepted[-self.shown :]
            task = (one.task for one in newest)
            text += "\nAccepted:\n" + "\n".join(line(one if known.listed else None, one.text) for one in task)
        text += "\n\nNew tasks are neither sure to be done nor sure to fail, and differ from all of these."
        trust = trust_of([one for one, _ in edge])
        said = await written(known, ask, text, n, temperature=self.temperature)
        return [Proposal(one, trust=trust) for one in said]

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The best by worth, bonus and share of their cluster; of equals the first."""
        shares = self._shares([one.task.text for one in found])
        scored = [
            (self._worth(one) + self.bonus * min(one.calls, self.most_calls) - share, -place)
            for place, (one, share) in enumerate(zip(found, shares, strict=True))
        ]
        return [found[-place] for _, place in sorted(scored, reverse=True)[:n]]

    def _worth(self, one: Candidate) -> float:
        if self.by == "uncertainty":
            return 1.0 - 2.0 * abs(one.p - 0.5)
        return 1.0 - one.p + (one.quality or 0.0)

    def _shares(self, texts: Sequence[str]) -> list[float]:
        """Of each text: the share of all that is in its cluster."""
        if not texts:
            return []
        vectors = self.encoder.encode(texts)
        near = (vectors @ vectors.T) >= self.alike  # (n, n)
        np.fill_diagonal(near, True)
        cluster = np.arange(len(texts))
        for _ in texts:  # a chain is at most as long as the list
            joined = np.array([cluster[row].min() for row in near])
            if (joined == cluster).all():
                break
            cluster = joined
        return [float((cluster == one).mean()) for one in cluster]


def mae() -> AtFrontier:
    """Multi-Agent Evolve's proposer. What never went well is out: nothing shows that it can."""
    return AtFrontier("mae", "difficulty", Rules((0.01, 0.99)))
