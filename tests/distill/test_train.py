"""The weighted trainer, its checkpoints and its adapters."""

import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from agent.models.local.chat import Chat
from agent.models.local.model import LocalModel
from agent.models.local.weights import frozen
from distill.progress import Cancelled
from distill.render import TokenRow
from distill.settings import TrainSettings
from distill.train import train
from distill.trainers.flat import FlatCollator, by_segments
from distill.trainers.objectives import WeightedCollator, WeightedTrainer, summed_nll
from memory.errors import AdapterRefused

QUICK = TrainSettings(epochs=2, min_updates=1, batch_size=4, rank=4, checkpoint_every=2)
N_WORDS = 60


def _rows(n: int = 12, length: int = 24) -> list[TokenRow]:
    """A learnable sequence: every second word follows from the one before it; only those are trained."""
    rng, rows = random.Random(0), []
    for _ in range(n):
        asked = [rng.randrange(7, 33) for _ in range(length // 2)]
        tokens = [token for word in asked for token in (word, word + 26)]
        rows.append(TokenRow(tuple(tokens), (0.0, 1.0) * len(asked)))
    return rows


def _table(rows: list[TokenRow]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(row.tokens) for row in rows],
            "labels": [
                [t if w > 0 else -100 for t, w in zip(row.tokens, row.weights, strict=True)] for row in rows
            ],
            "loss_weights": [list(row.weights) for row in rows],
        }
    )


def _loss(model: Any, rows: list[TokenRow], *, masked: bool) -> float:
    """Mean negative log-likelihood of the trained tokens, or of the masked ones."""
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logprobs = model(torch.tensor([row.tokens])).logits[0].log_softmax(-1)
        for at in range(1, len(row.tokens)):
            if (row.weights[at] == 0) == masked:
                total -= float(logprobs[at - 1, row.tokens[at]])
                count += 1
    return total / count


class TestLoss:
    """The weighted loss against what it must equal."""

    @pytest.mark.parametrize(("accumulation", "packing"), [(1, False), (2, False), (2, True)])
    def test_weights_of_one_train_as_the_stock_trainer_does(
        self, base: Path, chat: Chat, tmp_path: Path, accumulation: int, packing: bool
    ) -> None:
        """The same weights after several updates, also with gradient accumulation and without padding."""
        rows, after = _rows(), []
        rows = [TokenRow(row.tokens[: 24 - at], row.weights[: 24 - at]) for at, row in enumerate(rows)]
        collator = FlatCollator() if packing else WeightedCollator(pad_token_id=0)
        for kind in (SFTTrainer, WeightedTrainer):
            arguments = SFTConfig(
                output_dir=str(tmp_path / kind.__name__),
                per_device_train_batch_size=3,
                gradient_accumulation_steps=accumulation,
                max_steps=4,
                learning_rate=1e-2,
                max_length=None,
                loss_type="nll",
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                seed=3,
                report_to="none",
                disable_tqdm=True,
                save_strategy="no",
                dataloader_pin_memory=False,
                dataset_kwargs={"skip_prepare_dataset": True},
            )
            table = _table(rows)
            trainer = kind(
                model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
                args=arguments,
                train_dataset=table if kind is WeightedTrainer else table.remove_columns("loss_weights"),
                processing_class=chat.tokenizer,
                data_collator=collator if kind is WeightedTrainer else None,
            )
            with by_segments(trainer.model) if packing and kind is WeightedTrainer else nullcontext():
                trainer.train()
            after.append(dict(trainer.model.named_parameters()))
        for name, weight in after[0].items():
            torch.testing.assert_close(weight, after[1][name], rtol=1e-4, atol=1e-5)

    def test_fractional_weights_equal_a_plain_sum(self, base: Path) -> None:
        """Ten lines without any trick."""
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        tokens = torch.randint(7, N_WORDS, (3, 10), generator=torch.Generator().manual_seed(0))
        weights = torch.rand(3, 10, generator=torch.Generator().manual_seed(1))
        weights[0, :4] = 0
        labels = torch.where(weights > 0, tokens, -100)
        logits = model(tokens).logits.detach()
        total = 0.0
        for row in range(3):
            for at in range(1, 10):
                if weights[row, at] > 0:
                    total -= float(weights[row, at] * logits[row, at - 1].log_softmax(-1)[tokens[row, at]])
        assert float(summed_nll(logits, labels, weights)) == pytest.approx(total, rel=1e-5)

    def test_a_token_of_weight_zero_has_no_gradient(self, base: Path) -> None:
        """Changing a masked target changes neither loss nor gradient."""
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        tokens = torch.tensor([[8, 9, 10, 11]])
        weights = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
        logits = model(tokens).logits.detach().requires_grad_()
        summed_nll(logits, torch.where(weights > 0, tokens, -100), weights).backward()
        assert logits.grad is not None
        assert torch.count_nonzero(logits.grad[0, :2]) == 0
        assert torch.count_nonzero(logits.grad[0, 2]) > 0


