"""`python -m distill.critic BUNDLE --out FOLDER`: fits the critic that read policy `neural` asks.

What is learned from: items that episodes were shown, with the question they asked and how they went. Folds
are by question, so that nobody wins by knowing how a question went; the report says how well the critic and
the plain mean of each item rank what they have not seen.

Source: Zhou et al. 2025 (Memento), arXiv 2508.16153, Eq. 15, binary cross-entropy on the reward.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory.encoder import Encoder, open_encoder
from memory.errors import ApprenticeError, DistillError
from memory.moving import bundle
from memory.types import Episode
from memory.value.means import PRIOR_N, reward_of
from memory.value.neural import Fitted, Floats, features, save
from memory.value.reads import ReadSettings

MOST_USES = ReadSettings().memos
"""Uses of an item count up to here, as they do where the critic is asked."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a critic is fitted; small, for there are few episodes."""

    units: int = 16
    rounds: int = 300
    rate: float = 0.01
    decay: float = 0.01
    """Weights shrink by this share of the rate in every round (AdamW, arXiv 1711.05101)."""
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row for each item that an episode was shown, oldest first."""

    inputs: Floats
    """(n, f), see `memory.value.neural.features`."""
    rewards: NDArray[np.float64]
    items: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """How well what was not seen is ranked: probability that a success is put above a failure."""

    n: int
    n_questions: int
    critic: float
    per_case: float
    """The same for the shrunken mean of each item over the other folds; a constant has one half."""


def rows_of(
    episodes: Sequence[Episode],
    texts: Mapping[str, str],
    encoder: Encoder,
    *,
    own: Mapping[str, Set[str]] | None = None,
) -> Rows:
    """From episodes in the order they were lived and the items' texts. Raises DistillError on none.

    `own` are the tasks that each item was made of: it may know how those went, and says nothing of them.
    """
    made = own or {}
    told = [
        (episode.recall.query.text, one.item, reward)
        for episode in episodes
        if episode.recall is not None and (reward := reward_of(episode)) is not None
        for one in episode.recall.items
        if one.shown and one.item in texts and episode.task_id not in made.get(one.item, ())
    ]
    if not told:
        raise DistillError("no episode with an outcome was shown an item: a critic has nothing to learn from")
    names = sorted({*(question for question, _, _ in told), *(texts[item] for _, item, _ in told)})
    vectors = dict(zip(names, encoder.encode(names), strict=True))
    uses: Counter[str] = Counter()
    inputs = []
    for question, item, _ in told:
        inputs.append(features(vectors[question], vectors[texts[item]], min(uses[item], MOST_USES)))
        uses[item] += 1
    questions, items, rewards = zip(*told, strict=True)
    return Rows(np.stack(inputs), np.array(rewards, dtype=np.float64), items, questions)


def fit(inputs: Floats, rewards: NDArray[np.float64], encoder: str, settings: FitSettings) -> Fitted:
    """One hidden layer by AdamW over all rows at once; the same seed gives the same weights."""
    chance = np.random.default_rng(settings.seed)
    n, width = inputs.shape
    weights = [
        chance.normal(0.0, np.sqrt(2.0 / width), (settings.units, width)),
        np.zeros(settings.units),
        chance.normal(0.0, np.sqrt(1.0 / settings.units), settings.units),
        np.zeros(1),
    ]
    means = [np.zeros_like(one) for one in weights]
    squares = [np.zeros_like(one) for one in weights]
    for place in range(1, settings.rounds + 1):
        hidden, hidden_bias, out, out_bias = weights
        inner = np.maximum(inputs @ hidden.T + hidden_bias, 0.0)  # (n, h)
        wrong = (1.0 / (1.0 + np.exp(-(inner @ out + out_bias))) - rewards) / n  # (n,)
        back = np.outer(wrong, out) * (inner > 0.0)  # (n, h)
        slopes = [back.T @ inputs, back.sum(axis=0), inner.T @ wrong, np.array([wrong.sum()])]
        for weight, slope, mean, square in zip(weights, slopes, means, squares, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope**2 - square)
            step = (mean / (1.0 - 0.9**place)) / (np.sqrt(square / (1.0 - 0.999**place)) + 1e-8)
            weight -= settings.rate * (step + settings.decay * weight)
    found = [one.astype(np.float32) for one in weights]
    return Fitted(found[0], found[1], found[2], float(found[3][0]), encoder)


def compared(rows: Rows, encoder: str, settings: FitSettings) -> Report:
    """Critic and per-case mean on folds by question that neither has seen."""
    names = sorted(set(rows.questions))
    fold_of = dict(zip(names, np.random.default_rng(settings.seed).permutation(len(names)), strict=True))
    folds = np.array([fold_of[one] % settings.folds for one in rows.questions])
    critic, per_case = np.zeros(len(folds)), np.zeros(len(folds))
    for fold in range(settings.folds):
        seen, unseen = folds != fold, folds == fold
        if not seen.any() or not unseen.any():
            continue
        critic[unseen] = fit(rows.inputs[seen], rows.rewards[seen], encoder, settings).scores(
            rows.inputs[unseen]
        )
        means = _means(rows, seen)
        usual = float(rows.rewards[seen].mean())
        per_case[unseen] = [
            means.get(item, usual) for item, one in zip(rows.items, unseen, strict=True) if one
        ]
    return Report(len(folds), len(names), auc(critic, rows.rewards), auc(per_case, rows.rewards))


def _means(rows: Rows, seen: NDArray[np.bool_]) -> dict[str, float]:
    usual = float(rows.rewards[seen].mean())
    sums: dict[str, float] = {}
    uses: Counter[str] = Counter()
    for item, reward, one in zip(rows.items, rows.rewards, seen, strict=True):
        if one:
            uses[item] += 1
            sums[item] = sums.get(item, 0.0) + reward
    return {item: (PRIOR_N * usual + sums[item]) / (PRIOR_N + n) for item, n in uses.items()}


def auc(scores: NDArray[np.float64], rewards: NDArray[np.float64]) -> float:
    """Probability that what went well is scored above what did not, ties by half; one half without both.

    >>> auc(np.array([0.2, 0.9, 0.5]), np.array([0.0, 1.0, 1.0]))
    1.0
    """
    good, bad = scores[rewards > 0.5], scores[rewards <= 0.5]
    if not len(good) or not len(bad):
        return 0.5
    over = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()  # (good, bad) pairs
    return float(over)


def main(source: Path, out: Path, encoder: Encoder) -> Report:
    """Fit on a bundle that `Memory.export` wrote. Raises BadInput, DistillError."""
    settings = FitSettings()
    found = bundle.read(source)
    episodes = sorted(found.episodes, key=lambda episode: (episode.started_at, episode.id))
    rows = rows_of(episodes, {item.id: item.text for item in found.items}, encoder)
    report = compared(rows, encoder.generation, settings)
    save(fit(rows.inputs, rows.rewards, encoder.generation, settings), out)
    return report


def _cli(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m distill.critic", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of an export")
    parser.add_argument("--out", type=Path, required=True, help="folder of the critic")
    parser.add_argument(
        "--encoder", default="minilm", help="the memory's encoder, as in the server's settings"
    )
    told = parser.parse_args(arguments)
    try:
        report = main(told.bundle, told.out, open_encoder(told.encoder))
    except ApprenticeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(
        f"{report.n} uses at {report.n_questions} questions; of questions held out, a success is put above "
        f"a failure: critic {report.critic:.3f}, mean per case {report.per_case:.3f}, constant 0.500\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(_cli())
