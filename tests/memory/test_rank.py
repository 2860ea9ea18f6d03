"""From candidates to what is shown: pure, so every rule is tried by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.entry import Found, Vector
from memory.recall.choosing import RecallSettings
from memory.recall.rank import DAY, rank, sift
from memory.types import CaseBody, Hit, Item, Query, Utility

QUERY = Query("home", "where is the mug", k=3, at=1_000.0 + 60 * DAY)
PLAIN = RecallSettings(utility_weight=0.0, recency_weight=0.0)


def item(id_: str, *, text: str | None = None, author: str = "ada", at: float = 1_000.0, **more: Any) -> Item:
    said = text or f"the mug is in cabinet {id_}"
    made = Item(
        id=id_,
        namespace="home",
        kind="case",
        scope="namespace",
        family=None,
        text=said,
        body=CaseBody(said, (), said, "why"),
        outcome="success",
        status="active",
        version=1,
        channel="user",
        trust=3,
        author=author,
        created_at=at,
        updated_at=at,
        valid_from=at,
    )
    return replace(made, **more)


def unit(*values: float) -> Vector:
    vector = np.array(values, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def found(id_: str, dense: float, vector: Vector | None = None) -> Found:
    return Found(id_, dense, None, 0.0, unit(1.0, 0.0) if vector is None else vector)


def ranked(
    pool: list[tuple[Found, Item]], settings: RecallSettings = PLAIN, query: Query = QUERY, **more: Any
) -> tuple[Hit, ...]:
    sifting = {"floor": 0.1, "attempts": frozenset()}
    sifting |= {name: more.pop(name) for name in sifting if name in more}
    items = {one.id: one for _, one in pool}
    sifted = sift(query, [seen for seen, _ in pool], items, settings=settings, **sifting)
    return rank(sifted, query, settings=settings, **{"count_tokens": lambda _: 1} | more)


def kept(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.item.id for hit in hits if hit.kept]


def test_what_repeats_the_items_taken_falls_back() -> None:
    """With λ below 1; with 1 relevance alone decides. The score says how near it was to what was taken."""
    pool = [
        (found("1", 0.90, unit(1.0, 0.1)), item("1")),
        (found("2", 0.89, unit(1.0, 0.11)), item("2")),
        (found("3", 0.80, unit(0.1, 1.0)), item("3")),
    ]
    assert kept(ranked(pool)) == ["1", "2", "3"]
    hits = ranked(pool, replace(PLAIN, mmr_lambda=0.3))
    assert kept(hits) == ["1", "3", "2"]
    assert hits[0].score.diversity == 0.0
    assert hits[2].score.diversity == pytest.approx(1.0, abs=1e-3)
    totals = [hit.score.total for hit in hits]
    assert totals == sorted(totals, reverse=True)


@given(
    st.lists(st.tuples(st.floats(0.2, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
def test_diversity_is_greedy_as_published(seen: list[tuple[float, float]], weight: float) -> None:
    """Each time the best of λ relevance less (1 - λ) nearness to what was taken; never better than before."""
    pool = [
        (found(f"{n:02}", dense, unit(angle, 1.0 - angle)), item(f"{n:02}"))
        for n, (dense, angle) in enumerate(seen)
    ]
    query = replace(QUERY, k=4)
    relevance = {hit.item.id: hit.score.total for hit in ranked(pool, replace(PLAIN, shortlist=3), query)}
    hits = ranked(pool, replace(PLAIN, mmr_lambda=weight), query)
    vectors = {one.id: one.vector for one, _ in pool}
    left, taken = dict(relevance), []
    for hit in hits:
        if not hit.kept:
            continue
        values = {}
        for name, value in left.items():
            near = [float(vectors[name] @ vectors[other]) for other in taken]  # type: ignore[operator]
            values[name] = weight * value - (1.0 - weight) * max([0.0, *near])
        assert values[hit.item.id] == pytest.approx(max(values.values()), abs=1e-5)
        taken.append(hit.item.id)
        del left[hit.item.id]


def test_one_principal_fills_no_more_than_its_share() -> None:
    """However near its items are; the others' come in instead, and an only principal still gets one in."""
    pool = [(found(str(n), 0.9 - n / 100), item(str(n), author="eve")) for n in range(4)]
    pool += [(found(str(n), 0.5 - n / 100), item(str(n), author=f"user {n}")) for n in range(4, 7)]
    assert kept(ranked(pool)) == ["0", "1", "2"]
    hits = ranked(pool, replace(PLAIN, principal_share=0.34))
    assert kept(hits) == ["0", "4", "5"]
    assert [hit.fate for hit in hits if hit.item.author == "eve"] == ["kept", *["principal"] * 3]
    alone = ranked(pool[:4], replace(PLAIN, principal_share=0.01))
    assert kept(alone) == ["0"]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.2, 1.0)), max_size=15),
    st.integers(1, 6),
    st.floats(0.0, 0.99),
)
def test_no_principal_ever_exceeds_its_share(said: list[tuple[str, float]], k: int, share: float) -> None:
    """For any pool: at most share times k, one at least."""
    pool = [(found(str(n), dense), item(str(n), author=name)) for n, (name, dense) in enumerate(said)]
    hits = ranked(pool, replace(PLAIN, principal_share=share), replace(QUERY, k=k))
    authors = [hit.item.author for hit in hits if hit.kept]
    assert all(authors.count(name) <= max(1, share * k + 1e-6) for name in authors)


