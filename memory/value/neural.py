"""A fitted critic: how well an episode goes that is shown an item at a question. Read here, fitted offline.

Source: Zhou et al. 2025 (Memento), arXiv 2508.16153, Eqs. 15-16: Q(s, c) as a probability of success.
Deviations: one hidden layer over both vectors, their product, their cosine and the item's uses.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory.entry import Vector
from memory.errors import BadInput
from memory.value.reads import Seen

FORMAT = 1
WEIGHTS, CARD = "critic.npz", "critic.json"
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The weights of a critic; calling it answers as `reads.Critic`."""

    hidden: Floats
    """(h, f), one row a unit, over the features."""
    hidden_bias: Floats
    out: Floats
    """(h,)"""
    out_bias: float
    encoder: str
    """Generation of the vectors it was fitted on."""

    def __call__(self, seen: Seen) -> float:
        """Probability of success, 0..1; the family's reward where one of the vectors is missing."""
        if seen.question is None or seen.vector is None:
            return seen.prior
        n = sum(memo.shown for memo in seen.memos)
        return float(self.scores(features(seen.question, seen.vector, n)[None])[0])

    def scores(self, rows: Floats) -> NDArray[np.float64]:
        """Probabilities (n,) for features (n, f). Raises BadInput on features of another length."""
        if rows.shape[1] != self.hidden.shape[1]:
            raise BadInput(
                f"the critic was fitted on {self.hidden.shape[1]} features of encoder {self.encoder!r}, "
                f"here are {rows.shape[1]}: fit it again with the encoder in use"
            )
        inner = np.maximum(rows @ self.hidden.T + self.hidden_bias, 0.0)  # (n, h)
        logits = np.clip((inner @ self.out + self.out_bias).astype(np.float64), -30.0, 30.0)
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def features(question: Vector, item: Vector, n: int) -> Floats:
    """(3 d + 2,): both vectors, their product by coordinate, their cosine, log of the item's uses."""
    more = [float(question @ item), math.log1p(n)]
    return np.concatenate([question, item, question * item, more]).astype(np.float32)


def save(critic: Fitted, folder: Path) -> None:
    """Weights as npz without pickles, the rest as JSON beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / WEIGHTS,
        hidden=critic.hidden,
        hidden_bias=critic.hidden_bias,
        out=critic.out,
        out_bias=np.float32(critic.out_bias),
    )
    card = {"format": FORMAT, "encoder": critic.encoder}
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, encoder: str) -> Fitted:
    """A critic for vectors of an encoder generation. Raises BadInput on another one, or on no critic."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as kept:
            weights = {name: kept[name] for name in ("hidden", "hidden_bias", "out", "out_bias")}
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{str(folder)!r} holds no critic ({error}): fit one with `python -m distill.critic`"
        ) from error
    if (card.get("format"), card.get("encoder")) != (FORMAT, encoder):
        raise BadInput(
            f"the critic in {str(folder)!r} is of format {card.get('format')} and encoder "
            f"{card.get('encoder')!r}; needed are {FORMAT} and {encoder!r}: fit it again"
        )
    bias = float(weights.pop("out_bias"))
    return Fitted(**weights, out_bias=bias, encoder=encoder)
