"""Credit step by step: how much better a turn was than what memory expects where it was taken.

The critic is `distill.value`; what is credited are turns, so plans and other words beside them have 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from distill.signals.stored import Credit
from distill.value import Critic, Worth
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class Advantage:
    """What an act is worth over its state, of either sign.

    Without `lam` Q(s, a) - V(s), both from memory: ReAd (arXiv 2405.14314). With it the two terms of WebRL
    (arXiv 2411.02337), lam (r + gamma V(s') - V(s)) + (1 - lam) (R - V(s)), where R is the episode's own
    return; 1/2 there. Deviation: values are discounted returns instead of probabilities of success.
    """

    critic: Critic = field(default_factory=Critic)
    lam: float | None = None

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On each turn of the model."""
        told = self.critic(episodes)
        return {one.id: _placed(one, self._of(told[one.id])) for one in episodes}

    def _of(self, found: Sequence[Worth]) -> Iterable[tuple[Worth, float]]:
        if self.lam is None:
            yield from ((one, one.act - one.value) for one in found)
            return
        for one in found:
            yield one, self.lam * one.led + (1.0 - self.lam) * one.come - one.value


@dataclass(frozen=True, slots=True)
class Gae:
    """Generalised advantages of several agents in one episode.

    Over `agents`: across those of a round, then on to the next round; what comes after an agent's turn is the
    next agent's. Over `time`: each agent's turns by themselves. Agents of one round share its time: between
    them nothing is discounted.

    Source: MARFT (arXiv 2504.16129), on GAE (Schulman et al. 2015, arXiv 1506.02438, Eq. 16). Deviation: the
    critic is memory's.
    """

    critic: Critic = field(default_factory=lambda: Critic(gamma=0.99))
    lam: float = 0.95
    over: Literal["agents", "time"] = "agents"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On each turn of the model, of either sign."""
        told = self.critic(episodes)
        return {one.id: _placed(one, self._of(told[one.id])) for one in episodes}

    def _of(self, found: Sequence[Worth]) -> Iterable[tuple[Worth, float]]:
        if self.over == "agents":
            yield from self._along(found)
            return
        for speaker in sorted({one.turn.speaker for one in found}):
            yield from self._along([one for one in found if one.turn.speaker == speaker])

    def _along(self, found: Sequence[Worth]) -> Iterable[tuple[Worth, float]]:
        gamma, total = self.critic.gamma, 0.0
        for place, one in reversed(list(enumerate(found))):
            after = found[place + 1] if place + 1 < len(found) else None
            waited = gamma ** (after.turn.round - one.turn.round) if after else 0.0
            led = waited * after.value if after else one.come
            total = led - one.value + waited * self.lam * total
            yield one, total


def _placed(episode: Episode, found: Iterable[tuple[Worth, float]]) -> tuple[float, ...]:
    credit = [0.0] * len(episode.messages)
    for one, worth in found:
        credit[one.turn.message] = worth
    return tuple(credit)
