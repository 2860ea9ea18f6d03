"""The model that is trained: the base with a fresh adapter, or with that of the stage before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, set_seed

from agent.models.local.weights import READING
from distill.settings import TrainSettings
from distill.trainers.flat import FlatCollator, by_segments, target_logprobs
from memory.errors import DistillError


def open_model(base: Path, start: Path | None, settings: TrainSettings, seed: int) -> Any:
    """The model to train; `start` is what a stage before left. Raises DistillError.

    Weights are float32; frozen ones of a low-rank run in bfloat16 are kept so.
    """
    refuse_device(settings)
    dtype = (
        torch.bfloat16 if settings.precision == "bfloat16" and settings.method == "lora" else torch.float32
    )
    folder = start if start is not None and settings.method == "full" else base
    with READING:
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
    if settings.method == "full":
        return model
    set_seed(seed)
    if start is None:
        return get_peft_model(model, _lora(settings))
    return PeftModel.from_pretrained(model, start, is_trainable=True, local_files_only=True)


def refuse_device(settings: TrainSettings) -> None:
    """Raises DistillError where the machine does not have what is asked for."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise DistillError("device is 'cuda' and this machine shows no GPU; set device to 'cpu'")
    if settings.precision == "bfloat16" and settings.device == "cpu":
        raise DistillError(
            "precision 'bfloat16' is for GPUs: on a CPU it is slower and no smaller; use 'float32'"
        )


def _lora(settings: TrainSettings) -> LoraConfig:
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def answer_logprobs(
    model: Any, answers: Sequence[tuple[Sequence[int], Sequence[int]]], settings: TrainSettings
) -> list[float]:
    """Log-probability of each answer after its prompt, as the model is now.

    It is the reference of a stage: with a fresh adapter, that of the base.
    """
    model = model.to(settings.device).eval()
    found: list[float] = []
    collate = FlatCollator()
    is_half = settings.precision == "bfloat16"
    with (
        torch.no_grad(),
        by_segments(model),
        torch.autocast(settings.device, torch.bfloat16, enabled=is_half),
    ):
        for at in range(0, len(answers), settings.batch_size):
            rows = [
                {"input_ids": [*prompt, *answer], "loss_weights": [0.0] * len(prompt) + [1.0] * len(answer)}
                for prompt, answer in answers[at : at + settings.batch_size]
            ]
            batch = {name: _moved(one, settings.device) for name, one in collate(rows).items()}
            sums = torch.zeros(len(rows), device=settings.device)
            sums = sums.index_add(0, batch["owner"], target_logprobs(model, batch))
            found += sums.tolist()
    model.train()
    return found


def _moved(one: Any, device: str) -> Any:
    return one.to(device) if isinstance(one, torch.Tensor) else one
