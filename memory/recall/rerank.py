"""Reading question and text together: cross-encoders. Loads torch only when it is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.errors import EncoderError

BATCH = 32


class Reranker(Protocol):
    """Says how well texts answer a question, better and slower than vectors do."""

    @property
    def name(self) -> str:
        """Goes into the record of a recall: scores of two rerankers are never compared."""
        ...

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """One score a text (n,), higher is better; the same for the same texts in the same order.

        Thread-safe. Raises EncoderError.
        """
        ...


class CrossReranker:
    """A sentence-transformers CrossEncoder with one output, by folder or name; loaded at its first use."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._model: Any = None
        self._lock = Lock()

    @property
    def name(self) -> str:
        """Its folder or name."""
        return self._source

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """What the model says, at most BATCH pairs at a time."""
        with self._lock:
            if self._model is None:
                self._model = _load(self._source)
            pairs = [(query, text) for text in texts]
            made = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False) if pairs else []
        scores = np.asarray(made, dtype=np.float64)
        if scores.size != len(texts):
            raise EncoderError(f"the reranker {self._source!r} gives {scores.shape} for {len(texts)} texts")
        return scores.reshape(len(texts))


def _load(source: str) -> Any:
    # A folder on disk needs no hub; asking it would add seconds and fail without a network.
    if Path(source).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import torch
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise EncoderError(f"the reranker {source!r} needs sentence-transformers: {error}") from error
    torch.set_num_threads(1)
    try:
        return CrossEncoder(source, device="cpu")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"the reranker {source!r} cannot be loaded ({type(error).__name__}): use the folder or name of a "
            "sentence-transformers cross-encoder that is on this machine, or none"
        ) from error
