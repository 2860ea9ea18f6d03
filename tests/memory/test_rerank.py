"""A cross-encoder orders the short list: a real one, tiny and untrained, without a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from memory.errors import EncoderError
from memory.recall.choosing import RecallSettings
from memory.recall.rerank import CrossReranker

Saying = Any
WORDS = ["where", "is", "the", "mug", "plate", "in", "cabinet", "sink", "1", "2", "3", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved BERT of one layer with one output."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    target = tmp_path_factory.mktemp("cross")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (target / "vocab.txt").write_text("\n".join([*special, *WORDS]), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=1,
        initializer_range=1.0,
    )
    BertForSequenceClassification(config).save_pretrained(target)
    BertTokenizerFast(str(target / "vocab.txt")).save_pretrained(target)
    return target


class Counting:
    """Scores by the last word of a text, and counts."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        self.asked.append(len(texts))
        return np.array([float(text.split()[-1]) for text in texts])


def test_a_cross_encoder_reads_question_and_text(folder: Path) -> None:
    """One score a text, the same every time; order of texts is theirs."""
    reranker = CrossReranker(str(folder))
    texts = ["the mug is in cabinet 1", "the plate is in the sink", "mug"]
    scores = reranker.scores("where is the mug", texts)
    assert scores.shape == (3,)
    assert scores.dtype == np.float64
    assert len(set(scores.tolist())) == 3
    assert (reranker.scores("where is the mug", texts) == scores).all()
    assert (CrossReranker(str(folder)).scores("where is the mug", texts) == scores).all()
    assert (reranker.scores("where is the plate", texts) != scores).any()
    assert reranker.scores("where", []).shape == (0,)


def test_recall_is_ordered_by_it_and_replays_with_it(
    folder: Path, open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """Its score is among the parts, its name in the record; another one, or none, cannot replay."""
    memory = open_memory(reranker=CrossReranker(str(folder)))
    say = say_to(memory)
    say.remember(*(say.case(f"the mug is in cabinet {n}") for n in range(1, 5)))
    recall = say.recall("where is the mug", k=2)
    scored = [hit.score.rerank for hit in recall.candidates]
    assert None not in scored
    assert scored[:2] == sorted(scored, reverse=True)[:2]
    assert recall.record().reranker == str(folder)
    say.remember(say.case("the mug is in the sink"))
    assert memory.replay(recall.record(), count_tokens=count_tokens) == recall
    memory.close()
    with pytest.raises(EncoderError, match="made with reranker"):
        open_memory().replay(recall.record(), count_tokens=count_tokens)


def test_only_the_nearest_are_read(open_memory: Any, say_to: Callable[..., Saying]) -> None:
    """Reading is slow: as many as the settings say, once a recall, none when nothing was found."""
    reranker = Counting()
    memory = open_memory(reranker=reranker, settings=replace(RecallSettings(), rerank_pool=5, shortlist=2))
    say = say_to(memory)
    say.remember(*(say.case(f"the mug is in cabinet {n}") for n in range(9)))
    recall = say.recall("where is the mug", k=1)
    assert reranker.asked == [5]
    assert max(hit.score.rerank or 0.0 for hit in recall.candidates) == recall.hits[0].score.rerank
    say.recall("photosynthesis")
    assert reranker.asked == [5]


def test_a_missing_cross_encoder_is_named_with_the_remedy(tmp_path: Path) -> None:
    """When it is first asked."""
    with pytest.raises(EncoderError, match=r"gone' cannot be loaded .*or none"):
        CrossReranker(str(tmp_path / "gone")).scores("mug", ["mug"])
