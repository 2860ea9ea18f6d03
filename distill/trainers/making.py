"""Rows and settings to one of the four trainers."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from datasets import Dataset
from transformers import PrinterCallback
from trl import DPOConfig, KTOConfig, SFTConfig

from agent.models.local.chat import Chat
from distill.render import TokenAnswer, TokenRow
from distill.settings import TrainSettings
from distill.trainers.flat import FlatCollator, by_segments
from distill.trainers.models import answer_logprobs
from distill.trainers.objectives import (
    PreferTrainer,
    RegressTrainer,
    UnpairedTrainer,
    WeightedCollator,
    WeightedTrainer,
)
from distill.types import Objective
from memory.errors import DistillError

Examples: TypeAlias = Sequence[TokenRow] | Sequence[TokenAnswer]
"""Token rows for `nll`, answers for the others."""
T = TypeVar("T", TokenRow, TokenAnswer)


def make_trainer(
    objective: Objective,
    rows: Examples,
    model: Any,
    chat: Chat,
    settings: TrainSettings,
    folder: Path,
    seed: int,
) -> Any:
    """A trainer that writes its checkpoints to `folder`. Raises DistillError for rows of another."""
    shared = _shared(settings, len(rows), folder, seed)
    if objective == "nll":
        trainer = _weighted(_of(TokenRow, rows, objective), model, chat, settings, shared)
    else:
        answers = _of(TokenAnswer, rows, objective)
        trainer = _JUDGING[objective](answers, model, chat, settings, shared)
    trainer.remove_callback(PrinterCallback)
    return trainer


def attention_of(objective: Objective, model: Any, settings: TrainSettings) -> AbstractContextManager[None]:
    """What the model's attention must be while such a trainer runs."""
    is_flat = objective == "regress" or (objective == "nll" and settings.packing)
    return by_segments(model) if is_flat else nullcontext()


def _of(kind: type[T], rows: Examples, objective: Objective) -> list[T]:
    found = [row for row in rows if isinstance(row, kind)]
    if len(found) != len(rows):
        raise DistillError(f"objective {objective!r} trains on rows of type {kind.__name__}")
    return found


def _shared(settings: TrainSettings, n_rows: int, folder: Path, seed: int) -> dict[str, Any]:
    """What all of TRL's settings have in common."""
    per_update = settings.batch_size * settings.accumulation * settings.processes
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "num_train_epochs": max(settings.epochs, settings.min_updates / math.ceil(n_rows / per_update)),
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "max_length": None,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": settings.precision == "bfloat16",
        "use_cpu": settings.device == "cpu",
        "seed": seed,
        "data_seed": seed,
        "logging_steps": 1,
        "save_steps": settings.checkpoint_every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _supervised(shared: dict[str, Any]) -> SFTConfig:
    return SFTConfig(loss_type="nll", dataset_kwargs={"skip_prepare_dataset": True}, **shared)


def _weighted(
    rows: Sequence[TokenRow], model: Any, chat: Chat, settings: TrainSettings, shared: dict[str, Any]
) -> WeightedTrainer:
    return WeightedTrainer(
        model=model,
        args=_supervised(shared),
        train_dataset=weighted_table(rows),
        processing_class=chat.tokenizer,
        data_collator=FlatCollator() if settings.packing else WeightedCollator(pad_token_id=_pad_id(chat)),
    )


def weighted_table(rows: Sequence[TokenRow]) -> Dataset:
    """Columns `input_ids`, `labels`, `loss_weights`."""
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


def _regress(
    rows: Sequence[TokenAnswer], model: Any, chat: Chat, settings: TrainSettings, shared: dict[str, Any]
) -> RegressTrainer:
    whole = [[*row.prompt, *row.answer] for row in rows]
    table = Dataset.from_dict(
        {
            "input_ids": whole,
            "labels": whole,
            "loss_weights": [[0.0] * len(row.prompt) + [1.0] * len(row.answer) for row in rows],
            "worth": [row.worth for row in rows],
            "reference": answer_logprobs(model, [(row.prompt, row.answer) for row in rows], settings),
        }
    )
    trainer = RegressTrainer(
        model=model,
        args=_supervised(shared),
        train_dataset=table,
        processing_class=chat.tokenizer,
        data_collator=FlatCollator(),
    )
    trainer.beta = 1.0 if settings.beta is None else settings.beta
    return trainer


def _prefer(
    rows: Sequence[TokenAnswer], model: Any, chat: Chat, settings: TrainSettings, shared: dict[str, Any]
) -> PreferTrainer:
    chosen = answer_logprobs(model, [(row.prompt, row.answer) for row in rows], settings)
    rejected = answer_logprobs(model, [(row.prompt, row.rejected) for row in rows], settings)
    table = Dataset.from_dict(
        {
            "prompt_ids": [list(row.prompt) for row in rows],
            "chosen_ids": [list(row.answer) for row in rows],
            "rejected_ids": [list(row.rejected) for row in rows],
            "ref_chosen_logps": chosen,
            "ref_rejected_logps": rejected,
        }
    )
    arguments = DPOConfig(beta=_beta(settings), precompute_ref_log_probs=True, **shared)
    return _alone(
        PreferTrainer(model=model, args=arguments, train_dataset=table, processing_class=chat.tokenizer)
    )


def _unpaired(
    rows: Sequence[TokenAnswer], model: Any, chat: Chat, settings: TrainSettings, shared: dict[str, Any]
) -> UnpairedTrainer:
    rows = list(rows)
    # Batches are taken in order: labels would come in blocks as episodes do.
    random.Random(shared["seed"]).shuffle(rows)
    # What another prompt was answered with tells how far the model has gone in general (KTO § 4.1).
    others = [rows[at - 1].answer for at in range(len(rows))]
    n_good = sum(row.worth > 0 for row in rows)
    table = Dataset.from_dict(
        {
            "prompt_ids": [list(row.prompt) for row in rows],
            "completion_ids": [list(row.answer) for row in rows],
            "KL_completion_ids": [list(other) for other in others],
            "label": [row.worth > 0 for row in rows],
            "ref_logps": answer_logprobs(model, [(row.prompt, row.answer) for row in rows], settings),
            "ref_KL_logps": answer_logprobs(
                model, [(row.prompt, other) for row, other in zip(rows, others, strict=True)], settings
            ),
        }
    )
    arguments = KTOConfig(
        beta=_beta(settings),
        loss_type="kto" if settings.batch_size > 1 and len(rows) > 1 else "apo_zero_unpaired",
        desirable_weight=_balance(len(rows) - n_good, n_good),
        undesirable_weight=_balance(n_good, len(rows) - n_good),
        precompute_ref_log_probs=True,
        **shared,
    )
    return _alone(
        UnpairedTrainer(model=model, args=arguments, train_dataset=table, processing_class=chat.tokenizer)
    )


def _balance(others: int, own: int) -> float:
    """Weight of a label so that the rarer one counts for as much (KTO, eq. 8)."""
    return max(1.0, others / own) if own else 1.0


def _beta(settings: TrainSettings) -> float:
    return 0.1 if settings.beta is None else settings.beta


def _alone(trainer: Any) -> Any:
    """Without the copy of an adapter that TRL keeps as a reference: that is known already."""
    if "ref" in getattr(trainer.model, "peft_config", {}):
        trainer.model.delete_adapter("ref")
    return trainer


def _pad_id(chat: Chat) -> int:
    pad = chat.tokenizer.pad_token_id
    return int(chat.tokenizer.eos_token_id if pad is None else pad)


_JUDGING: dict[Objective, Any] = {"prefer": _prefer, "unpaired": _unpaired, "regress": _regress}
