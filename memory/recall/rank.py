"""From candidates to what is shown: fusion, floors, a cross-encoder, value. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from memory.entry import Found
from memory.recall.choosing import Candidate, RecallSettings, candidate, chosen, coin, hit, scored
from memory.recall.shown import shown_text
from memory.recall.valuing import family_of, policy_of, priors
from memory.types import CaseBody, Fate, Hit, Item, Query
from memory.value.means import shrunken
from memory.value.reads import UNSEEN, drawn

DAY = 86_400.0
Rerank = Callable[[Sequence[str]], Sequence[float]]
"""Scores of texts for the question, higher is better."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """Candidates by what may become of them, most similar first."""

    relevant: Sequence[Candidate]
    low: Sequence[Candidate]
    """Under the floor."""
    barred: Sequence[Candidate]
    """Not valid, or not to be shown."""


def sift(
    query: Query,
    found: Sequence[Found],
    items: Mapping[str, Item],
    *,
    settings: RecallSettings,
    floor: float,
    attempts: frozenset[str],
) -> Sifted:
    """What is worth weighing, before anybody else has a say.

    `floor` is the least cosine; `attempts` are the episodes whose cases are left out. `query.at` must be set.
    """
    pool = _fused([one for one in found if one.id in items], items)
    if policy_of(query, settings) == "cosine":
        pool.sort(key=lambda one: (-_cosine(one), one.item.id))
    at = query.at if query.at is not None else 0.0
    relevant: list[Candidate] = []
    low: list[Candidate] = []
    barred: list[Candidate] = []
    for one in pool:
        if _is_barred(one.item, at, attempts):
            barred.append(one)
        elif _is_over_floor(one.found, floor, settings.lexical_floor):
            relevant.append(one)
        else:
            low.append(one)
    return Sifted(relevant, low, barred)


def n_weighed(query: Query, settings: RecallSettings, *, is_reranked: bool) -> int:
    """How many of the relevant can be shown at all."""
    n_short = settings.shortlist * query.k
    return max(settings.rerank_pool, n_short) if is_reranked else n_short


def rank(
    sifted: Sifted,
    query: Query,
    *,
    settings: RecallSettings,
    count_tokens: Callable[[str], int],
    show: Callable[[Item], str] = shown_text,
    rerank: Rerank | None = None,
) -> tuple[Hit, ...]:
    """Every candidate with its fate: those weighed by value first, then the others by similarity.

    `show` is the text of an item in the prompt, what its tokens are counted on.
    """
    relevant, n_short = sifted.relevant, settings.shortlist * query.k
    if rerank is not None:
        relevant = _reranked(relevant, n_weighed(query, settings, is_reranked=True), rerank)
    shortlist, beyond = _weighed(relevant[:n_short], settings, query), relevant[n_short:]
    rest: list[tuple[Sequence[Candidate], Fate]] = [
        (beyond, "limit"),
        (sifted.low, "floor"),
        (sifted.barred, "status"),
    ]
    return (
        *chosen(shortlist, query, settings, lambda item: count_tokens(show(item))),
        *[hit(one.item, one.score, fate, 0) for group, fate in rest for one in group],
    )


def _fused(found: Sequence[Found], items: Mapping[str, Item]) -> list[Candidate]:
    """Best first by the mean of z(cosine) and z(BM25) over all candidates.

    On conversations (LoCoMo) it finds more of the evidence than reciprocal-rank fusion (Cormack et al. 2009),
    which forgets by how much one text is nearer than the next.
    """
    dense = _z([one.dense or 0.0 for one in found], least=0.05)
    top = max((one.lexical or 0.0 for one in found), default=0.0) or 1.0
    lexical = _z([(one.lexical or 0.0) / top for one in found], least=0.1)
    expected = priors(items[one.id] for one in found)
    candidates = []
    for one, near, alike in zip(found, dense, lexical, strict=True):
        item = items[one.id]
        utility = shrunken(item.utility, expected[family_of(item)])
        score = scored(one.dense, one.lexical, one.coverage, (near + alike) / 2.0, utility)
        candidates.append(candidate(one, item, score))
    return sorted(candidates, key=lambda one: (-one.score.fused, one.item.id))


def _is_barred(item: Item, at: float, attempts: frozenset[str]) -> bool:
    if item.valid_from > at or (item.valid_to is not None and item.valid_to <= at):
        return True
    if attempts and item.kind == "case" and any(p.episode in attempts for p in item.lineage.evidence):
        return True
    # A failure that does not say why invites the same failure.
    return item.outcome == "failure" and isinstance(item.body, CaseBody) and not item.body.cause


def _is_over_floor(found: Found, floor: float, lexical_floor: float) -> bool:
    return (found.dense is not None and found.dense >= floor) or found.coverage >= lexical_floor


def _reranked(relevant: Sequence[Candidate], n: int, rerank: Rerank) -> list[Candidate]:
    """The first `n` in the order a cross-encoder sees; the others stay behind them."""
    read = [one.item.text for one in relevant[:n]]
    read_again = [
        replace(one, score=replace(one.score, rerank=float(score)))
        for one, score in zip(relevant[:n], rerank(read) if read else (), strict=True)
    ]
    return [*sorted(read_again, key=lambda one: (-(one.score.rerank or 0.0), one.item.id)), *relevant[n:]]


def _weighed(shortlist: Sequence[Candidate], settings: RecallSettings, query: Query) -> list[Candidate]:
    """Best first by (1 - λ) z(similarity) + λ z(Q), and a little for what is new; by cosine where that reads.

    Source: Zhang et al. 2026 (MemRL), arXiv 2601.03192, value-aware retrieval. Deviations: similarity is
    the fused score, or what a cross-encoder says; Q is what the read policy makes of it, shrunken while
    entries are few; a spread under a floor counts as that floor, so that noise is not blown up to a whole
    standard deviation; recency adds a bounded weight.
    """
    recency = [_recency(one.item, query, settings.recency_half_life_days) for one in shortlist]
    if policy_of(query, settings) == "cosine":
        totals = [_cosine(one) for one in shortlist]
    else:
        weight = settings.utility_weight
        utility = _z([one.score.utility for one in shortlist], least=0.1)
        totals = [
            (1.0 - weight) * similar + weight * useful + settings.recency_weight * recent
            for similar, useful, recent in zip(_similarity(shortlist), utility, recency, strict=True)
        ]
    weighed = []
    alpha = settings.read.alpha
    luck = [coin(query.seed, f"{one.item.id}/read") for one in shortlist] if alpha else [0.0] * len(totals)
    for pick in drawn(totals, alpha, luck):
        one = shortlist[pick.place]
        old = one.score
        score = scored(
            *(old.dense, old.lexical, old.coverage, old.fused, old.utility, old.rerank),
            recency=recency[pick.place],
            total=pick.key,
        )
        weighed.append(candidate(one.found, one.item, score, pick.chance))
    return sorted(weighed, key=lambda one: (-one.score.total, one.item.id))


def _cosine(one: Candidate) -> float:
    return UNSEEN if one.score.dense is None else one.score.dense


def _similarity(shortlist: Sequence[Candidate]) -> list[float]:
    if any(one.score.rerank is not None for one in shortlist):
        return _z([one.score.rerank or 0.0 for one in shortlist], least=0.1)
    return _z([one.score.fused for one in shortlist], least=0.5)


def _recency(item: Item, query: Query, half_life_days: float) -> float:
    at = query.at if query.at is not None else 0.0
    age_days = max(0.0, at - item.updated_at) / DAY
    return float(0.5 ** (age_days / half_life_days))


def _z(values: Sequence[float], least: float) -> list[float]:
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    apart = [value - mean for value in values]
    unit = max(math.sqrt(math.fsum([one**2 for one in apart]) / len(values)), least)
    return [one / unit for one in apart]
