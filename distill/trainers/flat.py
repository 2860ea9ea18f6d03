"""Ragged rows as one long sequence without padding, in which no row sees another.

Attention runs over each row by itself, so neither a mask of (T, T) nor a kernel for ragged batches is needed:
the same on a CPU and on a GPU. Positions begin anew with each row, and only what is trained reaches the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from memory.errors import DistillError

_SEGMENTS = "segments"


@dataclass(frozen=True, slots=True)
class FlatCollator:
    """Rows of a table, one after another.

    Columns `input_ids`, `loss_weights`; of answers that are judged as a whole also `worth`, `reference`.
    """

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """`input_ids`, `position_ids`, `labels` (1, T); `keep`, `owner`, `loss_weights` (K,): K are trained.

        `keep` is the place before each trained token, `owner` its row; `segments` are the rows' edges.
        """
        lengths = [len(example["input_ids"]) for example in examples]
        tokens = torch.tensor([token for example in examples for token in example["input_ids"]])
        weights = torch.tensor([weight for example in examples for weight in example["loss_weights"]])
        edges = (0, *accumulate(lengths))
        # Nothing stands before the first token of a row from which it could be told.
        weights[list(edges[:-1])] = 0.0
        trained = weights.nonzero().flatten()  # (K,)
        labels = torch.full_like(tokens, -100)
        labels[trained] = tokens[trained]
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))  # (T,)
        batch: dict[str, Any] = {
            "input_ids": tokens[None],
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
            "labels": labels[None],
            "keep": trained - 1,
            "owner": owner[trained],
            "loss_weights": weights[trained],
            "segments": edges,
        }
        return batch | _judged(examples, labels, edges)


def _judged(examples: Sequence[dict[str, Any]], labels: torch.Tensor, edges: Sequence[int]) -> dict[str, Any]:
    """`worth` and `reference` (B,) of answers; there rows are counted where else tokens are."""
    if "worth" not in examples[0]:
        return {}
    # The trainer divides by the labels of one update: one is left in each row.
    counted = torch.full_like(labels, -100)
    ends = torch.tensor(edges[1:]) - 1
    counted[ends] = 0
    return {
        "labels": counted[None],
        "worth": torch.tensor([example["worth"] for example in examples]),
        "reference": torch.tensor([example["reference"] for example in examples]),
    }


def target_logprobs(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probability of each trained token (K,) of a flat batch."""
    tokens, keep = batch["input_ids"], batch["keep"]
    logits = model(
        input_ids=tokens,
        position_ids=batch["position_ids"],
        segments=tuple(batch["segments"]),
        logits_to_keep=keep,
        use_cache=False,
    ).logits[0]  # (K, V)
    targets = tokens[0, keep + 1]
    return -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


@contextmanager
def by_segments(model: Any) -> Iterator[None]:
    """Within, the model's attention keeps to the `segments` it is called with.

    Raises DistillError where the model's attention cannot be exchanged.
    """
    AttentionInterface.register(_SEGMENTS, _attention)
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation(_SEGMENTS)
    except (ValueError, ImportError) as error:
        raise DistillError(
            f"this model cannot be trained with packing: {error}; set packing to false"
        ) from error
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    segments: tuple[int, ...] | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each segment; query (1, H, T, D), result (1, T, H, D)."""
    if segments is None:
        # Going on would let rows see each other.
        raise DistillError(
            "this model does not hand its attention what it is called with; set packing to false"
        )
    del attention_mask
    parts = [
        sdpa_attention_forward(
            module, query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], None, **settings
        )[0]
        for begin, end in pairwise(segments)
    ]
    return torch.cat(parts, dim=1), None
