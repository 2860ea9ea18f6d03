"""A critic that is memory itself: what states and acts like these came to in other episodes. No fitting.

Sources: ReAd (Zhang et al. 2024, arXiv 2405.14314): returns of states and acts; WebRL (Qi et al. 2024, arXiv
2411.02337): a value of states for advantages and for bands. Deviations: a kernel mean over the k nearest
stored ones in the place of a fitted network, as in `memory.value.steps`; an act that few have done near here
is drawn to the value of where it led; an episode's own return is no part of what is expected of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent.opening import situation_text
from distill.signals.stored import reward_of
from distill.speakers import speakers
from memory.encoder import open_encoder
from memory.entry import Matrix
from memory.types import Episode
from memory.value.states import Acted, acted, state_of
from memory.value.steps import GAMMA

Floats = NDArray[np.float64]
Owners = NDArray[np.int64]
"""(n,) the place of each turn's episode."""
_BLOCK = 256
"""States that are compared with all others at once."""
_NOWHERE = -2.0
"""Below every cosine."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the model, in the state it was taken in."""

    message: int
    speaker: str
    round: int
    """A round ends where somebody speaks again; with one speaker every turn is one."""
    state: str
    action: str
    """Its last call in one line; what was said where there is none."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What memory expects of one turn, in return, and what came of it."""

    turn: Turn
    come: float
    """Its own return."""
    value: float
    """Of the state, whatever was done there."""
    led: float
    """Of where it led: the next turn's value, discounted; of the last turn its own return."""
    act: float
    """Of the act in that state."""


