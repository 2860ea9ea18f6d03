"""A large index finds nearly what an exact one finds: words to the bit, neighbours with few lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.entry import Entry, Matrix, digest_of
from memory.errors import IndexCorrupt
from memory.index import inverted, lexicon
from memory.index.ask import Ask, Searched
from memory.index.bm25 import Corpus
from memory.index.building import Builder, merged
from memory.index.inverted import Inverted, Term, invert
from memory.index.layers import Layers
from memory.index.lexicon import Lexicon
from memory.index.segment import Content, open_segment, write
from memory.index.shelf import Shelf
from memory.index.vectors import Cells

DIM = 32
KINDS = ("case", "procedure")
WORDS = [f"w{n}" for n in range(60)]
ODDS = 1.0 / np.arange(1, len(WORDS) + 1)
ODDS /= ODDS.sum()


def clustered(n: int, seed: int = 0) -> Matrix:
    """Unit vectors (n, DIM) round a few dozen centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, DIM))
    made = centres[rng.integers(0, 40, n)] + 0.5 * rng.normal(size=(n, DIM))
    unit: Matrix = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def entries_of(n: int, seed: int = 0, prefix: str = "e") -> list[Entry]:
    """Entries of which some are confined, some of another kind, and one in ten has no vector."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, vector in enumerate(clustered(n, seed)):
        text = " ".join(rng.choice(WORDS, int(rng.integers(2, 12)), p=ODDS))
        reach = None if place % 3 else f"family:{place % 5}"
        kind = ("case", "procedure", "principle")[place % 7 % 3]
        kept = vector if place % 10 else None
        rows.append(Entry(f"{prefix}{place}", kind, text, reach, digest_of(f"{prefix}{place}"), kept))  # type: ignore[arg-type]
    return rows


def chunked(rows: Iterable[Entry]) -> Shelf:
    shelf = Shelf(DIM)
    shelf.put(rows)
    return shelf


def built(rows: list[Entry]) -> Content:
    builder = Builder(np.stack([row.vector for row in rows if row.vector is not None]), len(rows))
    for start in range(0, len(rows), 400):
        builder.add(chunked(rows[start : start + 400]).chunk())
    return builder.content()


def on_disk(content: Content, folder: Path) -> Layers:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(content, folder)
    return Layers(open_segment(folder, n_probe=content.cells.n_probe, n_trained=content.n_trained), DIM)


def ask(vector: Matrix, text: str = "", reaches: Iterable[str] = (), n: int = 16) -> Ask:
    return Ask(vector, text, KINDS, frozenset(reaches), n)


def nearest(searched: Searched, n: int = 10) -> list[str]:
    scored = sorted((-one.dense, one.id) for one in searched.found if one.dense is not None)
    return [id_ for _, id_ in scored[:n]]


RARE = [
    Entry(f"rare{n}", "flow", "w1", "run:1", digest_of(f"rare{n}"), vector)
    for n, vector in enumerate(clustered(12, seed=4))
]
ROWS = [*entries_of(2988), *RARE]


@pytest.fixture(scope="module")
def content() -> Content:
    return built(ROWS)


@pytest.fixture
def layers(content: Content, tmp_path: Path) -> Layers:
    return on_disk(content, tmp_path / "segment")


@pytest.mark.parametrize("every", [1, 3])
def test_whoever_asks_for_all_gets_all(every: int) -> None:
    """However few cells are looked at otherwise; also of those alone that may be seen."""
    vectors = np.random.default_rng(0).standard_normal((400, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cells = Cells.train(vectors, len(vectors))
    cells.add(vectors, np.arange(len(vectors)))
    wanted = np.arange(len(vectors)) % every == 0
    bits = np.packbits(wanted, bitorder="little")
    _, some = cells.search(vectors[1], 10, bits, 1 / every)
    _, found = cells.search(vectors[1], int(wanted.sum()), bits, 1 / every)
    assert len(some) == 10
    assert set(found.tolist()) == set(np.flatnonzero(wanted).tolist())


@pytest.mark.parametrize("reaches", [(), ("family:1", "family:nobody"), ("family:0", "family:3")])
def test_few_neighbours_are_lost(layers: Layers, reaches: tuple[str, ...]) -> None:
    """Recall@10 of the exact search is .95 at least, with and without confined rows; cosines are near."""
    exact, view = chunked(ROWS), layers
    cosines = {}
    shared = 0
    for vector in clustered(50, seed=1):
        truth = exact.search(ask(vector, reaches=reaches))
        cosines = {one.id: one.dense for one in truth.found}
        got = view.search(ask(vector, reaches=reaches))
        assert not got.exact
        assert all(
            one.dense == pytest.approx(cosines[one.id], abs=5e-3) for one in got.found if one.id in cosines
        )
        shared += len(set(nearest(truth)) & set(nearest(got)))
    assert shared >= 0.95 * 500


def test_a_rare_reach_is_searched_whole(layers: Layers) -> None:
    """Of few visible rows none is lost, however far they are from the question."""
    for vector in clustered(5, seed=5):
        found = layers.search(Ask(vector, "", ("flow",), frozenset({"run:1"}), 20)).found
        assert {one.id for one in found} == {f"rare{n}" for n in range(12)}
        hidden = layers.search(Ask(vector, "w1", ("flow",), frozenset({"run:2"}), 20))
        assert hidden.found == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.integers(1, 40), st.integers(0, 2**16))
def test_the_best_by_words_are_exactly_the_best(asked: list[str], n: int, seed: int) -> None:
    """Skipping the common words of a question changes no score among the best, with any rows hidden."""
    grown, stored, lengths = _corpus_of_words()
    words = sorted(set(asked))
    corpus, terms = _asked(words)
    mask = np.random.default_rng(seed).random(len(lengths)) < 0.7
    scores, coverage = grown.scores(words, mask, lengths, corpus)
    room = np.zeros(len(lengths))
    bits = np.packbits(mask, bitorder="little")
    rows = np.sort(stored.best(terms, corpus, room, bits, n))
    assert not room.any()
    assert mask[rows].all()
    assert len(rows) == min(n, int((scores > 0.0).sum()))
    best = np.sort(scores[scores > 0.0])[::-1][:n]
    assert np.allclose(np.sort(scores[rows])[::-1][: len(best)], best, rtol=1e-12)
    again, covered = stored.scores(terms, corpus, rows)
    assert again.tolist() == scores[rows].tolist()
    assert np.allclose(covered, coverage[rows], rtol=1e-12)


@cache
def _corpus_of_words() -> tuple[Lexicon, Inverted, np.ndarray]:
    rng = np.random.default_rng(0)
    grown, lengths = Lexicon(), []
    for row in range(3000):
        said = rng.choice(WORDS, int(rng.integers(1, 30)), p=ODDS).tolist()
        grown.add(row, said)
        lengths.append(len(said))
    counted = np.array(lengths, dtype=np.int32)
    return grown, invert(grown.postings(), counted), counted


def _asked(words: list[str]) -> tuple[Corpus, list[Term]]:
    _, stored, lengths = _corpus_of_words()
    places = stored.places(words)
    holding = dict(zip(words, stored.holding(places), strict=True))
    corpus = Corpus(len(lengths), int(lengths.sum()), holding)
    return corpus, stored.terms(words, places, corpus)


def test_of_equal_rows_the_newest_are_taken() -> None:
    """As many as were asked for, though thousands say the same."""
    grown = Lexicon()
    for row in range(5000):
        grown.add(row, ["mug"])
    stored = invert(grown.postings(), np.ones(5000, dtype=np.int32))
    places = stored.places(["mug"])
    corpus = Corpus(5000, 5000, {"mug": 5000})
    rows = stored.best(stored.terms(["mug"], places, corpus), corpus, np.zeros(5000), None, 8)
    assert sorted(rows.tolist()) == list(range(4992, 5000))


def test_very_common_words_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of rows read, the newest are, and nothing breaks."""
    _, stored, lengths = _corpus_of_words()
    monkeypatch.setattr(inverted, "SCAN", 500)
    monkeypatch.setattr(inverted, "WORTH", 10)
    corpus, terms = _asked(WORDS[:3])
    rows = stored.best(terms, corpus, room := np.zeros(len(lengths)), None, 8)
    assert len(rows) >= 8
    assert rows.min() > 1000
    assert not room.any()


