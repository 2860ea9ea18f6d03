"""The four objectives as trainers: weighted likelihood, preference, labels without pairs, regression."""

from __future__ import annotations

from typing import Any

import torch
from trl import DPOTrainer, KTOTrainer, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from distill.trainers.flat import target_logprobs


class _Quiet:
    """Nothing leaves this machine, and the adapter's manifest says more than a card would."""

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        pass


class _Prepared(_Quiet):
    """Rows come as tokens with the reference's log-probabilities: rendered as serving does, computed once."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        return dataset


class WeightedTrainer(_Quiet, SFTTrainer):
    """SFTTrainer whose loss is sum(w · nll) / number of trained tokens; all ones are the stock trainer.

    Takes padded batches and flat ones. Source: STeP, arXiv 2505.20023, partial masking generalised to
    fractions; with weights of mean 1 the denominator is also sum(w), as in LLaMA-Factory v1.
    """

    _signature_columns: list[str]

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        ours = ("loss_weights", "worth", "reference")
        self._signature_columns = list(dict.fromkeys((*self._signature_columns, *ours)))

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """The loss of one batch, over the targets of one whole update; with it None for outputs."""
        loss = self._share(self._summed(model, inputs), inputs["labels"], num_items_in_batch)
        return (loss, None) if return_outputs else loss

    def _summed(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Sum of w · nll."""
        if "keep" in inputs:
            return -(target_logprobs(model, inputs) * inputs["loss_weights"]).sum()
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        logits = model(**read, use_cache=False).logits
        return summed_nll(logits, inputs["labels"], inputs["loss_weights"])

    def _share(self, total: torch.Tensor, labels: torch.Tensor, n_items: torch.Tensor | None) -> torch.Tensor:
        if n_items is None:
            return total / (labels[:, 1:] != -100).sum().clamp(min=1)
        # Gradients are averaged over processes, and the targets of all of them are counted.
        n_processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return total * n_processes / torch.as_tensor(n_items).clamp(min=1)


class RegressTrainer(WeightedTrainer):
    """Mean of (β · log(π/π_ref) - A)² over answers; at its optimum π is π_ref · exp(A/β).

    Source: WebRL (Qi et al. 2024, arXiv 2411.02337), the squared form; advantages of either sign, no
    importance weights.
    """

    beta: float = 1.0

    def _summed(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        answers = torch.zeros_like(inputs["worth"])
        answers = answers.index_add(0, inputs["owner"], target_logprobs(model, inputs))  # (B,)
        return regressed(answers - inputs["reference"], inputs["worth"], self.beta).sum()


class PreferTrainer(_Prepared, DPOTrainer):
    """DPO (Rafailov et al. 2023, arXiv 2305.18290) on single-message pairs."""


class UnpairedTrainer(_Prepared, KTOTrainer):
    """KTO (Ethayarajh et al. 2024, arXiv 2402.01306), or APO-zero's unpaired form for batches of one."""


class WeightedCollator(DataCollatorForLanguageModeling):
    """Pads the weights along with the labels."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The stock batch and `loss_weights (B, T)`, 0 on padding."""
        batch = super().torch_call(examples)
        weights = torch.zeros(batch["labels"].shape)
        for row, example in enumerate(examples):
            weights[row, : len(example["loss_weights"])] = torch.tensor(example["loss_weights"])
        return {**batch, "loss_weights": weights}


def summed_nll(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum over targets of w · -log p; logits `(B, T, V)`, labels and weights `(B, T)`."""
    nll = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="none"
    )
    return (nll * weights[:, 1:].reshape(-1)).sum()


def regressed(ratio: torch.Tensor, advantage: torch.Tensor, beta: float) -> torch.Tensor:
    """(β · log-ratio - A)² of each answer."""
    return (beta * ratio - advantage) ** 2