@dataclass(frozen=True, slots=True)
class Critic:
    """How states are compared, and what a turn's return is: the reward, discounted by the rounds left."""

    k: int = 16
    """Nearest entries: of a state any, of an act those of the same act."""
    width: float = 0.1
    """At a cosine of 1 - width an entry counts for 1 / e."""
    prior_n: float = 1.0
    """How many entries right here the prior counts for: of a state the mean, of an act where it led."""
    gamma: float = GAMMA
    within: Literal["world", "family"] = "world"
    """Who learns from whom; a family is smaller, where a world has tens of thousands of turns."""
    encoder: str = "hash-256"
    """By name, as `memory.encoder.open_encoder` has it: the server's own is `minilm` or `hash`."""

    def __call__(self, episodes: Sequence[Episode]) -> Mapping[str, tuple[Worth, ...]]:
        """Every turn of every episode as the others of its world or family see it. Raises EncoderError."""
        told: dict[tuple[str, str], list[tuple[Episode, tuple[Turn, ...]]]] = {}
        for episode in sorted(episodes, key=lambda one: one.id):
            key = episode.world, episode.family if self.within == "family" else ""
            told.setdefault(key, []).append((episode, turns_of(episode)))
        return {id_: worth for lived in told.values() for id_, worth in self._judged(lived)}

    def openings(self, episodes: Sequence[Episode]) -> Mapping[str, float | None]:
        """What was to be expected of each episode before its first turn; None of one without a turn."""
        return {id_: found[0].value if found else None for id_, found in self(episodes).items()}

    def _judged(
        self, lived: Sequence[tuple[Episode, tuple[Turn, ...]]]
    ) -> Iterator[tuple[str, tuple[Worth, ...]]]:
        turns = [turn for _, taken in lived for turn in taken]
        if not turns:
            yield from ((episode.id, ()) for episode, _ in lived)
            return
        owner = np.repeat(np.arange(len(lived)), [len(taken) for _, taken in lived])
        come = np.array([one for episode, taken in lived for one in self._returns(taken, reward_of(episode))])
        vectors = open_encoder(self.encoder).encode([f"{one.speaker} {one.state}" for one in turns])
        value = self._values(vectors, owner, come)
        led = self._led(turns, owner, come, value)
        act = self._acts(vectors, owner, come, led, turns)
        columns = [one.tolist() for one in (come, value, led, act)]
        found = [Worth(*one) for one in zip(turns, *columns, strict=True)]
        start = 0
        for episode, taken in lived:
            yield episode.id, tuple(found[start : start + len(taken)])
            start += len(taken)

    def _returns(self, turns: Sequence[Turn], reward: float) -> tuple[float, ...]:
        return tuple(reward * self.gamma ** (turns[-1].round - turn.round) for turn in turns)

    def _values(self, vectors: Matrix, owner: Owners, come: Floats) -> Floats:
        """Of the states (n,), by the nearest ones of other episodes."""
        prior, values = np.full(_BLOCK, math.fsum(come.tolist()) / len(come)), np.empty(len(come))
        for start in range(0, len(come), _BLOCK):
            here = slice(start, start + _BLOCK)
            near = _cosines(vectors[here], vectors)  # (block, n)
            near[owner[here, None] == owner] = _NOWHERE
            values[here], _ = _kernel_mean(near, come, prior[: len(near)], self.k, self.width, self.prior_n)
        return values

    def _led(self, turns: Sequence[Turn], owner: Owners, come: Floats, value: Floats) -> Floats:
        """Of where each turn led (n,)."""
        led = come.copy()
        for place in range(len(turns) - 1):
            if owner[place] == owner[place + 1]:
                waited = turns[place + 1].round - turns[place].round
                led[place] = self.gamma**waited * value[place + 1]
        return led

    def _acts(
        self, vectors: Matrix, owner: Owners, come: Floats, led: Floats, turns: Sequence[Turn]
    ) -> Floats:
        """Of the acts (n,), by the same act in the nearest states of other episodes."""
        same: dict[str, list[int]] = {}
        for place, turn in enumerate(turns):
            same.setdefault(turn.action, []).append(place)
        acts = np.empty(len(turns))
        for places in same.values():
            near = _cosines(vectors[places], vectors[places])  # (same, same)
            near[owner[places][:, None] == owner[places]] = _NOWHERE
            acts[places], _ = _kernel_mean(near, come[places], led[places], self.k, self.width, self.prior_n)
        return acts


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the nearest tasks say of one."""

    chance: float
    """Probability of success."""
    n: float
    """Attempts near it, by their weight; one right here counts 1."""


@dataclass(frozen=True, slots=True)
class Prospects:
    """Measured success near a task: mean reward of the nearest attempts, its own left out."""

    k: int = 16
    width: float = 0.2
    prior_n: float = 1.0
    """How many attempts right here one half counts for."""
    encoder: str = "hash-256"

    def __call__(self, episodes: Sequence[Episode]) -> Mapping[str, Prospect]:
        """One for each episode, by id. Raises EncoderError."""
        lived = sorted(episodes, key=lambda one: one.id)
        if not lived:
            return {}
        vectors = open_encoder(self.encoder).encode([situation_text(one.task, one.family) for one in lived])
        worth = np.array([min(1.0, max(0.0, reward_of(one))) for one in lived])
        found: dict[str, Prospect] = {}
        for start in range(0, len(lived), _BLOCK):
            here = slice(start, start + _BLOCK)
            near = _cosines(vectors[here], vectors)  # (block, n)
            near[np.arange(len(near)), np.arange(start, start + len(near))] = _NOWHERE
            prior = np.full(len(near), 0.5)
            means, weights = _kernel_mean(near, worth, prior, self.k, self.width, self.prior_n)
            pairs = zip(lived[here], means.tolist(), weights.tolist(), strict=True)
            found |= {one.id: Prospect(mean, weight) for one, mean, weight in pairs}
        return found


def _cosines(one: Matrix, other: Matrix) -> Floats:
    """(a, b), rounded: sums of products differ in their last digits from one machine to the next."""
    return np.asarray(one @ other.T, dtype=np.float64).round(5)


def _kernel_mean(
    near: Floats, worth: Floats, prior: Floats, k: int, width: float, prior_n: float
) -> tuple[Floats, Floats]:
    """Means (b,) and weights (b,) over the k nearest of each row of cosines (b, n), with priors (b,)."""
    if near.shape[1] > k:
        places = np.sort(np.argpartition(-near, k - 1, axis=1)[:, :k], axis=1)
        near, told = np.take_along_axis(near, places, axis=1), worth[places]
    else:
        told = np.broadcast_to(worth, near.shape)
    weights = np.where(near > _NOWHERE, np.exp((np.minimum(near, 1.0) - 1.0) / width), 0.0)
    total = weights.sum(axis=1)
    return np.asarray(((weights * told).sum(axis=1) + prior_n * prior) / (total + prior_n)), total


def turns_of(episode: Episode) -> tuple[Turn, ...]:
    """The model's turns in order; reading what memory holds is none, saying nothing is one."""
    calls = {one.message: one for one in acted(episode.task, episode.messages)}
    roles = speakers(episode.messages)
    found: list[Turn] = []
    spoken: set[str] = set()
    n_rounds = 0
    for place, message in enumerate(episode.messages):
        if message.role != "assistant" or message.kind == "memory":
            continue
        if place not in calls and message.tool_calls:
            continue  # it read what memory holds
        if roles[place] in spoken:
            n_rounds += 1
            spoken.clear()
        spoken.add(roles[place])
        found.append(Turn(place, roles[place], n_rounds, *_acted(episode, place, calls.get(place))))
    return tuple(found)


def _acted(episode: Episode, place: int, call: Acted | None) -> tuple[str, str]:
    """The state of a turn and its act, in words."""
    if call is not None:
        return call.state, call.action
    said = " ".join(episode.messages[place].text.casefold().split())
    return state_of(episode.task, episode.messages[:place]), said