def test_words_of_both_layers_weigh_the_same(layers: Layers, tmp_path: Path) -> None:
    """The same rows in one segment, or half of them in the tail, give the same words' scores."""
    half = on_disk(built(ROWS[:1500]), tmp_path / "half")
    half.put(ROWS[1500:])
    for text in ("w3 w40", "w1 w2 w59", "w0"):
        question = ask(ROWS[1].vector, text, n=3000)  # type: ignore[arg-type]
        one, other = (
            {found.id: found.lexical for found in index.search(question).found} for index in (layers, half)
        )
        assert {id_ for id_, score in one.items() if score} == {id_ for id_, score in other.items() if score}
        assert one == pytest.approx({id_: other.get(id_, one[id_]) for id_ in one})


def test_what_was_dropped_or_replaced_is_gone_at_once(layers: Layers) -> None:
    """Rows of the segment and of the tail alike; unknown ids do no harm."""
    moved = Entry("e1", "case", "zebra", None, digest_of("new"), clustered(1, seed=9)[0])
    layers.put([moved])
    layers.drop(["e2", "e4", "nobody"])
    assert len(layers) == len(ROWS) - 2
    view = layers
    assert nearest(view.search(ask(moved.vector)))[0] == "e1"  # type: ignore[arg-type]
    assert {one.id for one in view.search(ask(ROWS[5].vector, "zebra")).found if one.lexical} == {"e1"}  # type: ignore[arg-type]
    everything = view.search(Ask(ROWS[1].vector, "w0", KINDS, frozenset(), 4000))  # type: ignore[arg-type]
    assert {"e2", "e4"}.isdisjoint(one.id for one in everything.found)
    layers.drop(["e1"])
    assert "e1" not in nearest(view.search(ask(moved.vector)))  # type: ignore[arg-type]


