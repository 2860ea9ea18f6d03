"""Stages that go on from one another, stopped and run again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from transformers import AutoModelForCausalLM

from agent.models.local.weights import load_model
from distill.launch import command, launched
from distill.progress import Cancelled
from distill.render import TokenAnswer, TokenRow
from distill.settings import TrainSettings
from distill.stages import Place, Stage, train_stages
from distill.train import TrainProgress, train

PROMPT = (8, 9, 10, 4)
LEARNED = TokenRow((*PROMPT, 20, 21, 6), (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0))
FIRST = Stage("first", "nll", [LEARNED] * 4)
SECOND = Stage("second", "prefer", [TokenAnswer(PROMPT, (20, 21, 6), 1.0, (20, 30, 6))] * 4)
SETTINGS = TrainSettings(
    epochs=1, min_updates=6, batch_size=4, rank=4, learning_rate=1e-2, checkpoint_every=2
)
WEIGHTS = "adapter_model.safetensors"


def _place(base: Path, out: Path, settings: TrainSettings = SETTINGS) -> Place:
    return Place(base, out, settings, seed=0)


class _Stop:
    """Asks to stop after an update of a stage."""

    def __init__(self, stage: str, update: int) -> None:
        self._at = (stage, update)
        self.seen: list[tuple[str, int]] = []

    def tell(self, step: TrainProgress) -> None:
        self.seen.append((step.stage, step.update))

    def __call__(self) -> bool:
        return self._at in self.seen


class TestChains:
    """Likelihood, then preference."""

    @pytest.mark.parametrize("method", ["lora", "full"])
    def test_a_stage_goes_on_from_the_adapter_before_it(
        self, base: Path, tmp_path: Path, method: str
    ) -> None:
        """The second, hardly moving, still says what the first learned; its reference is the first's end."""
        first = replace(SETTINGS, method=method, min_updates=12)  # type: ignore[arg-type]
        train(FIRST.rows, base, tmp_path / "first", first, seed=0)
        second = replace(first, learning_rate=1e-6, min_updates=1)
        ended = train(
            SECOND.rows,
            base,
            tmp_path / "second",
            second,
            seed=0,
            objective="prefer",
            start=tmp_path / "first" / "adapter",
        )
        assert ended.first_loss == pytest.approx(0.6931, abs=1e-3)
        tokens = torch.tensor([LEARNED.tokens])
        served = load_model(base, ended.folder)
        told = [one(tokens).logits for one in (load_model(base, tmp_path / "first" / "adapter"), served)]
        torch.testing.assert_close(*told, rtol=1e-2, atol=1e-2)
        untrained = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)(tokens).logits
        assert (untrained - told[1]).abs().max() > 0.5

    def test_a_chain_stopped_in_any_stage_ends_where_an_uninterrupted_one_does(
        self, base: Path, tmp_path: Path
    ) -> None:
        """To the byte; what was finished is not trained again, and all updates are counted once."""
        stages, whole, parts = (FIRST, SECOND), tmp_path / "whole", tmp_path / "parts"
        ended = train_stages(stages, _place(base, whole))
        seen: list[tuple[str, int]] = []
        for stop in (_Stop("first", 2), _Stop("second", 3)):
            with pytest.raises(Cancelled):
                train_stages(stages, _place(base, parts), stop.tell, stop)
            seen += stop.seen
        last = _Stop("", 0)
        resumed = train_stages(stages, _place(base, parts), last.tell, last)
        seen += last.seen
        assert seen == [(stage.name, update) for stage in stages for update in range(1, 7)]
        by_hand: Path | None = None
        for stage in stages:
            by_hand = train(
                stage.rows,
                base,
                tmp_path / "by hand" / stage.name,
                SETTINGS,
                seed=0,
                objective=stage.objective,
                start=by_hand,
            ).folder
        assert by_hand is not None
        assert (ended.folder / WEIGHTS).read_bytes() == (by_hand / WEIGHTS).read_bytes()
        assert resumed.updates == ended.updates == 12
        assert (resumed.folder / WEIGHTS).read_bytes() == (ended.folder / WEIGHTS).read_bytes()

    def test_what_other_rows_left_is_not_gone_on_from(self, base: Path, tmp_path: Path) -> None:
        """Checkpoints of another dataset in the same folder are removed."""
        train_stages([FIRST], _place(base, tmp_path / "a"))
        other = Stage("first", "nll", [replace(LEARNED, tokens=(*PROMPT, 30, 31, 6))] * 4)
        again = train_stages([other], _place(base, tmp_path / "a"))
        fresh = train_stages([other], _place(base, tmp_path / "b"))
        assert (again.folder / WEIGHTS).read_bytes() == (fresh.folder / WEIGHTS).read_bytes()


def test_gpus_are_launched_with_the_sharding_that_is_shipped(tmp_path: Path) -> None:
    """Accelerate reads the file; this machine shows no GPUs to run it on."""
    line = command(tmp_path, replace(SETTINGS, device="cuda", processes=8))
    assert line[line.index("--num_processes") + 1] == "8"
    config = load_config_from_file(line[line.index("--config_file") + 1])
    assert config.distributed_type == DistributedType.FSDP
    assert config.fsdp_config["fsdp_version"] == 2
    assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"


@pytest.mark.slow
class TestProcesses:
    """Several processes, here on the CPU with gloo."""

    def test_two_processes_come_to_what_one_does(self, base: Path, tmp_path: Path) -> None:
        """Ragged rows, the same losses in every update and the same weights."""
        rows = [
            TokenRow((*PROMPT, *range(20, 21 + at), 6), (*[0.0] * 4, *[1.0 + at] * (at + 2)))
            for at in range(8)
        ]
        one, two = (replace(SETTINGS, batch_size=4 // n, processes=n) for n in (1, 2))
        losses: dict[str, list[float]] = {"one": [], "two": []}
        single = train(
            rows, base, tmp_path / "one", one, seed=0, on_progress=lambda s: losses["one"].append(s.loss)
        )
        double = launched(
            rows, base, tmp_path / "two", two, seed=0, on_progress=lambda s: losses["two"].append(s.loss)
        )
        assert len(losses["one"]) == single.updates == double.updates
        assert losses["two"] == pytest.approx(losses["one"], rel=1e-3)
        for name, weight in single.model.state_dict().items():
            torch.testing.assert_close(weight, double.model.state_dict()[name], rtol=1e-3, atol=1e-3)

    def test_processes_that_were_stopped_go_on(self, base: Path, tmp_path: Path) -> None:
        """They stop after the same update, and run again they end."""
        settings = replace(SETTINGS, batch_size=2, processes=2, min_updates=40)
        stop = _Stop("", 3)
        with pytest.raises(Cancelled):
            launched(FIRST.rows, base, tmp_path, settings, seed=0, on_progress=stop.tell, is_cancelled=stop)
        n_before = len(stop.seen)
        ended = launched(FIRST.rows, base, tmp_path, settings, seed=0, on_progress=stop.tell)
        assert 0 < n_before < 40
        assert [update for _, update in stop.seen] == list(range(1, 41))
        assert ended.updates == 40
