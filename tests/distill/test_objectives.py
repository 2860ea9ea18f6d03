"""Four objectives, packed rows, and what a machine must have."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from agent.models.local.chat import Chat
from distill.render import TokenAnswer, TokenRow, answers
from distill.settings import TrainSettings
from distill.train import train
from distill.trainers.flat import FlatCollator, _attention, by_segments, target_logprobs
from distill.trainers.objectives import WeightedCollator, regressed, summed_nll
from distill.types import Objective, Row
from memory.errors import DistillError
from memory.types import Message

PROMPT = (8, 9, 10, 4)
GOOD, BAD, END = 20, 30, 6
QUICK = TrainSettings(epochs=30, batch_size=4, rank=4, learning_rate=1e-2)
RAGGED = [
    TokenRow((8, 9, 10, 11, 12), (0.0, 0.0, 1.0, 0.5, 0.0)),
    TokenRow((20, 21, 22), (0.0, 0.0, 2.0)),
    TokenRow((30, 31, 32, 33, 34, 35, 36, 37), (0.0, 1.0, 1.0, 0.0, 0.0, 0.25, 0.0, 1.0)),
]


def _model(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def _examples(rows: list[TokenRow]) -> list[dict[str, Any]]:
    return [
        {
            "input_ids": list(row.tokens),
            "labels": [t if w > 0 else -100 for t, w in zip(row.tokens, row.weights, strict=True)],
            "loss_weights": list(row.weights),
        }
        for row in rows
    ]


def _flat_logprobs(model: Any, rows: list[TokenRow]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = FlatCollator()(_examples(rows))
    with by_segments(model):
        return target_logprobs(model, batch), batch["loss_weights"]


def _logprob(model: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
    with torch.no_grad():
        logprobs = model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
    return sum(float(logprobs[len(prompt) + at - 1, token]) for at, token in enumerate(answer))


class TestPacking:
    """Rows of ragged length without padding."""

    def test_packed_rows_have_the_loss_and_the_gradient_of_padded_ones(self, base: Path) -> None:
        """Weights of all kinds, three lengths."""
        model, gradients, losses = _model(base), [], []
        padded = WeightedCollator(pad_token_id=0).torch_call(_examples(RAGGED))
        logits = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
        losses.append(summed_nll(logits, padded["labels"], padded["loss_weights"]))
        logprobs, weights = _flat_logprobs(model, RAGGED)
        losses.append(-(logprobs * weights).sum())
        for loss in losses:
            model.zero_grad()
            loss.backward()
            gradients.append(torch.cat([one.grad.flatten() for one in model.parameters()]))
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)

    def test_a_row_does_not_see_the_row_before_it(self, base: Path) -> None:
        """Other words there change nothing here, and the row alone says the same."""
        model = _model(base)
        other = TokenRow((50, 51, 52, 53, 54), RAGGED[0].weights)
        first, second = (_flat_logprobs(model, [one, *RAGGED[1:]])[0] for one in (RAGGED[0], other))
        assert torch.equal(first[2:], second[2:])
        assert not torch.equal(first[:2], second[:2])
        torch.testing.assert_close(first[2:3], _flat_logprobs(model, RAGGED[1:2])[0])

    def test_the_model_has_its_own_attention_again(self, base: Path) -> None:
        """Afterwards it serves as before."""
        model = _model(base)
        before = model.config._attn_implementation
        with by_segments(model):
            assert model.config._attn_implementation != before
        assert model.config._attn_implementation == before

    def test_attention_that_is_not_told_of_rows_is_refused(self) -> None:
        """Rather than that rows see each other."""
        states = torch.zeros(1, 1, 2, 4)
        with pytest.raises(DistillError, match="packing"):
            _attention(None, states, states, states, None)

    def test_packed_training_comes_to_the_weights_of_padded_training(
        self, base: Path, tmp_path: Path
    ) -> None:
        """Whole runs, and with activations computed again too."""
        settings = replace(QUICK, epochs=2, min_updates=4, batch_size=2, accumulation=2)
        kinds = (settings, replace(settings, packing=False), replace(settings, gradient_checkpointing=True))
        runs = [
            train(RAGGED, base, tmp_path / str(at), one, seed=0).model.state_dict()
            for at, one in enumerate(kinds)
        ]
        for name, weight in runs[0].items():
            for other in runs[1:]:
                torch.testing.assert_close(weight, other[name], rtol=1e-3, atol=1e-4)


class TestRegress:
    """(β · log-ratio - A)²."""

    def test_a_bandit_comes_to_the_reference_times_exp_of_the_advantage(self) -> None:
        """π = π_ref · exp(r/β) / Z exactly, with the soft value as baseline."""
        beta, reward = 0.5, torch.tensor([1.0, 0.0, -0.5, 0.3])
        reference = torch.tensor([0.1, 0.4, 0.3, 0.2]).log()
        expected = torch.softmax(reference + reward / beta, 0)
        baseline = beta * (reference + reward / beta).logsumexp(0)
        logits = torch.zeros(4, requires_grad=True)
        descent = torch.optim.Adam([logits], lr=0.05)
        for _ in range(500):
            descent.zero_grad()
            ratio = logits.log_softmax(0) - reference
            regressed(ratio, reward - baseline, beta).mean().backward()
            descent.step()
        torch.testing.assert_close(logits.softmax(0).detach(), expected, rtol=1e-2, atol=1e-3)

    @pytest.mark.parametrize("method", ["lora", "full"])
    def test_training_moves_log_ratios_to_the_advantages(
        self, base: Path, tmp_path: Path, method: str
    ) -> None:
        """Against the model with the adapter off: up by A/β for one answer, down for the other."""
        advantages = {GOOD: 0.6, BAD: -0.4}
        rows = [TokenAnswer(PROMPT, (token,), worth) for token, worth in advantages.items()] * 4
        settings = replace(QUICK, method=method, epochs=1, min_updates=80, beta=0.5)  # type: ignore[arg-type]
        trained = train(rows, base, tmp_path, settings, seed=0, objective="regress")
        untrained = _model(base)
        for token, worth in advantages.items():
            ratio = _logprob(trained.model, PROMPT, (token,)) - _logprob(untrained, PROMPT, (token,))
            assert settings.beta is not None
            assert settings.beta * ratio == pytest.approx(worth, abs=0.05)
        assert trained.last_loss < 0.1 * trained.first_loss


class TestJudged:
    """Preferences and labels."""

    @pytest.mark.parametrize("method", ["lora", "full"])
    def test_what_is_preferred_becomes_likelier_than_what_is_not(
        self, base: Path, tmp_path: Path, method: str
    ) -> None:
        """The margin rises by more than a factor of e."""
        rows = [TokenAnswer(PROMPT, (GOOD, END), 1.0, (BAD, BAD, END))] * 4
        settings = replace(QUICK, method=method, epochs=10, min_updates=10)  # type: ignore[arg-type]
        trained = train(rows, base, tmp_path, settings, seed=0, objective="prefer")
        margins = [
            _logprob(model, PROMPT, (GOOD, END)) - _logprob(model, PROMPT, (BAD, BAD, END))
            for model in (_model(base), trained.model)
        ]
        assert margins[1] > margins[0] + 1.0
        assert trained.first_loss == pytest.approx(math.log(2), abs=1e-3)

    @pytest.mark.parametrize("batch_size", [4, 1])
    def test_labels_need_no_pairs(self, base: Path, tmp_path: Path, batch_size: int) -> None:
        """What is desired rises against what is not, also with batches of one (no estimate of the drift)."""
        rows = [TokenAnswer(PROMPT, (GOOD, END), 0.3), TokenAnswer((*PROMPT, 11), (BAD, END), -0.7)] * 2
        rows.append(TokenAnswer(PROMPT, (GOOD, END), 1.0))
        settings = replace(QUICK, batch_size=batch_size, epochs=1, min_updates=16, beta=0.5)
        trained = train(rows, base, tmp_path, settings, seed=0, objective="unpaired")
        untrained = _model(base)
        good, bad = (
            _logprob(trained.model, row.prompt, row.answer) - _logprob(untrained, row.prompt, row.answer)
            for row in rows[:2]
        )
        assert good > 0.5
        assert bad < -0.5

    @pytest.mark.parametrize("objective", ["prefer", "unpaired", "regress"])
    def test_rows_of_another_objective_are_refused(
        self, base: Path, tmp_path: Path, objective: Objective
    ) -> None:
        """Weights of tokens are no worth of an answer."""
        with pytest.raises(DistillError, match=objective):
            train(RAGGED, base, tmp_path, QUICK, seed=0, objective=objective)


class TestAnswers:
    """Rows to prompts and answers."""

    ASKED = Message("user", "what is clean ?", weight=0.0)

    def _row(self, rejected: Message | None = None) -> Row:
        said = Message("assistant", "mug", weight=-0.5)
        return Row("e1", (self.ASKED, said), (0, 1), rejected=rejected)

    def test_the_prompt_is_the_one_that_is_served(self, chat: Chat) -> None:
        """Answers end with their end mark; the worse one follows the same prompt."""
        (one,) = answers([self._row(Message("assistant", "sink sink"))], chat, 100)
        assert list(one.prompt) == chat.prompt([self.ASKED])
        assert chat.tokenizer.convert_ids_to_tokens(list(one.answer)) == ["mug", "<end>"]
        assert chat.tokenizer.convert_ids_to_tokens(list(one.rejected)) == ["sink", "sink", "<end>"]
        assert one.worth == -0.5

    def test_a_row_must_fit_with_its_longer_answer(self, chat: Chat) -> None:
        """Otherwise it is left out."""
        long = self._row(Message("assistant", " ".join(["sink"] * 50)))
        assert len(answers([self._row(), long], chat, 30)) == 1

    def test_a_row_that_ends_with_no_answer_is_refused(self, chat: Chat) -> None:
        """There is nothing to judge."""
        row = replace(self._row(), messages=(Message("assistant", "mug", weight=1.0), self.ASKED))
        with pytest.raises(DistillError, match="no answer"):
            answers([row], chat, 100)


class TestMachines:
    """What is not there is refused, not replaced."""

    def test_half_precision_needs_a_gpu(self, base: Path, tmp_path: Path) -> None:
        """And the message says what to set."""
        with pytest.raises(DistillError, match="float32"):
            train(RAGGED, base, tmp_path, replace(QUICK, precision="bfloat16"), seed=0)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
    def test_a_gpu_that_is_not_there_is_refused(self, base: Path, tmp_path: Path) -> None:
        """It would otherwise take days on a CPU."""
        with pytest.raises(DistillError, match="no GPU"):
            train(RAGGED, base, tmp_path, replace(QUICK, device="cuda"), seed=0)