def test_what_comes_after_a_segment_is_found_at_once(layers: Layers) -> None:
    """A fresh row is the first hit for its own vector."""
    fresh = entries_of(200, seed=3, prefix="f")
    for row in fresh:
        layers.put([row])
        if row.vector is not None and row.kind in KINDS and row.reach is None:
            view = layers
            assert nearest(view.search(ask(row.vector)))[0] == row.id


def test_a_merge_keeps_the_living_and_nothing_else(layers: Layers, tmp_path: Path) -> None:
    """Segment and tail become one segment that answers as they did together."""
    fresh = entries_of(500, seed=3, prefix="f")
    layers.put(fresh)
    layers.put([Entry("e7", "case", "w1 zebra", None, digest_of("e7b"), clustered(1, seed=8)[0])])
    layers.drop([f"e{n}" for n in range(0, 900, 2)] + ["f3"])
    whole = merged(layers.segment, layers.segment.visible.alive, layers.tail.chunk())
    again = on_disk(whole, tmp_path / "merged")
    assert len(again) == len(layers) == again.segment.n_rows
    shared = 0
    for vector in clustered(40, seed=2):
        question = ask(vector, reaches=("family:1",))
        before = set(nearest(layers.search(question)))
        shared += len(before & set(nearest(again.search(question))))
    assert shared >= 0.95 * 400
    found = again.search(Ask(ROWS[1].vector, "zebra", KINDS, frozenset(), 5)).found  # type: ignore[arg-type]
    assert {one.id for one in found if one.lexical} == {"e7"}


