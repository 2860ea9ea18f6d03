"""The only gradient of this project: TRL's supervised trainer with a weight on every token."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from agent.models.local.chat import Chat
from distill.progress import Cancelled
from distill.render import TokenRow
from distill.settings import TrainSettings
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


class WeightedTrainer(SFTTrainer):
    """SFTTrainer whose loss is sum(w · nll) / number of trained tokens; all ones are the stock trainer.

    Source: STeP, arXiv 2505.20023, partial masking generalised to fractions; with weights of mean 1 the
    denominator is also sum(w), as in LLaMA-Factory v1.
    """

    _signature_columns: list[str]

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "loss_weights" not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, "loss_weights"]

    def _send_telemetry(self) -> None:
        """Nothing leaves this machine."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card: the adapter's manifest says more."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Weighted negative log-likelihood; logits `(B, T, V)`, labels and weights `(B, T)`."""
        labels, weights = inputs.pop("labels"), inputs.pop("loss_weights")
        outputs = model(**inputs, use_cache=False)
        loss = weighted_nll(outputs.logits, labels, weights, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


class WeightedCollator(DataCollatorForLanguageModeling):
    """Pads the weights along with the labels."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The stock batch and `loss_weights (B, T)`, 0 on padding."""
        batch = super().torch_call(examples)
        weights = torch.zeros(batch["labels"].shape)
        for row, example in enumerate(examples):
            weights[row, : len(example["loss_weights"])] = torch.tensor(example["loss_weights"])
        return {**batch, "loss_weights": weights}


def weighted_nll(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, n_tokens: torch.Tensor | None = None
) -> torch.Tensor:
    """Sum over targets of w · -log p, over `n_tokens`: all those of one update when accumulating."""
    targets = labels[:, 1:].reshape(-1)
    nll = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), targets, ignore_index=-100, reduction="none"
    )
    count = (targets != -100).sum() if n_tokens is None else n_tokens
    return (nll * weights[:, 1:].reshape(-1)).sum() / torch.as_tensor(count).clamp(min=1)


def train(
    rows: Sequence[TokenRow],
    base: Path,
    out: Path,
    settings: TrainSettings,
    *,
    seed: int,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train on `rows` from the base model and write the adapter to `out/adapter`.

    Goes on from the last whole checkpoint below `out`. Raises Cancelled after saving one when asked to stop,
    DistillError when the loss is not finite.
    """
    disable_progress_bar()
    torch.set_num_threads(settings.threads)
    checkpoints = out / "checkpoints"
    trainer = _trainer(rows, base, settings, checkpoints, seed)
    watcher = _Watcher(on_progress, is_cancelled)
    trainer.add_callback(watcher)
    result = trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
    if watcher.was_cancelled:
        raise Cancelled(f"training was stopped after {trainer.state.global_step} updates")
    _save(trainer.model, base, out / "adapter")
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if not losses or not all(map(math.isfinite, losses)):
        raise DistillError("the training loss is not finite; lower the learning rate")
    edge = max(1, len(losses) // 10)
    return Trained(
        out / "adapter",
        trainer.model.merge_and_unload() if settings.method == "lora" else trainer.model,
        updates=trainer.state.global_step,
        tokens=sum(weight > 0 for row in rows for weight in row.weights),
        first_loss=sum(losses[:edge]) / edge,
        last_loss=sum(losses[-edge:]) / edge,
        seconds=float(result.metrics["train_runtime"]),
    )


def _trainer(
    rows: Sequence[TokenRow], base: Path, settings: TrainSettings, checkpoints: Path, seed: int
) -> WeightedTrainer:
    chat = Chat.open(base)
    trainer = WeightedTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, local_files_only=True, dtype=torch.float32),
        args=_arguments(settings, len(rows), checkpoints, seed),
        train_dataset=_table(rows),
        processing_class=chat.tokenizer,
        data_collator=WeightedCollator(pad_token_id=_pad_id(chat)),
        peft_config=_lora(settings) if settings.method == "lora" else None,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


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


def _arguments(settings: TrainSettings, n_rows: int, folder: Path, seed: int) -> SFTConfig:
    updates_per_epoch = math.ceil(n_rows / (settings.batch_size * settings.accumulation))
    return SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        num_train_epochs=max(settings.epochs, settings.min_updates / updates_per_epoch),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        max_length=None,
        loss_type="nll",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=settings.device == "cpu",
        seed=seed,
        data_seed=seed,
        logging_steps=1,
        save_steps=settings.checkpoint_every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _lora(settings: TrainSettings) -> LoraConfig:
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _table(rows: Sequence[TokenRow]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(row.tokens) for row in rows],
            "labels": [
                [token if weight > 0 else -100 for token, weight in zip(row.tokens, row.weights, strict=True)]
                for row in rows
            ],
            "loss_weights": [list(row.weights) for row in rows],
        }
    )


def _pad_id(chat: Chat) -> int:
    pad = chat.tokenizer.pad_token_id
    return int(chat.tokenizer.eos_token_id if pad is None else pad)


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


def _save(model: Any, base: Path, adapter: Path) -> None:
    """Write the weights; nothing in the files names a folder of this machine."""
    shutil.rmtree(adapter, ignore_errors=True)
    if hasattr(model, "peft_config"):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base.name
        model.save_pretrained(adapter, save_embedding_layers=False)
    else:
        model.save_pretrained(adapter)
    (adapter / "README.md").unlink(missing_ok=True)
