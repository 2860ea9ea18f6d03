"""Tokens per second and peak memory of training beside TRL's stock SFTTrainer: `make bench-distill-speed`.

Same model, same rows, same batches, low-rank adapters in both. Every run is a process of its own, the arms
in rotating order, so that whatever else the machine does hits both alike; what counts are ratios within a
repeat.
Speed is per CPU second of the process, of all updates after the first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from agent.models.local.chat import Chat
from agent.models.local.weights import context_of
from distill.recipes import recipe_named
from distill.render import TokenRow, tokenise
from distill.settings import TrainSettings
from distill.trainers.making import attention_of, make_trainer, weighted_table
from distill.trainers.models import open_model
from notebooks.bench_distill.arms import made
from notebooks.bench_distill.plan import TINY
from notebooks.bench_distill.pools import Worker, pool

ARMS = ("stock", "ours")
DATA = ("even", "ragged")
SITE = "maple 27"
OUT = Path(__file__).parent.parent / "docs" / "bench" / "distill-speed.md"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    tokens: int
    """Of rows, without padding, in the updates that were timed."""
    cpu_s: float
    wall_s: float
    peak_mib: float
    """Most memory while training, above what the process held before it."""


class Clock(TrainerCallback):
    """CPU and wall seconds at the end of every update."""

    def __init__(self) -> None:
        self.at: list[tuple[float, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, state, control, kwargs
        self.at.append((time.process_time(), time.perf_counter()))


def rows_of(data: str, n_rows: int) -> list[TokenRow]:
    """Household episodes of workers who err not at all to often; `even` ones are cut to one length."""
    workers = (Worker(0.0), Worker(0.2), Worker(0.5))
    dataset = made(recipe_named("step"), pool(SITE, 3 * n_rows, workers), 0)
    rows = sorted(tokenise(dataset.rows, Chat.open(TINY), context_of(TINY)), key=lambda row: len(row.tokens))
    if data == "ragged":
        return [rows[at * len(rows) // n_rows] for at in range(n_rows)]
    middle = rows[len(rows) // 2 :][:n_rows]
    length = len(middle[0].tokens)
    return [TokenRow(row.tokens[:length], row.weights[:length]) for row in middle]


def measured(arm: str, data: str, updates: int, folder: Path) -> Measured:
    """Train in this process."""
    torch.set_num_threads(1)
    settings = TrainSettings(epochs=0.01, min_updates=updates + 1, checkpoint_every=10_000)
    rows = rows_of(data, settings.batch_size * (updates + 1))
    model, chat, clock = open_model(TINY, None, settings, 0), Chat.open(TINY), Clock()
    if arm == "ours":
        trainer = make_trainer("nll", rows, model, chat, settings, folder, 0)
    else:
        trainer = _stock(rows, model, chat, settings, folder)
    trainer.add_callback(clock)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _memory("VmRSS")
    with attention_of("nll", model, settings) if arm == "ours" else nullcontext():
        trainer.train()
    peak = _memory("VmHWM") - before
    (cpu, wall), (cpu_end, wall_end) = clock.at[0], clock.at[-1]
    # The first batch is the warm-up; which rows it held does not matter in the mean.
    n_tokens = sum(len(row.tokens) for row in rows) * updates // (updates + 1)
    return Measured(n_tokens, cpu_end - cpu, wall_end - wall, peak)


def _stock(rows: list[TokenRow], model: Any, chat: Chat, settings: TrainSettings, folder: Path) -> Any:
    """TRL as its documentation has it for rows that are tokens already."""
    arguments = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        learning_rate=settings.learning_rate,
        max_length=None,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        seed=0,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        dataloader_pin_memory=False,
    )
    table = weighted_table(rows).remove_columns("loss_weights")
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=table, processing_class=chat.tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _memory(name: str) -> float:
    """MiB."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(arm: str, data: str, updates: int) -> Measured:
    """In a process of its own."""
    command = [sys.executable, __file__, "--arm", arm, "--data", data, "--updates", str(updates)]
    root = str(Path(__file__).parent.parent)
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": root},
    )
    return Measured(**json.loads(told.stdout.splitlines()[-1]))


def compare(repeats: int, updates: int) -> str:
    """All runs, and a table of ratios."""
    lines = [
        "| rows | tokens/s, ours ÷ stock | spread | peak memory, ours ÷ stock | spread |",
        "|---|---|---|---|---|",
    ]
    for data in DATA:
        speed, memory = [], []
        for repeat in range(repeats):
            order = ARMS if repeat % 2 == 0 else ARMS[::-1]
            found = {arm: run(arm, data, updates) for arm in order}
            stock, ours = found["stock"], found["ours"]
            speed.append((ours.tokens / ours.cpu_s) / (stock.tokens / stock.cpu_s))
            memory.append(ours.peak_mib / stock.peak_mib)
            print(data, repeat, found, flush=True)
        lines.append(f"| {data} | {_spread(speed)} | {_spread(memory)} |")
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} | {min(ratios):.2f} – {max(ratios):.2f}"


def main() -> None:
    """Without `--arm`: compare and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--data", choices=DATA)
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    if asked.arm is not None:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(asked.arm, asked.data, asked.updates, Path(folder))
        print(json.dumps({name: getattr(found, name) for name in Measured.__slots__}))
        return
    table = compare(asked.repeats, asked.updates)
    lengths = sorted(len(row.tokens) for row in rows_of("ragged", 8 * (asked.updates + 1)))
    trained = [weight > 0 for row in rows_of("ragged", 8 * (asked.updates + 1)) for weight in row.weights]
    asked.out.write_text(
        "# Speed of training\n\n"
        f"`make bench-distill-speed`: {asked.repeats} repeats of {asked.updates} updates of 8 rows, the"
        " bundled model, rank 16, float32, one CPU thread, TRL's stock SFTTrainer with padding beside it in"
        " rotating order. Ratios are within a repeat and per CPU second: the median, the lowest and the"
        " highest.\n\n"
        f"{table}\n\n"
        f"Rows are household episodes of workers who err at rates of 0, 0.2 and 0.5; `ragged` ones have"
        f" {lengths[0]} to {lengths[-1]} tokens (median {lengths[len(lengths) // 2]}),"
        f" {sum(trained) / len(trained):.0%} of which train. `even` ones are cut to one length: there is no"
        " padding to save, and what is left is that only trained tokens reach the output head.\n",
        encoding="utf-8",
    )
    print(table)


if __name__ == "__main__":
    main()
