"""Telling models apart: by the bytes of their folder, and by what they answer. Loads no tensor library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memory.errors import ModelError

CANARIES = (
    "your task is to put a clean mug on shelf 2",
    "go to the cabinet and look what is in it",
    "what did you learn ?",
)
"""What a fingerprint asks, as a user's message each."""
CANARY_TOKENS = 8
"""How many are written to each; no stop mark ends them."""
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "apprentice.json",
)


@dataclass(frozen=True, slots=True)
class FolderIdentity:
    """SHA-256 of what an adapter depends on."""

    weights: str
    """Configuration and weight files."""
    tokenizer: str
    """Tokenizer files, chat template and `apprentice.json`."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How a model continues fixed prompts: tells two sets of weights apart."""

    tokens: tuple[tuple[int, ...], ...]
    """Greedy continuation of each canary."""
    logprobs: tuple[float, ...]
    """Its log-probability (nats)."""

    def matches(self, other: Fingerprint, tolerance: float = 0.01) -> bool:
        """Same continuations, log-probabilities within the tolerance (other processors round differently)."""
        pairs = zip(self.logprobs, other.logprobs, strict=False)
        return self.tokens == other.tokens and all(abs(a - b) <= tolerance for a, b in pairs)


def identify(folder: Path) -> FolderIdentity:
    """The identity of a model folder. Raises ModelError when it holds no weights."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(f"{str(folder)!r} holds no model: there is no *.safetensors file")
    texts = [folder / name for name in _TOKENIZER_FILES]
    return FolderIdentity(
        _digest([folder / "config.json", *weights]), _digest([path for path in texts if path.exists()])
    )


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
