"""A signal in the hands of the library it is for."""

from pathlib import Path

import pytest

from distill.signals.combined import Sum
from distill.signals.forms import Format
from distill.signals.outcomes import Outcome
from distill.signals.rewards import as_reward


@pytest.mark.slow
def test_trl_trains_on_a_signal(base: Path, tmp_path: Path) -> None:
    """One step of GRPO calls it with prompts, completions and the dataset's columns, and logs its mean."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows = [{"prompt": "your task is to put a mug on shelf 1", "outcome": "success"}] * 4
    config = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=1,
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=4,
        use_cpu=True,
        bf16=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    reward = as_reward(Sum((Outcome(), Format("question"))))
    trainer = GRPOTrainer(
        model=str(base), reward_funcs=[reward], args=config, train_dataset=Dataset.from_list(rows)
    )
    trainer.train()
    (logged,) = [one for one in trainer.state.log_history if "rewards/sum/mean" in one]
    assert logged["rewards/sum/mean"] == 1.0