def test_of_equals_the_newer_comes_first_and_age_never_outweighs_fit() -> None:
    """Halved every half-life, bounded by its weight, judged at the time of asking."""
    at = QUERY.at or 0.0
    old, new = item("1", at=at - 30 * DAY), item("2", at=at)
    settings = replace(PLAIN, recency_weight=0.1)
    hits = ranked([(found("1", 0.5), old), (found("2", 0.5), new)], settings)
    assert [(hit.item.id, hit.score.recency) for hit in hits] == [("2", 1.0), ("1", 0.5)]
    assert hits[0].score.total - hits[1].score.total == pytest.approx(0.05)
    assert kept(ranked([(found("1", 0.6), old), (found("2", 0.5), new)], settings)) == ["1", "2"]
    future = ranked([(found("1", 0.5), item("1", at=at)), (found("2", 0.5), new)], settings)
    assert {hit.score.recency for hit in future} == {1.0}


def test_a_cross_encoder_decides_what_is_similar() -> None:
    """It reads the nearest, its order makes the short list, its score is kept; floors go before it."""
    pool = [(found(str(n), 0.9 - n / 100), item(str(n))) for n in range(6)]
    pool.append((found("6", 0.01), item("6")))
    read: list[str] = []

    def rerank(texts: Any) -> list[float]:
        read.extend(texts)
        return [float(text[-1]) for text in texts]

    query = replace(QUERY, k=1)
    hits = ranked(pool, replace(PLAIN, rerank_pool=5, shortlist=2), query, rerank=rerank)
    assert read == [f"the mug is in cabinet {n}" for n in range(5)]
    assert [(hit.item.id, hit.fate) for hit in hits[:3]] == [("4", "kept"), ("3", "limit"), ("2", "limit")]
    assert [hit.score.rerank for hit in hits] == [4.0, 3.0, 2.0, 1.0, 0.0, None, None]
    assert hits[-1].fate == "floor"
    assert ranked([], PLAIN, query, rerank=rerank) == ()


def test_only_what_could_be_taken_is_counted() -> None:
    """Counting takes time: duplicates, capped and surplus items cost nothing."""
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return 1

    pool = [(found(str(n), 0.9 - n / 100), item(str(n))) for n in range(9)]
    pool[1] = (pool[1][0], item("1", text="the mug is in cabinet 0"))
    hits = ranked(pool, PLAIN, replace(QUERY, k=2), count_tokens=count, show=lambda one: one.id)
    assert counted == ["0", "2"]
    assert [hit.fate for hit in hits][:3] == ["kept", "duplicate", "kept"]
    assert [hit.tokens for hit in hits] == [1, 0, 1, *[0] * 6]


@given(st.permutations(range(8)), st.sampled_from([0.4, 1.0]))
def test_the_order_of_candidates_does_not_matter(order: list[int], weight: float) -> None:
    """Ties are broken by id; so a replay, which finds them in another order, gives the same."""
    pool = [
        (found(str(n), 0.5, unit(n % 3, 1.0)), item(str(n), utility=Utility(n=n % 2, reward_sum=0.0)))
        for n in range(8)
    ]
    settings = RecallSettings(mmr_lambda=weight)
    assert ranked([pool[place] for place in order], settings) == ranked(pool, settings)