class TestTraining:
    """Whole runs on a tiny model."""

    def test_it_learns_what_is_trained_and_not_what_is_masked(self, base: Path, tmp_path: Path) -> None:
        """Answers become likely; the random words between them do not."""
        rows, untrained = _rows(16), AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        settings = TrainSettings(epochs=40, batch_size=8, learning_rate=1e-2)
        trained = train(rows, base, tmp_path, settings, seed=0)
        assert _loss(trained.model, rows, masked=False) < 0.5 * _loss(untrained, rows, masked=False)
        assert _loss(trained.model, rows, masked=True) > _loss(untrained, rows, masked=True)
        assert trained.last_loss < trained.first_loss

    @pytest.mark.parametrize("method", ["lora", "full"])
    def test_the_adapter_answers_in_serving_as_in_training(
        self, base: Path, chat: Chat, tmp_path: Path, method: str
    ) -> None:
        """The fingerprint of the model in memory is that of the folder loaded anew, and not the base's."""
        settings = replace(QUICK, method=method, learning_rate=1e-2)  # type: ignore[arg-type]
        trained = train(_rows(), base, tmp_path, settings, seed=0)
        models = [
            LocalModel.wrap(frozen(trained.model), chat, name="trained"),
            LocalModel.load(base, name="served", adapter=trained.folder),
            LocalModel.load(base, name="base"),
        ]
        memory, served, plain = (model.fingerprint() for model in models)
        for model in models:
            model.close()
        assert memory.matches(served)
        assert not memory.matches(plain)

    def test_few_rows_are_passed_over_more_often(self, base: Path, tmp_path: Path) -> None:
        """Three rows, at least nine updates."""
        settings = replace(QUICK, min_updates=9, epochs=1)
        assert train(_rows(3), base, tmp_path, settings, seed=0).updates == 9

    def test_the_same_seed_gives_the_same_adapter(self, base: Path, tmp_path: Path) -> None:
        """To the byte."""
        folders = [train(_rows(), base, tmp_path / name, QUICK, seed=1).folder for name in ("a", "b")]
        weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in folders]
        assert weights[0] == weights[1]

    def test_nothing_in_an_adapter_names_a_folder_of_this_machine(self, base: Path, tmp_path: Path) -> None:
        """It may be handed on."""
        folder = train(_rows(), base, tmp_path, QUICK, seed=1).folder
        for path in folder.iterdir():
            assert str(base).encode() not in path.read_bytes()

    def test_a_stopped_run_goes_on_where_it_stopped(self, base: Path, tmp_path: Path) -> None:
        """Stopped after three of six updates, run again: the weights of an uninterrupted run."""
        whole = train(_rows(), base, tmp_path / "whole", QUICK, seed=2)
        seen: list[int] = []
        with pytest.raises(Cancelled):
            train(
                _rows(),
                base,
                tmp_path / "parts",
                QUICK,
                seed=2,
                on_progress=lambda step: seen.append(step.update),
                is_cancelled=lambda: len(seen) >= 2,
            )
        n_before = len(seen)
        assert 0 < n_before < whole.updates
        resumed = train(
            _rows(),
            base,
            tmp_path / "parts",
            QUICK,
            seed=2,
            on_progress=lambda step: seen.append(step.update),
        )
        assert seen == list(range(1, whole.updates + 1))
        name = "adapter_model.safetensors"
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()

    def test_a_checkpoint_torn_by_a_kill_is_passed_over(self, base: Path, tmp_path: Path) -> None:
        """Without the trainer's state, which is written last, the one before is used."""
        train(_rows(), base, tmp_path, QUICK, seed=2)
        checkpoints = sorted((tmp_path / "checkpoints").glob("checkpoint-*"), key=lambda p: p.name)
        assert len(checkpoints) == 2
        (checkpoints[-1] / "trainer_state.json").write_text('{"epoch": 1', encoding="utf-8")
        seen: list[int] = []
        train(_rows(), base, tmp_path, QUICK, seed=2, on_progress=lambda step: seen.append(step.update))
        assert seen == [5, 6]

    def test_an_adapter_of_another_shape_is_refused(self, base: Path, tmp_path: Path) -> None:
        """It says which folder and that it cannot be put on."""
        from tests.distill.tiny import make_folder

        trained = train(_rows(), base, tmp_path / "run", QUICK, seed=1)
        other = make_folder(tmp_path / "wide", hidden=64)
        with pytest.raises(AdapterRefused, match="adapter"):
            LocalModel.load(other, name="wide", adapter=trained.folder)
