"""The greedy choice among weighed candidates: diversity, duplicates, caps, budget, the coin. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from memory.entry import Found, Matrix
from memory.nouns.making import maker
from memory.types import Fate, Hit, Item, Query, Score
from memory.value.reads import ReadSettings
from memory.writing.admission import are_twins


@dataclass(frozen=True, slots=True)
class RecallSettings:
    """How recall weighs; the defaults are those of the literature where it has any."""

    pool: int = 32
    """Candidates from each ranker."""
    dense_floor: float | None = None
    """Least cosine; None is the encoder's own."""
    lexical_floor: float = 0.5
    """Share of the question's weighted words that lets an item in without a near vector."""
    rerank_pool: int = 32
    """How many of the most similar a cross-encoder reads, where there is one."""
    utility_weight: float = 0.5
    """MemRL's λ: 0 is similarity alone, 1 is utility alone."""
    shortlist: int = 3
    """Times k: how many of the most similar are weighed by utility."""
    recency_half_life_days: float = 30.0
    recency_weight: float = 0.1
    """Most that being new can add, in standard deviations; 0 leaves age out."""
    mmr_lambda: float = 1.0
    """Carbonell & Goldstein's λ: 1 is relevance alone, less takes nearness to what is taken off."""
    duplicate_cosine: float = 0.95
    failure_share: float = 0.5
    """Most of k that may be failed cases."""
    principal_share: float = 1.0
    """Most of k that one principal may have written, one item at least; below 1 it bounds how much of a
    prompt a single poisoned source can fill. 1 is no bound."""
    read: ReadSettings = field(default_factory=ReadSettings)
    """What an item is worth to a question; `Query.policy` may name another policy."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that was found, and what is known of its score so far."""

    found: Found
    item: Item
    score: Score
    chance: float = 1.0
    """See `Hit.chance`."""


candidate, scored, hit = maker(Candidate), maker(Score), maker(Hit)


def chosen(
    shortlist: Sequence[Candidate], query: Query, settings: RecallSettings, cost: Callable[[Item], int]
) -> list[Hit]:
    """Greedy in order; an item held out by the coin keeps its place, or the others' odds would change."""
    choice = _Choice(shortlist, query, settings)
    hits: list[Hit] = []
    left = list(shortlist)
    while left:
        one = left.pop(0)
        old = one.score
        near = choice.diversity(one)
        score = scored(
            *(old.dense, old.lexical, old.coverage, old.fused, old.utility, old.rerank, old.recency),
            diversity=near,
            total=choice.worth(one, near),
        )
        tokens = 0
        fate = choice.fate(one, near)
        if fate == "kept":
            tokens = cost(one.item)
            fate = _drawn(one.item, query) if choice.fits(tokens) else "budget"
        is_drawn = fate in {"kept", "held_out"}
        propensity = query.propensity if is_drawn else 1.0
        hits.append(hit(one.item, score, fate, tokens, propensity, one.chance))
        if is_drawn:
            choice.take(one, tokens)
            if settings.mmr_lambda < 1.0:
                left.sort(key=lambda other: (-choice.worth(other, choice.diversity(other)), other.item.id))
    return hits


def coin(seed: int, item_id: str) -> float:
    """A number in [0, 1) that the seed and the item alone decide."""
    digest = sha256(f"{seed}/{item_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2.0**64


class _Choice:
    """What has been taken, and how near everything on the shortlist is to it."""

    def __init__(self, shortlist: Sequence[Candidate], query: Query, settings: RecallSettings) -> None:
        self._query, self._settings = query, settings
        self._rows = {one.item.id: row for row, one in enumerate(shortlist)}
        self._vectors = _stacked(shortlist).astype(np.float64)
        self._taken: list[Candidate] = []
        self._near: list[list[float]] = []
        """For each item taken, its cosine with each of the shortlist that may still be asked about."""
        self._are_dense = True
        """Have all that were taken a vector?"""
        self._authors: Counter[str] = Counter()
        self._n_failures = self._n_tokens = 0
        self._max_failures = math.ceil(settings.failure_share * query.k)
        self._max_of_one = max(1, math.floor(settings.principal_share * query.k + 1e-9))

    def fate(self, one: Candidate, near: float) -> Fate:
        """Why it stays out, its length aside; `kept` when nothing does. `near` is its diversity."""
        if self._is_duplicate(one, near):
            return "duplicate"
        if one.item.outcome == "failure" and self._n_failures >= self._max_failures:
            return "cap"
        if self._settings.principal_share < 1.0 and self._authors[one.item.author] >= self._max_of_one:
            return "principal"
        return "limit" if len(self._taken) >= self._query.k else "kept"

    def fits(self, tokens: int) -> bool:
        """Is there room for it in the token budget?"""
        return self._n_tokens + tokens <= self._query.token_budget

    def take(self, one: Candidate, tokens: int) -> None:
        """It goes into the prompt, or would but for the coin."""
        self._taken.append(one)
        self._n_tokens += tokens
        self._n_failures += one.item.outcome == "failure"
        self._authors[one.item.author] += 1
        self._are_dense = self._are_dense and one.found.vector is not None
        row = self._rows[one.item.id]
        # Without MMR the order stays, and nobody asks about those before it.
        first = row + 1 if self._settings.mmr_lambda >= 1.0 else 0
        near = np.add.reduce(self._vectors[first:] * self._vectors[row], axis=1)  # as `cosines` adds up
        self._near.append([0.0] * first + near.tolist())

    def worth(self, one: Candidate, near: float) -> float:
        """Maximal marginal relevance: relevance less what it repeats of the items taken.

        Source: Carbonell & Goldstein 1998, The Use of MMR, §2. Deviation: relevance is the mix of z-scores.
        """
        weight = self._settings.mmr_lambda
        return weight * one.score.total - (1.0 - weight) * near

    def diversity(self, one: Candidate) -> float:
        """Its largest cosine with an item taken, 0 at least."""
        row = self._rows[one.item.id]
        return max([0.0, *[near[row] for near in self._near]])

    def _is_duplicate(self, one: Candidate, nearest: float) -> bool:
        has_vector, bound = one.found.vector is not None, self._settings.duplicate_cosine
        if has_vector and self._are_dense and nearest < bound:
            return False
        row = self._rows[one.item.id]
        for other, near in zip(self._taken, self._near, strict=True):
            if has_vector and other.found.vector is not None:
                is_same = near[row] >= bound
            else:
                is_same = one.item.text == other.item.text
            if is_same and are_twins(one.item, other.item):
                return True
        return False


def is_withheld(query: Query) -> bool:
    """Did the coin of the whole recall say that nothing is shown?"""
    return query.hold_out > 0.0 and coin(query.seed, "recall") < query.hold_out


def _drawn(item: Item, query: Query) -> Fate:
    # Hashing for a coin that cannot fall is a tenth of the choice.
    is_out = query.drop_rate > 0.0 and coin(query.seed, item.id) < query.drop_rate
    return "held_out" if is_out or is_withheld(query) else "kept"


def _stacked(shortlist: Sequence[Candidate]) -> Matrix:
    """Vectors (n, d) float32; zeros, near to nothing, where there is none."""
    dim = next((len(one.found.vector) for one in shortlist if one.found.vector is not None), 1)
    matrix = np.zeros((len(shortlist), dim), dtype=np.float32)
    for row, one in zip(matrix, shortlist, strict=True):
        if one.found.vector is not None:
            row[:] = one.found.vector
    return matrix
