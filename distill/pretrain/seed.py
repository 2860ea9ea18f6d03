"""A start from which copying is learnt in minutes: two attention layers seeded as an induction circuit.

Reading memory is copying: after `mug is at`, find the earlier `mug is at` and say what followed. Transformers
find this circuit by themselves late and suddenly; on one CPU core it had not appeared after fifteen minutes.
Seeding it is an initialisation like any other: nothing is frozen, and training is free to undo it.

Source: the circuit of Olsson et al. 2022 (arXiv 2209.11895); structured initialisation after Trockman and
Kolter 2023 (arXiv 2305.09828). Deviations: layer 0 attends by position alone, through biases under RoPE, and
layer 1 matches only in the slow RoPE dimensions, where the distance between two places does not turn it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import LlamaForCausalLM

_HEADS = 2
"""Seeded heads per layer; the others start at random."""
_SHARP = 6.0
"""Size of the positional biases: 95 % of the attention goes to the token before."""
_FAST = 6
"""How many of the fastest RoPE frequencies tell positions apart."""
_REACH = 300.0
"""A frequency is slow when it turns less than one radian over this many tokens."""
_MATCH = 2.0
_WRITE = 0.03
"""Size of what is written to the residual stream, like that of the embeddings."""


def seed_induction(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Overwrite two heads of layer 0 (look one token back) and two of layer 1 (find the same, copy on)."""
    width = model.config.hidden_size
    size = width // model.config.num_attention_heads
    theta = model.config.rope_parameters["rope_theta"]
    frequencies = theta ** (-torch.arange(0, size, 2).float() / size)  # (size / 2,)
    slow = [i for i in range(size // 2) if frequencies[i] < 1 / _REACH]
    matched = slow + [i + size // 2 for i in slow]
    read, carry, copy = (_orthonormal(_HEADS * size, width, generator) for _ in range(3))  # (2 size, width)
    back, find = (model.model.layers[i].self_attn for i in (0, 1))
    with torch.no_grad():
        for head in range(_HEADS):
            rows = slice(head * size, (head + 1) * size)
            back.q_proj.weight[rows] *= 0.05
            back.k_proj.weight[rows] *= 0.05
            back.q_proj.bias[rows], back.k_proj.bias[rows] = _one_back(frequencies, size)
            back.v_proj.weight[rows] = read[rows]
            back.o_proj.weight[:, rows] = _WRITE * carry[rows].T
            find.q_proj.weight[rows] = _match(read[rows], matched) + 0.2 * find.q_proj.weight[rows]
            find.k_proj.weight[rows] = _match(carry[rows], matched) + 0.2 * find.k_proj.weight[rows]
            find.v_proj.weight[rows] = copy[rows]
            find.o_proj.weight[:, rows] = _WRITE * copy[rows].T


def seed_phrases(model: LlamaForCausalLM, vocabulary: Mapping[str, int]) -> None:
    """Start a phrase such as `cabinet 3` as half itself, half its words: kinds and numbers show at once."""
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        for phrase, row in vocabulary.items():
            words = [vocabulary[word] for word in phrase.split() if word in vocabulary]
            if len(words) > 1:
                shared = table[words].sum(0) * (0.5 / len(words)) ** 0.5  # (width,)
                table[row] = 0.5**0.5 * table[row] + shared


def _orthonormal(rows: int, width: int, generator: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=generator))[0][:rows]


def _one_back(frequencies: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Query and key biases (size,) whose rotated product is largest one position back."""
    query, key = torch.zeros(size), torch.zeros(size)
    fast = frequencies[:_FAST]
    query[:_FAST] = _SHARP * torch.cos(-fast)
    query[size // 2 : size // 2 + _FAST] = _SHARP * torch.sin(-fast)
    key[:_FAST] = _SHARP
    return query, key


def _match(basis: torch.Tensor, dims: list[int]) -> torch.Tensor:
    """A projection (size, width) that uses only the given dimensions of the head."""
    weight = torch.zeros_like(basis)
    weight[dims] = _MATCH * basis[: len(dims)]
    return weight
