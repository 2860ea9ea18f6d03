"""How an adapter is trained. Plain data, recorded in its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Defaults suit models of about a million weights; for billions lower the learning rate tenfold."""

    method: Literal["lora", "full"] = "lora"
    """Low-rank adapters on every linear layer but the output head, or all weights."""
    rank: int = 16
    """Rank of the low-rank update."""
    alpha: int = 32
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """On the input of the update while training."""
    learning_rate: float = 2e-3
    """Peak, after warm-up; decays to a tenth by a cosine."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    epochs: float = 8.0
    """Passes over the rows."""
    min_updates: int = 48
    """Few rows are passed over more often, until there are so many updates."""
    batch_size: int = 8
    """Rows in one forward pass."""
    accumulation: int = 1
    """Forward passes in one update; gradients are exact sums whatever the split."""
    warmup: float = 0.05
    """Part of the updates over which the learning rate rises."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    checkpoint_every: int = 50
    """Updates between checkpoints, from which a killed run goes on."""
    beta: float | None = None
    """How closely `prefer`, `unpaired` and `regress` keep to the model they start from; left out: 0.1, and 1
    for `regress`, whose log-ratio it scales to the advantage."""
    packing: bool = True
    """Rows of `nll` follow each other without padding; the loss is the same."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: slower, smaller."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the arithmetic; `bfloat16` on GPUs only, and weights that train stay float32."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train."""
    processes: int = 1
    """Above 1 training runs under `accelerate launch`: sharded (FSDP) on GPUs, replicated on the CPU. Each
    takes `batch_size` rows."""
    threads: int = 1
    """CPU threads of one operation."""
