"""Texts to unit vectors; torch is imported only when a model encodes."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from memory.entry import Matrix, Vector
from memory.errors import EncoderError
from memory.minilm import MiniLm
from memory.words import STOP_WORDS, plain_words

CACHE_SIZE = 4096
BATCH = 32
TOGETHER = 8
"""Most threads whose texts are encoded at once: more are hardly cheaper, and all wait for the last."""
BUCKETS = 4
"""Signed buckets per feature of the hash encoder."""


class Encoder(Protocol):
    """Makes texts comparable by cosine."""

    @property
    def generation(self) -> str:
        """Name of the vectors it makes; vectors of two generations are never compared."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def floor(self) -> float:
        """Cosine under which two texts have nothing to do with each other."""
        ...

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (n, dim) float32, one a text. Raises EncoderError. Thread-safe."""
        ...


class HashEncoder:
    """Feature hashing of words and word pairs: no model, no download, the same everywhere.

    Source: Weinberger et al. 2009, arXiv 0902.2206, §2. Deviations: each feature goes to four signed buckets,
    so that no single collision makes two texts alike; counts are damped by a square root; vectors are unit.
    """

    def __init__(self, dim: int = 1024) -> None:
        self._dim = dim

    @property
    def generation(self) -> str:
        """Names the hash and its width."""
        return f"hash-{self._dim}-1"

    @property
    def dim(self) -> int:
        """Number of buckets."""
        return self._dim

    @property
    def floor(self) -> float:
        """About one content word in common."""
        return 0.1

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (n, dim) float32; a text without words is the first basis vector."""
        matrix = np.zeros((len(texts), self._dim), dtype=np.float32)
        for row, text in zip(matrix, texts, strict=True):
            found = _features(text)
            for feature in (*found, *(f"{a} {b}" for a, b in pairwise(found))):
                digest = blake2b(feature.encode("utf-8", "replace"), digest_size=8 * BUCKETS).digest()
                for value in struct.unpack(f">{BUCKETS}Q", digest):
                    row[(value >> 1) % self._dim] += 1.0 if value & 1 else -1.0
            row[:] = np.sign(row) * np.sqrt(np.abs(row))
            length = float(np.linalg.norm(row))
            if length == 0.0:
                row[0] = length = 1.0
            row /= length
        return matrix


def _features(text: str) -> list[str]:
    """Words with plurals cut at the last s, stop words left out; a change here is a new generation."""
    found = [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in plain_words(text)
    ]
    return [word for word in found if word not in STOP_WORDS] or found


class SentenceEncoder:
    """A sentence-transformers model, loaded at the first use unless given; one thread, for equal vectors."""

    def __init__(
        self, source: str, *, generation: str, dim: int, floor: float = 0.25, model: Any = None
    ) -> None:
        self._source = source
        self._generation = generation
        self._dim = dim
        self._floor = floor
        self._model = model
        self._lock = Lock()

    @property
    def generation(self) -> str:
        """Names the model and its width."""
        return self._generation

    @property
    def dim(self) -> int:
        """Width of the model's vectors."""
        return self._dim

    @property
    def floor(self) -> float:
        """Measured for MiniLM: unrelated English sentences lie below it."""
        return self._floor

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (n, dim) float32. Raises EncoderError when the model cannot be loaded."""
        with self._lock:
            if self._model is None:
                self._model = _load(self._source)
            made = self._model.encode(
                list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        matrix: Matrix = np.asarray(made, dtype=np.float32).reshape(len(texts), -1)
        if matrix.shape[1] != self._dim:
            raise EncoderError(
                f"{self._source!r} makes vectors of {matrix.shape[1]}, not {self._dim}, numbers"
            )
        return matrix


class _Wanted:
    """Texts of one thread that waits for their vectors."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.made: Sequence[Vector] | None = None


class CachedEncoder:
    """Remembers recent vectors; encodes together, at half the cost, what several threads wait for."""

    def __init__(self, encoder: Encoder, size: int = CACHE_SIZE) -> None:
        self._encoder = encoder
        self._size = size
        self._kept: OrderedDict[tuple[bool, str], Vector] = OrderedDict()
        self._lock = Lock()
        self._waiting: list[_Wanted] = []
        self._turn = Lock()

    @property
    def inner(self) -> Encoder:
        """The encoder behind it."""
        return self._encoder

    def clear(self) -> None:
        """Remember nothing."""
        with self._lock:
            self._kept.clear()

    def query(self, text: str) -> Vector:
        """Vector (dim,) of one question."""
        return self._lookup([(True, text)])[0]

    def items(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors (dim,) of texts to be remembered."""
        return self._lookup([(False, text) for text in texts])

    def _lookup(self, keys: list[tuple[bool, str]]) -> list[Vector]:
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            found.update(zip(missing, self._made([text for _, text in missing]), strict=True))
        with self._lock:
            for key in keys:
                self._kept[key] = found[key]
                self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return [found[key] for key in keys]

    def _made(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Vectors of texts, made by this thread for all that wait, or by one that was before it."""
        mine = _Wanted(texts)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if mine.made is None:
                with self._lock:
                    now, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                    others = [one for one in now if one is not mine]
                try:
                    self._encode([mine, *others])
                except EncoderError:
                    # Not each one's fault: the others try again in their turn.
                    self._encode([mine])
        assert mine.made is not None
        return mine.made

    def _encode(self, now: Sequence[_Wanted]) -> None:
        made = iter(self._encoder.encode([text for one in now for text in one.texts]))
        for one in now:
            one.made = [next(made) for _ in one.texts]


def open_encoder(name: str) -> Encoder:
    """An encoder by name: `minilm` (bundled), `hash` or `hash-256`, a sentence-transformers name or folder.

    Raises EncoderError naming the remedy. `minilm` is loaded at its first use; a model by name is loaded
    here, for its width is not known before.
    """
    if name == "hash":
        return HashEncoder()
    if (width := name.removeprefix("hash-")) != name and width.isdecimal() and int(width) > 0:
        return HashEncoder(int(width))
    if name == "minilm":
        return MiniLm()
    model = _load(name)
    dim = int(model.encode(["width"], show_progress_bar=False).shape[1])
    label = _fingerprint(Path(name)) if Path(name).is_dir() else name
    return SentenceEncoder(name, generation=f"{label}-{dim}-1", dim=dim, model=model)


def _fingerprint(folder: Path) -> str:
    """Folders are called anything; what is in them decides whether vectors may meet."""
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(1 << 20))
    return digest.hexdigest()[:12]


def _load(source: str) -> Any:
    # A folder on disk needs no hub; asking it would add seconds and fail without a network.
    if Path(source).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EncoderError(
            f"the encoder {source!r} needs sentence-transformers and torch: {error}"
        ) from error
    torch.set_num_threads(1)
    try:
        model = SentenceTransformer(source, device="cpu")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"the encoder {source!r} cannot be loaded ({type(error).__name__}): use 'minilm', 'hash', "
            "or the folder or name of a sentence-transformers model that is on this machine"
        ) from error
    return model.eval()
