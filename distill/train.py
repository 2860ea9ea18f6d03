"""The only gradient of this project: rows in, adapter out, by one of four objectives."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.utils.logging import disable_progress_bar

from agent.models.local.chat import Chat
from distill.progress import Cancelled
from distill.settings import TrainSettings
from distill.trainers.making import Examples, attention_of, make_trainer
from distill.trainers.models import open_model
from distill.types import Objective
from memory.errors import DistillError


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run came to."""

    folder: Path
    """The adapter: PEFT files, or all weights."""
    model: Any
    """The trained model in memory, the adapter merged."""
    updates: int
    tokens: int
    """Trained tokens per epoch."""
    first_loss: float
    last_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """One update."""

    update: int
    updates: int
    loss: float
    stage: str = ""
    """Its name, where there are several."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training run came to, its weights on disk."""

    updates: int
    tokens: int
    """Trained tokens per epoch."""
    first_loss: float
    last_loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """What is trained, on what, from where."""

    rows: Examples
    base: Path
    out: Path
    """The adapter goes to `adapter` below it, checkpoints to `checkpoints`."""
    settings: TrainSettings
    seed: int
    objective: Objective = "nll"
    start: Path | None = None
    """The adapter of the stage before; None: the base as it is."""


def train(
    rows: Examples,
    base: Path,
    out: Path,
    settings: TrainSettings,
    *,
    seed: int,
    objective: Objective = "nll",
    start: Path | None = None,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train on `rows` from the base model, or from the adapter `start`; writes the adapter to `out/adapter`.

    Goes on from the last whole checkpoint below `out`. Raises Cancelled after saving one when asked to stop,
    DistillError when the loss is not finite or the machine lacks what the settings ask for.
    """
    run = Run(rows, base, out, settings, seed, objective, start)
    fitted, model = fit(run, on_progress, is_cancelled)
    merged = model.merge_and_unload() if settings.method == "lora" else model
    return trained(run, fitted, merged)


def trained(run: Run, fitted: Fitted, model: Any) -> Trained:
    """A run that came to its end; `model` has the adapter merged."""
    numbers = {field.name: getattr(fitted, field.name) for field in fields(Fitted)}
    return Trained(run.out / "adapter", model, **numbers)


def fit(
    run: Run, on_progress: Callable[[TrainProgress], None], is_cancelled: Callable[[], bool]
) -> tuple[Fitted, Any]:
    """The same in this process, which may be one of several; also the model as the trainer leaves it."""
    disable_progress_bar()
    torch.set_num_threads(run.settings.threads)
    checkpoints = run.out / "checkpoints"
    model = open_model(run.base, run.start, run.settings, run.seed)
    chat = Chat.open(run.base)
    trainer = make_trainer(run.objective, run.rows, model, chat, run.settings, checkpoints, run.seed)
    watcher = _Watcher(on_progress, is_cancelled)
    trainer.add_callback(watcher)
    with attention_of(run.objective, model, run.settings):
        result = trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
    if watcher.was_cancelled:
        raise Cancelled(f"training was stopped after {trainer.state.global_step} updates")
    _save(trainer, run.base, run.out / "adapter")
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if not losses or not all(map(math.isfinite, losses)):
        raise DistillError("the training loss is not finite; lower the learning rate")
    edge = max(1, len(losses) // 10)
    fitted = Fitted(
        updates=trainer.state.global_step,
        tokens=sum(row.n_trained for row in run.rows),
        first_loss=sum(losses[:edge]) / edge,
        last_loss=sum(losses[-edge:]) / edge,
        seconds=float(result.metrics["train_runtime"]),
    )
    return fitted, trainer.model


class _Watcher(TrainerCallback):
    """Reports every update and stops the run between two of them."""

    def __init__(
        self, on_progress: Callable[[TrainProgress], None], is_cancelled: Callable[[], bool]
    ) -> None:
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self.was_cancelled = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        del args, kwargs
        if self._is_cancelled() and state.global_step < state.max_steps:
            self.was_cancelled = True
            control.should_training_stop = control.should_save = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control
        if "loss" in kwargs["logs"]:
            loss = float(kwargs["logs"]["loss"])
            self._on_progress(TrainProgress(state.global_step, state.max_steps, loss))


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end: the trainer's state is its last file."""
    for path in sorted(
        folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True
    ):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return str(path)
    return None


def _save(trainer: Any, base: Path, adapter: Path) -> None:
    """Write the weights; nothing in the files names a folder of this machine."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.accelerator.is_main_process:
        return
    shutil.rmtree(adapter, ignore_errors=True)
    if hasattr(model, "peft_config"):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base.name
        model.save_pretrained(adapter, state_dict=weights, save_embedding_layers=False)
    else:
        model.save_pretrained(adapter, state_dict=weights)
    (adapter / "README.md").unlink(missing_ok=True)
