"""From candidates to what is shown: fusion, floors, value, diversity, caps, budget, the coin. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from memory.admission import are_twins
from memory.entry import Found, cosine
from memory.types import CaseBody, Fate, Hit, Item, NoteBody, ProcedureBody, Query, Score
from memory.value import prior_mean, shrunken


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
    utility_weight: float = 0.5
    """MemRL's λ: 0 is similarity alone, 1 is utility alone."""
    shortlist: int = 3
    """Times k: how many of the most similar are weighed by utility."""
    duplicate_cosine: float = 0.95
    failure_share: float = 0.5
    """Most of k that may be failed cases."""


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
) -> tuple[Hit, ...]:
    """Every candidate with its fate: those weighed by value first, then the others by similarity.

    `floor` is the least cosine; `attempts` are the episodes whose cases are left out. `query.at` must be set.
    `Score.total` is 0 for a candidate that did not reach the weighing.
    """
    pool = _fused([one for one in found if one.id in items], items, settings.rrf_k)
    allowed, barred = _parted(pool, lambda one: not _is_barred(one.item, query, attempts))
    relevant, low = _parted(allowed, lambda one: _is_over_floor(one.found, floor, settings.lexical_floor))
    n_short = settings.shortlist * query.k
    shortlist, beyond = _weighed(relevant[:n_short], settings.utility_weight), relevant[n_short:]
    rest: list[tuple[Sequence[_Candidate], Fate]] = [(beyond, "limit"), (low, "floor"), (barred, "status")]
    return (
        *_chosen(shortlist, query, settings, count_tokens),
        *(Hit(one.item, one.score, fate, tokens=0) for group, fate in rest for one in group),
    )


def shown_text(item: Item) -> str:
    """The item as text: what its token cost is counted on."""
    body = item.body
    if isinstance(body, CaseBody):
        parts = [item.text, *body.plan, body.lesson, body.cause or ""]
    elif isinstance(body, ProcedureBody):
        parts = [item.text, *body.preconditions, *body.steps, *body.notes]
    elif isinstance(body, NoteBody):
        parts = [item.text, body.note]
    else:
        parts = [item.text]
    return "\n".join(dict.fromkeys(part for part in parts if part))


def coin(seed: int, item_id: str) -> float:
    """A number in [0, 1) that the seed and the item alone decide."""
    digest = sha256(f"{seed}/{item_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2.0**64


def _parted(
    pool: Sequence[_Candidate], is_first: Callable[[_Candidate], bool]
) -> tuple[list[_Candidate], list[_Candidate]]:
    first = [is_first(one) for one in pool]
    return (
        [one for one, yes in zip(pool, first, strict=True) if yes],
        [one for one, yes in zip(pool, first, strict=True) if not yes],
    )


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
    if any(piece.episode in attempts for piece in item.lineage.evidence) and item.kind == "case":
        return True
    # A failure that does not say why invites the same failure.
    return item.outcome == "failure" and isinstance(item.body, CaseBody) and not item.body.cause


def _is_over_floor(found: Found, floor: float, lexical_floor: float) -> bool:
    return (found.dense is not None and found.dense >= floor) or found.coverage >= lexical_floor


def _weighed(shortlist: Sequence[_Candidate], weight: float) -> list[_Candidate]:
    """Best first by (1 - λ) z(similarity) + λ z(Q).

    Source: Zhang et al. 2026 (MemRL), arXiv 2601.03192, value-aware retrieval. Deviations: similarity is the
    mean of z(cosine) and z(BM25); Q is shrunk towards the mean reward while uses are few; a spread under a
    floor counts as that floor, so that noise is not blown up to a whole standard deviation.
    """
    dense = _z([one.score.dense or 0.0 for one in shortlist], least=0.05)
    top = max((one.score.lexical or 0.0 for one in shortlist), default=0.0) or 1.0
    lexical = _z([(one.score.lexical or 0.0) / top for one in shortlist], least=0.1)
    utility = _z([one.score.utility for one in shortlist], least=0.1)
    weighed = [
        replace(one, score=replace(one.score, total=(1.0 - weight) * (d + w) / 2.0 + weight * u))
        for one, d, w, u in zip(shortlist, dense, lexical, utility, strict=True)
    ]
    return sorted(weighed, key=lambda one: (-one.score.total, one.item.id))


def _z(values: Sequence[float], least: float) -> list[float]:
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / max(spread, least) for value in values]


def _chosen(
    shortlist: Sequence[_Candidate],
    query: Query,
    settings: RecallSettings,
    count_tokens: Callable[[str], int],
) -> list[Hit]:
    """Greedy in order; an item held out by the coin keeps its place, or the others' odds would change."""
    hits: list[Hit] = []
    taken: list[_Candidate] = []
    n_tokens = 0
    max_failures = math.ceil(settings.failure_share * query.k)
    for one in shortlist:
        tokens = count_tokens(shown_text(one.item))
        fate: Fate = "kept"
        if any(_are_duplicates(one, other, settings.duplicate_cosine) for other in taken):
            fate = "duplicate"
        elif _is_failure(one) and sum(map(_is_failure, taken)) >= max_failures:
            fate = "cap"
        elif len(taken) >= query.k:
            fate = "limit"
        elif n_tokens + tokens > query.token_budget:
            fate = "budget"
        else:
            taken.append(one)
            n_tokens += tokens
            if coin(query.seed, one.item.id) < query.drop_rate:
                fate = "held_out"
        drawn = fate in {"kept", "held_out"}
        hits.append(Hit(one.item, one.score, fate, tokens, 1.0 - query.drop_rate if drawn else 1.0))
    return hits


def _is_failure(one: _Candidate) -> bool:
    return one.item.outcome == "failure"


def _are_duplicates(one: _Candidate, other: _Candidate, least: float) -> bool:
    if not are_twins(one.item, other.item):
        return False
    if one.found.vector is None or other.found.vector is None:
        return one.item.text == other.item.text
    return cosine(one.found.vector, other.found.vector) >= least
