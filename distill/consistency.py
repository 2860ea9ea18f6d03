"""`python -m distill.consistency BUNDLE --out FOLDER`: fits the classifier of the critic `consistency`.

What is learned from: episodes that the critic looked at, by the features it left in their feedback, and of
which the world, a rule or a person said how they went. Each is scored by a classifier that has not seen it.

Source: Sengupta et al. 2024 (MAG-V), arXiv 2412.04494: classical classifiers, few labels. Deviation: several
are compared, a logistic regression is kept: a few numbers that serving reads without scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from agent.critics.consistency import Fitted, save
from agent.critics.trajectories import Features
from distill.critic import auc
from memory.encoder import open_encoder
from memory.errors import ApprenticeError, DistillError
from memory.moving import bundle
from memory.types import Episode, Json, Source
from memory.value.means import reward_of

Floats = NDArray[np.float64]
KEPT = "logistic regression"
SURE: frozenset[Source | None] = frozenset({"world", "rule", "human"})
"""Whose word on an episode is learned from; never the critic's own."""
LEAST = 4
"""Episodes of each kind that it takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row for each episode that was looked at and judged."""

    inputs: Floats
    """(n, 5), see `agent.critics.trajectories.Features`."""
    went_well: NDArray[np.bool_]
    """(n,)"""


def rows_of(episodes: Sequence[Episode]) -> Rows:
    """Features and outcomes. Raises DistillError where there are too few of either kind."""
    told = [
        (row, reward > 0.5)
        for episode in episodes
        if episode.outcome_by in SURE
        and (reward := reward_of(episode)) is not None
        and (row := _features(episode.feedback)) is not None
    ]
    n_well = sum(is_well for _, is_well in told)
    if min(n_well, len(told) - n_well) < LEAST:
        raise DistillError(
            f"the critic looked at {n_well} episodes that went well and {len(told) - n_well} that did not:"
            f" it takes {LEAST} of each, with a word of the world, a rule or a person"
        )
    inputs, went_well = zip(*told, strict=True)
    return Rows(np.array(inputs), np.array(went_well))


def fit(rows: Rows, encoder: str) -> Fitted:
    """A logistic regression over standardised features, both outcomes weighed alike."""
    model = classifiers()[KEPT].fit(rows.inputs, rows.went_well)
    scaler, regression = model[0], model[-1]
    return Fitted(
        tuple(map(float, scaler.mean_)),
        tuple(map(float, scaler.scale_)),
        tuple(map(float, regression.coef_[0])),
        float(regression.intercept_[0]),
        encoder,
    )


def compared(rows: Rows) -> dict[str, float]:
    """By name: how often a classifier puts an episode that went well above one that did not."""
    return {name: left_out(rows, model) for name, model in classifiers().items()}


def left_out(rows: Rows, model: Pipeline) -> float:
    """The same of one, each episode scored by a classifier that was fitted to all the others."""
    says = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    scores = cross_val_predict(model, rows.inputs, rows.went_well, cv=LeaveOneOut(), method=says)
    own = scores[:, 1] if scores.ndim == 2 else scores
    return auc(own, rows.went_well.astype(np.float64))


def classifiers() -> dict[str, Pipeline]:
    """Those of the paper, small, with fixed seeds."""
    chosen: Mapping[str, Any] = {
        KEPT: LogisticRegression(class_weight="balanced"),
        "nearest neighbours": KNeighborsClassifier(5),
        "support vectors": SVC(class_weight="balanced"),
        "forest": RandomForestClassifier(20, class_weight="balanced", random_state=0),
        "boosted trees": GradientBoostingClassifier(n_estimators=20, random_state=0),
    }
    return {name: make_pipeline(StandardScaler(), model) for name, model in chosen.items()}


def main(source: Path, out: Path, encoder: str) -> dict[str, float]:
    """Fit on a bundle of `Memory.export`; how well each classifier does. Raises BadInput, DistillError."""
    rows = rows_of(bundle.read(source).episodes)
    save(fit(rows, encoder), out)
    return compared(rows)


def _features(feedback: Mapping[str, Json]) -> list[float] | None:
    """What the critic left in an episode's feedback."""
    said = feedback.get("verification")
    found = said.get("features") if isinstance(said, dict) else None
    if not isinstance(found, dict):
        return None
    row = [found.get(name) for name in Features.__slots__]
    return [float(one) for one in row if isinstance(one, int | float)] if None not in row else None


def _cli(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m distill.consistency", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of an export")
    parser.add_argument("--out", type=Path, required=True, help="folder of the classifier")
    parser.add_argument(
        "--encoder", default="minilm", help="the memory's encoder, as in the server's settings"
    )
    told = parser.parse_args(arguments)
    try:
        found = main(told.bundle, told.out, open_encoder(told.encoder).generation)
    except ApprenticeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for name, area in found.items():
        sys.stdout.write(f"{name}: a good episode is put above a bad one {area:.3f} of the time\n")
    sys.stdout.write(f"kept: {KEPT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_cli())
