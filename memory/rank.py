"""From candidates to what is shown: fusion, floors, value, diversity, caps, budget, the coin. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from memory.admission import are_twins
from memory.entry import Found, Matrix, cosines
from memory.shown import shown_text
from memory.types import CaseBody, Fate, Hit, Item, Query, Score
from memory.value import prior_mean, shrunken

DAY = 86_400.0
Rerank = Callable[[Sequence[str]], Sequence[float]]
"""Scores of texts for the question, higher is better."""


@dataclass(frozen=True, slots=True)
class RecallSettings:
    """How recall weighs; the defaults are those of the literature where it has any."""

    pool: int = 32
    """Candidates from each ranker."""
    rrf_k: float = 60.0
    """Cormack et al. 2009, Reciprocal Rank Fusion, §2."""
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


@dataclass(frozen=True, slots=True)
class _Candidate:
    found: Found
    item: Item
    score: Score


def rank(
    query: Query,
    found: Sequence[Found],
    items: Mapping[str, Item],
    *,
    settings: RecallSettings,
    floor: float,
    attempts: frozenset[str],
    count_tokens: Callable[[str], int],
    show: Callable[[Item], str] = shown_text,
    rerank: Rerank | None = None,
) -> tuple[Hit, ...]:
    """Every candidate with its fate: those weighed by value first, then the others by similarity.

    `floor` is the least cosine; `attempts` are the episodes whose cases are left out; `show` is the text of
    an item in the prompt, what its tokens are counted on. `query.at` must be set.
    """
    pool = _fused([one for one in found if one.id in items], items, settings.rrf_k)
    allowed, barred = _parted(pool, lambda one: not _is_barred(one.item, query, attempts))
    relevant, low = _parted(allowed, lambda one: _is_over_floor(one.found, floor, settings.lexical_floor))
    n_short = settings.shortlist * query.k
    if rerank is not None:
        relevant = _reranked(relevant, max(settings.rerank_pool, n_short), rerank)
    shortlist, beyond = _weighed(relevant[:n_short], settings, query), relevant[n_short:]
    rest: list[tuple[Sequence[_Candidate], Fate]] = [(beyond, "limit"), (low, "floor"), (barred, "status")]
    return (
        *_chosen(shortlist, query, settings, lambda item: count_tokens(show(item))),
        *(Hit(one.item, one.score, fate, tokens=0) for group, fate in rest for one in group),
    )


def coin(seed: int, item_id: str) -> float:
    """A number in [0, 1) that the seed and the item alone decide."""
    digest = sha256(f"{seed}/{item_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2.0**64


def _parted(
    pool: Sequence[_Candidate], is_first: Callable[[_Candidate], bool]
) -> tuple[list[_Candidate], list[_Candidate]]:
    first: list[_Candidate] = []
    second: list[_Candidate] = []
    for one in pool:
        (first if is_first(one) else second).append(one)
    return first, second


def _fused(found: Sequence[Found], items: Mapping[str, Item], k: float) -> list[_Candidate]:
    """Reciprocal-rank fusion, best first.

    Source: Cormack, Clarke & Büttcher 2009, Reciprocal Rank Fusion, §2.
    """
    fused = dict.fromkeys((one.id for one in found), 0.0)
    for seen in ([(one.dense, one.id) for one in found], [(one.lexical, one.id) for one in found]):
        ranked = sorted((-score, id_) for score, id_ in seen if score is not None)
        for place, (_, id_) in enumerate(ranked, start=1):
            fused[id_] += 1.0 / (k + place)
    prior = prior_mean([items[id_].utility for id_ in sorted(fused)])
    candidates = [
        _Candidate(
            one,
            items[one.id],
            Score(one.dense, one.lexical, fused[one.id], shrunken(items[one.id].utility, prior)),
        )
        for one in found
    ]
    return sorted(candidates, key=lambda one: (-one.score.fused, one.item.id))


def _is_barred(item: Item, query: Query, attempts: frozenset[str]) -> bool:
    at = query.at if query.at is not None else 0.0
    if item.valid_from > at or (item.valid_to is not None and item.valid_to <= at):
        return True
    if attempts and item.kind == "case" and any(p.episode in attempts for p in item.lineage.evidence):
        return True
    # A failure that does not say why invites the same failure.
    return item.outcome == "failure" and isinstance(item.body, CaseBody) and not item.body.cause


def _is_over_floor(found: Found, floor: float, lexical_floor: float) -> bool:
    return (found.dense is not None and found.dense >= floor) or found.coverage >= lexical_floor


def _reranked(relevant: Sequence[_Candidate], n: int, rerank: Rerank) -> list[_Candidate]:
    """The first `n` in the order a cross-encoder sees; the others stay behind them."""
    read = [one.item.text for one in relevant[:n]]
    scored = [
        replace(one, score=replace(one.score, rerank=float(score)))
        for one, score in zip(relevant[:n], rerank(read) if read else (), strict=True)
    ]
    return [*sorted(scored, key=lambda one: (-(one.score.rerank or 0.0), one.item.id)), *relevant[n:]]


def _weighed(shortlist: Sequence[_Candidate], settings: RecallSettings, query: Query) -> list[_Candidate]:
    """Best first by (1 - λ) z(similarity) + λ z(Q), and a little for what is new.

    Source: Zhang et al. 2026 (MemRL), arXiv 2601.03192, value-aware retrieval. Deviations: similarity is the
    mean of z(cosine) and z(BM25), or what a cross-encoder says; Q is shrunk towards the mean reward while
    uses are few; a spread under a floor counts as that floor, so that noise is not blown up to a whole
    standard deviation; recency adds a bounded weight.
    """
    weight = settings.utility_weight
    utility = _z([one.score.utility for one in shortlist], least=0.1)
    weighed = []
    for one, similar, useful in zip(shortlist, _similarity(shortlist), utility, strict=True):
        recency = _recency(one.item, query, settings.recency_half_life_days)
        total = (1.0 - weight) * similar + weight * useful + settings.recency_weight * recency
        weighed.append(replace(one, score=replace(one.score, recency=recency, total=total)))
    return sorted(weighed, key=lambda one: (-one.score.total, one.item.id))


def _similarity(shortlist: Sequence[_Candidate]) -> list[float]:
    if any(one.score.rerank is not None for one in shortlist):
        return _z([one.score.rerank or 0.0 for one in shortlist], least=0.1)
    dense = _z([one.score.dense or 0.0 for one in shortlist], least=0.05)
    top = max((one.score.lexical or 0.0 for one in shortlist), default=0.0) or 1.0
    lexical = _z([(one.score.lexical or 0.0) / top for one in shortlist], least=0.1)
    return [(d + w) / 2.0 for d, w in zip(dense, lexical, strict=True)]


def _recency(item: Item, query: Query, half_life_days: float) -> float:
    at = query.at if query.at is not None else 0.0
    age_days = max(0.0, at - item.updated_at) / DAY
    return float(0.5 ** (age_days / half_life_days))


def _z(values: Sequence[float], least: float) -> list[float]:
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / max(spread, least) for value in values]


class _Choice:
    """What has been taken, and how near everything on the shortlist is to it."""

    def __init__(self, shortlist: Sequence[_Candidate], query: Query, settings: RecallSettings) -> None:
        self._query, self._settings = query, settings
        self._rows = {one.item.id: row for row, one in enumerate(shortlist)}
        self._vectors = _stacked(shortlist)
        self._taken: list[_Candidate] = []
        self._near: list[NDArray[np.float64]] = []
        """For each item taken, its cosine with each of the shortlist."""
        self._nearest = np.zeros(len(shortlist))
        self._authors: Counter[str] = Counter()
        self._n_failures = self._n_tokens = 0
        self._max_failures = math.ceil(settings.failure_share * query.k)
        self._max_of_one = max(1, math.floor(settings.principal_share * query.k + 1e-9))

    def fate(self, one: _Candidate) -> Fate:
        """Why it stays out, its length aside; `kept` when nothing speaks against it."""
        if self._is_duplicate(one):
            return "duplicate"
        if one.item.outcome == "failure" and self._n_failures >= self._max_failures:
            return "cap"
        if self._settings.principal_share < 1.0 and self._authors[one.item.author] >= self._max_of_one:
            return "principal"
        return "limit" if len(self._taken) >= self._query.k else "kept"

    def fits(self, tokens: int) -> bool:
        """Is there room for it in the token budget?"""
        return self._n_tokens + tokens <= self._query.token_budget

    def take(self, one: _Candidate, tokens: int) -> None:
        """It goes into the prompt, or would but for the coin."""
        self._taken.append(one)
        self._n_tokens += tokens
        self._n_failures += one.item.outcome == "failure"
        self._authors[one.item.author] += 1
        vector = self._vectors[self._rows[one.item.id]]
        near = cosines(self._vectors, vector)  # (n,)
        self._near.append(near)
        self._nearest = np.maximum(self._nearest, near)

    def worth(self, one: _Candidate) -> float:
        """Maximal marginal relevance: relevance less what it repeats of the items taken.

        Source: Carbonell & Goldstein 1998, The Use of MMR, §2. Deviation: relevance is the mix of z-scores.
        """
        weight = self._settings.mmr_lambda
        return weight * one.score.total - (1.0 - weight) * self.diversity(one)

    def diversity(self, one: _Candidate) -> float:
        """Its largest cosine with an item taken, 0 at least."""
        return float(self._nearest[self._rows[one.item.id]])

    def _is_duplicate(self, one: _Candidate) -> bool:
        row = self._rows[one.item.id]
        for other, near in zip(self._taken, self._near, strict=True):
            if one.found.vector is None or other.found.vector is None:
                is_same = one.item.text == other.item.text
            else:
                is_same = bool(near[row] >= self._settings.duplicate_cosine)
            if is_same and are_twins(one.item, other.item):
                return True
        return False


def _chosen(
    shortlist: Sequence[_Candidate], query: Query, settings: RecallSettings, cost: Callable[[Item], int]
) -> list[Hit]:
    """Greedy in order; an item held out by the coin keeps its place, or the others' odds would change."""
    choice = _Choice(shortlist, query, settings)
    hits: list[Hit] = []
    left = list(shortlist)
    while left:
        one = left.pop(0)
        score = replace(one.score, diversity=choice.diversity(one), total=choice.worth(one))
        tokens = 0
        fate = choice.fate(one)
        if fate == "kept":
            tokens = cost(one.item)
            fate = _drawn(one.item, query) if choice.fits(tokens) else "budget"
        is_drawn = fate in {"kept", "held_out"}
        hits.append(Hit(one.item, score, fate, tokens, 1.0 - query.drop_rate if is_drawn else 1.0))
        if is_drawn:
            choice.take(one, tokens)
            if settings.mmr_lambda < 1.0:
                left.sort(key=lambda other: (-choice.worth(other), other.item.id))
    return hits


def _drawn(item: Item, query: Query) -> Fate:
    return "held_out" if coin(query.seed, item.id) < query.drop_rate else "kept"


def _stacked(shortlist: Sequence[_Candidate]) -> Matrix:
    """Vectors (n, d) float32; zeros, near to nothing, where there is none."""
    dim = next((len(one.found.vector) for one in shortlist if one.found.vector is not None), 1)
    matrix = np.zeros((len(shortlist), dim), dtype=np.float32)
    for row, one in zip(matrix, shortlist, strict=True):
        if one.found.vector is not None:
            row[:] = one.found.vector
    return matrix
