"""Recipes that go on from one another: all stages in one run, each from the adapter of the one before.

The first starts from the base model: memory is the state, and an adapter a cache of it.

Sources: MALT (Motwani et al. 2024, arXiv 2412.01928), likelihood, then preference; PilotRL (arXiv
2508.00344), three stages.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.models.local.chat import Chat
from distill.launch import launched
from distill.progress import Cancelled
from distill.render import answers, tokenise
from distill.settings import TrainSettings
from distill.train import Trained, TrainProgress, train
from distill.trainers.making import Examples
from distill.types import Dataset, Objective

_STATE = "stage.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """One recipe's rows as tokens."""

    name: str
    objective: Objective
    rows: Examples


@dataclass(frozen=True, slots=True)
class Place:
    """Where stages start from and what they write."""

    base: Path
    out: Path
    settings: TrainSettings
    seed: int


def stage_of(dataset: Dataset, chat: Chat, context: int) -> Stage:
    """The rows of a dataset as its objective wants them. Raises DistillError."""
    render = tokenise if dataset.objective == "nll" else answers
    return Stage(dataset.recipe, dataset.objective, render(dataset.rows, chat, context))


def train_stages(
    stages: Sequence[Stage],
    place: Place,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train one after another; updates, tokens and seconds are of all, losses of the last.

    Run again, it skips stages that were finished with the same rows and settings, and the one that was not
    goes on from its last checkpoint. What another run left in a stage's folder is removed. Raises as `train`.
    """
    start: Path | None = None
    before, done = "", [0, 0, 0.0]
    for at, stage in enumerate(stages):
        if is_cancelled():
            raise Cancelled(f"training was stopped before stage {stage.name!r}")
        is_last = at == len(stages) - 1
        out = place.out if len(stages) == 1 else place.out / f"{at + 1}-{stage.name}"
        before = _key(stage, place, before)
        if _left(out, before) is None or is_last:
            told = _telling(stage.name, on_progress) if len(stages) > 1 else on_progress
            found = _trained(stage, replace(place, out=out), start, told, is_cancelled)
            _leave(out, before, (found.updates, found.tokens, found.seconds))
        numbers = _left(out, before) or ()
        done = [old + new for old, new in zip(done, numbers, strict=True)]
        start = out / "adapter"
    return replace(found, updates=int(done[0]), tokens=int(done[1]), seconds=done[2])


def _telling(name: str, on_progress: Callable[[TrainProgress], None]) -> Callable[[TrainProgress], None]:
    return lambda step: on_progress(replace(step, stage=name))


def _trained(
    stage: Stage,
    place: Place,
    start: Path | None,
    on_progress: Callable[[TrainProgress], None],
    is_cancelled: Callable[[], bool],
) -> Trained:
    run = train if place.settings.processes == 1 else launched
    return run(
        stage.rows,
        place.base,
        place.out,
        place.settings,
        seed=place.seed,
        objective=stage.objective,
        start=start,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )


def _key(stage: Stage, place: Place, before: str) -> str:
    """Of all that decides what a stage comes to, the stages before it included."""
    words = f"{before} {place.base.name} {place.settings!r} {place.seed} {stage!r}"
    return hashlib.sha256(words.encode()).hexdigest()


def _left(out: Path, key: str) -> tuple[float, ...] | None:
    """The numbers of a stage that was finished; another run's leavings are removed."""
    try:
        state = json.loads((out / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    if state.get("key") != key:
        shutil.rmtree(out, ignore_errors=True)
        _leave(out, key, None)
        return None
    return None if state["numbers"] is None else tuple(state["numbers"])


def _leave(out: Path, key: str, numbers: Sequence[float] | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    beside = out / f"{_STATE}.new"
    beside.write_text(json.dumps({"key": key, "numbers": numbers}), encoding="utf-8")
    beside.replace(out / _STATE)
