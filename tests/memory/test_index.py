"""The derived index finds exactly what a search by hand finds."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.encoder import HashEncoder
from memory.entry import Entry, cosines, digest_of
from memory.index.ask import Ask, Searched
from memory.index.shelf import Shelf
from memory.words import content_words

DIM = 32
ENCODER = HashEncoder(DIM)
NOUNS = ["mug", "plate", "cabinet", "shelf", "1", "2", "3", "clean", "hot", "in", "the", "drawer", "lamp"]
words = st.sampled_from(NOUNS)
texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
families = st.sampled_from([None, "maple 7", "oak 2"])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    text = draw(texts)
    vector = ENCODER.encode([text])[0] if draw(st.integers(0, 9)) else None
    kind = draw(st.sampled_from(["case", "procedure", "principle"]))
    return Entry(draw(st.integers(0, 60)).__str__(), kind, text, draw(families), digest_of(text), vector)


def ask(text: str, family: str | None, n: int) -> Ask:
    return Ask(
        ENCODER.encode([text])[0], text, ("case", "procedure"), frozenset({family} if family else ()), n
    )


def shelf_of(rows: list[Entry]) -> Shelf:
    shelf = Shelf(DIM)
    shelf.put(rows)
    return shelf


def plain(searched: Searched) -> set[tuple[str, float | None, float | None, float]]:
    return {(one.id, one.dense, one.lexical, one.coverage) for one in searched.found}


def by_hand(rows: list[Entry], question: Ask) -> set[tuple[str, float | None, float | None, float]]:
    """BM25 and cosines over every visible row, with no index at all."""
    visible = sorted(
        (
            row
            for row in rows
            if row.kind in question.kinds and (row.reach is None or row.reach in question.reaches)
        ),
        key=lambda row: row.id,
    )
    said = {row.id: content_words(row.text) for row in visible}
    mean = sum(len(own) for own in said.values()) / len(visible) if visible else 0.0
    asked = sorted(set(content_words(question.text)))
    idf = {}
    for word in asked:
        seen = sum(word in own for own in said.values())
        idf[word] = math.log(1.0 + (len(visible) - seen + 0.5) / (seen + 0.5))
    scores: dict[str, tuple[float | None, float | None, float]] = {}
    for row in visible:
        own = said[row.id]
        bm25 = sum(
            idf[word] * own.count(word) * 2.2 / (own.count(word) + 1.2 * (0.25 + 0.75 * len(own) / mean))
            for word in asked
            if word in own
        )
        dense = None if row.vector is None else float(cosines(row.vector.reshape(1, -1), question.vector)[0])
        covered = sum(idf[word] for word in asked if word in own) / sum(idf.values())
        scores[row.id] = (dense, bm25 or None, covered)
    near = sorted((-dense, id_) for id_, (dense, _, _) in scores.items() if dense is not None)
    alike = sorted((-bm25, id_) for id_, (_, bm25, _) in scores.items() if bm25 is not None)
    best = {id_ for _, id_ in near[: question.n]} | {id_ for _, id_ in alike[: question.n]}
    return {(id_, *scores[id_]) for id_ in best}


def rounded(
    found: set[tuple[str, float | None, float | None, float]],
) -> set[tuple[str, float | None, float | None, float]]:
    return {
        (id_, dense, None if bm25 is None else round(bm25, 9), round(covered, 9))
        for id_, dense, bm25, covered in found
    }


@settings(max_examples=150)
@given(st.lists(entries(), max_size=40, unique_by=lambda row: row.id), texts, families)
def test_the_index_equals_a_search_by_hand(rows: list[Entry], text: str, family: str | None) -> None:
    """All candidates, with their scores; ties make no difference because everything is asked for."""
    question = ask(text, family, n=100)
    assert rounded(plain(shelf_of(rows).search(question))) == rounded(by_hand(rows, question))


@settings(max_examples=150)
@given(
    st.lists(entries(), max_size=60, unique_by=lambda row: row.id),
    st.lists(entries(), max_size=20, unique_by=lambda row: row.id),
    st.randoms(use_true_random=False),
    texts,
    families,
)
def test_the_past_of_a_shelf_does_not_matter(
    rows: list[Entry], replaced: list[Entry], random: object, text: str, family: str | None
) -> None:
    """However rows came, changed and went, the same living rows give the same bits: replays depend on it."""
    grown = Shelf(DIM)
    for row in replaced:
        grown.put([row])
    grown.drop([row.id for row in replaced[::2]])
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    grown.put(shuffled)
    living = {row.id: row for row in replaced} | {row.id: row for row in rows}
    for row in replaced[::2]:
        if row.id not in {kept.id for kept in rows}:
            del living[row.id]
    question = ask(text, family, n=3)
    assert plain(grown.search(question)) == plain(shelf_of(list(living.values())).search(question))
    assert len(grown) == len(living)


def test_many_equal_vectors_are_cut_by_id_alone() -> None:
    """A proposal of FAISS full of ties is widened until it holds the best for certain."""
    same = [Entry(f"{n:04d}", "case", "mug", None, "d", ENCODER.encode(["mug"])[0]) for n in range(500)]
    question = ask("mug", None, n=5)
    for rows in (same, same[::-1]):
        assert {one.id for one in shelf_of(rows).search(question).found} == {f"{n:04d}" for n in range(5)}


def test_a_shelf_of_dead_rows_is_rebuilt() -> None:
    """Thousands of forgotten rows do not stay in the way."""
    shelf = shelf_of(
        [Entry(str(n), "case", f"mug {n}", None, "d", ENCODER.encode(["mug"])[0]) for n in range(3000)]
    )
    shelf.drop(str(n) for n in range(2990))
    assert len(shelf) == 10
    assert {one.id for one in shelf.search(ask("mug", None, n=50)).found} == {
        str(n) for n in range(2990, 3000)
    }


def test_an_empty_shelf_answers_nothing() -> None:
    """No rows, and no row of the kind, are both fine."""
    assert Shelf(DIM).search(ask("mug", None, n=5)).found == ()
    lone = Entry("1", "principle", "mug", None, "d", ENCODER.encode(["mug"])[0])
    assert shelf_of([lone]).search(ask("mug", None, n=5)).found == ()


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_cosine_does_not_depend_on_its_company(n: int, seed: int) -> None:
    """A row scored alone and among others has the same bits."""
    matrix = np.random.default_rng(seed).normal(size=(n, 384)).astype(np.float32)
    together = cosines(matrix, matrix[0])
    alone = [cosines(matrix[row : row + 1], matrix[0])[0] for row in range(n)]
    assert together.tolist() == alone