def test_a_segment_without_any_vector_is_found_by_words(tmp_path: Path) -> None:
    """Items of another generation have none yet."""
    rows = [Entry(f"{n}", "case", f"mug {n}", None, digest_of(f"{n}"), None) for n in range(50)]
    builder = Builder(np.zeros((0, DIM), dtype=np.float32), 50)
    builder.add(chunked(rows).chunk())
    view = on_disk(builder.content(), tmp_path / "bare")
    found = view.search(ask(clustered(1)[0], "17")).found
    assert [(one.id, one.dense) for one in found] == [("17", None)]


def test_ids_of_any_shape_come_back(tmp_path: Path) -> None:
    """Long, short and not ASCII."""
    names = ["é" * 40, "a", "x" * 500, "🙂"]
    rows = [Entry(name, "case", "mug", None, digest_of(name), clustered(1)[0]) for name in names]
    layers = on_disk(built(rows), tmp_path / "odd")
    assert set(nearest(layers.search(ask(clustered(1)[0])))) == set(names)
    layers.drop(["é" * 40])
    assert len(layers) == 3


def test_files_that_do_not_fit_together_are_refused(content: Content, tmp_path: Path) -> None:
    """A missing file, and cells of another segment."""
    on_disk(content, tmp_path / "one")
    on_disk(built(ROWS[:500]), tmp_path / "two")
    shutil.copy(tmp_path / "two" / "cells.faiss", tmp_path / "one" / "cells.faiss")
    with pytest.raises(IndexCorrupt, match="vectors"):
        open_segment(tmp_path / "one", n_probe=8, n_trained=3000)
    (tmp_path / "two" / "table-kinds.npy").unlink()
    with pytest.raises(IndexCorrupt, match="cannot be read"):
        open_segment(tmp_path / "two", n_probe=8, n_trained=500)


def test_postings_are_moved_and_joined() -> None:
    """Dropping and renumbering rows keeps the rest in order."""
    one, two = Lexicon(), Lexicon()
    for row, said in enumerate([["a", "b"], ["b", "b"], ["c"]]):
        one.add(row, said)
    two.add(0, ["b", "d"])
    kept = lexicon.kept(one.postings(), np.array([0, -1, 1]))
    joined = lexicon.joined([kept, two.postings()], [0, 2])
    where = {
        int(term): joined.rows[joined.starts[n] : joined.starts[n + 1]].tolist()
        for n, term in enumerate(joined.terms)
    }
    assert where == {
        lexicon.hash_of("a"): [0],
        lexicon.hash_of("b"): [0, 2],
        lexicon.hash_of("c"): [1],
        lexicon.hash_of("d"): [2],
    }


@pytest.mark.slow
def test_at_real_size_few_neighbours_are_lost(tmp_path: Path) -> None:
    """40,000 vectors of 384 numbers: recall@10 against every vector compared, and a tail beside the cells."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(300, 384))
    made = centres[rng.integers(0, 300, 40_100)] + 2.0 * rng.normal(size=(40_100, 384))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    rows = [
        Entry(f"{n}", "case", f"mug {n}", None, digest_of(f"{n}"), vector)
        for n, vector in enumerate(vectors[:40_000])
    ]
    shelf = Shelf(384)
    shelf.put(rows[:35_000])
    chunk = shelf.chunk()
    builder = Builder(chunk.matrix, 40_000)
    builder.add(chunk)
    content = builder.content()
    (tmp_path / "real").mkdir()
    write(content, tmp_path / "real")
    segment = open_segment(tmp_path / "real", n_probe=content.cells.n_probe, n_trained=content.n_trained)
    layers = Layers(segment, 384)
    layers.put(rows[35_000:])
    view, shared = layers, 0
    for vector in vectors[40_000:]:
        truth = {str(row) for row in np.argpartition(-(vectors[:40_000] @ vector), 10)[:10]}
        shared += len(truth & set(nearest(view.search(ask(vector, n=32)))))
    assert shared >= 0.95 * 1000
    assert content.cells.n_probe < 0.2 * 4 * 200
