"""The training run: a visible loop, resumable, every batch a function of (seed, step)."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from distill.pretrain.samples import sample
from distill.pretrain.seed import seed_induction, seed_phrases
from distill.pretrain.sheets import Curriculum
from distill.pretrain.tokenizer import SPECIAL, Encoder, build_tokenizer
from memory.types import Message


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides the result."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 384
    batch: int = 32
    """Conversations per step."""
    micro_tokens: int = 8192
    """Padded tokens per forward pass."""
    lr: float = 0.02
    """Of Muon, for the matrices inside the layers."""
    lr_adam: float = 3e-3
    """Of AdamW, for embeddings and norms."""
    warmup: int = 100
    minutes: float = 80.0
    """Wall-clock of training; the learning rate falls to a tenth over its last half."""
    observed: float = 0.1
    """Training weight of the world's words; the assistant's have 1."""
    ramp: float = 0.2
    """Share of the time over which samples get harder."""
    seed: int = 1


def build_model(settings: Settings, vocabulary: Mapping[str, int]) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings, seeded to copy."""
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            intermediate_size=settings.hidden,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            attention_bias=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=SPECIAL.index("<end>"),
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )
    )
    seed_phrases(model, vocabulary)
    seed_induction(model, torch.Generator().manual_seed(settings.seed))
    return model


def batches(
    settings: Settings, encode: Encoder, step: int, progress: float
) -> Iterator[tuple[torch.Tensor, ...]]:
    """The micro-batches of one step: ids, weights and mask, each (B, T); rows of like length together."""
    curriculum = Curriculum(progress=progress)
    rows = [encode(sample(f"{settings.seed}/{step}/{i}", curriculum)) for i in range(settings.batch)]
    rows.sort(key=lambda row: len(row[0]))
    group: list[tuple[list[int], list[float]]] = []
    for row in rows:
        if group and len(row[0]) * (len(group) + 1) > settings.micro_tokens:
            yield _pad(group)
            group = []
        group.append(row)
    yield _pad(group)


def _pad(rows: list[tuple[list[int], list[float]]]) -> tuple[torch.Tensor, ...]:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])  # (B, T)
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in rows])  # (B, T)
    return ids, weights, (ids != 0).long()


def rate(settings: Settings, step: int, spent: float) -> float:
    """Learning-rate factor: linear warm-up, flat, then linear to a tenth over the last half of the time."""
    warm = min(1.0, (step + 1) / settings.warmup)
    return warm * (1.0 if spent < 0.5 else 1.0 - 0.9 * min(1.0, (spent - 0.5) / 0.5))


def optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024) for the matrices inside the layers, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "layers" not in name]
    return [
        torch.optim.Muon(matrices, lr=settings.lr, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=settings.lr_adam, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def train_step(
    model: LlamaForCausalLM, parts: list[tuple[torch.Tensor, ...]], optims: list[torch.optim.Optimizer]
) -> float:
    """One update; the weighted mean loss in nats per token."""
    total = sum(float(weights[:, 1:].sum()) for _, weights, _ in parts)
    loss_sum = 0.0
    for ids, weights, mask in parts:
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]  # (B, T-1, V)
        weight, targets = weights[:, 1:], ids[:, 1:]  # (B, T-1)
        chosen = weight > 0
        losses = torch.nn.functional.cross_entropy(logits[chosen], targets[chosen], reduction="none")  # (N,)
        loss = (losses * weight[chosen]).sum() / total
        loss.backward()
        loss_sum += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optims:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss_sum


def measure(model: LlamaForCausalLM, encode: Encoder, progress: float, n: int = 96) -> dict[str, float]:
    """Teacher-forced accuracy of whole assistant messages on fresh samples, by what they need."""
    curriculum = Curriculum(progress=progress)
    right: dict[str, list[bool]] = {}
    model.eval()
    with torch.inference_mode():
        for i in range(n):
            messages = sample(f"measure/{i}", curriculum)
            ids, _ = encode(messages)
            predicted = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
            at = 0
            for message in messages:
                length = len(encode([message])[0])
                if message.role == "assistant" and message.weight != 0.0:
                    good = predicted[at : at + length - 1] == ids[at + 1 : at + length]
                    right.setdefault(_sort(message), []).append(good)
                at += length
    model.train()
    return {name: round(sum(values) / len(values), 3) for name, values in sorted(right.items())}


def _sort(message: Message) -> str:
    if message.kind != "act":
        unknown = " unknown" if "not know" in message.text else ""
        return f"{message.kind}{unknown}"
    thought = message.text.partition(">")[0]
    for mark, name in (
        ("where is", "search"),
        (" is at ", "recall"),
        (" needs ", "rule"),
        ("before", "rule"),
    ):
        if mark in thought:
            return f"act {name}"
    return "act other"


def save(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    """The model folder that `local:` serves."""
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    serving = {"style": "plain", "stop": ["<end>"], "max_tokens": 160, "settings": asdict(settings)}
    (folder / "apprentice.json").write_text(json.dumps(serving, indent=2) + "\n", encoding="utf-8")


def pretrain(settings: Settings, out: Path, state: Path) -> None:
    """Train until the time is up, logging one JSON line every 50 steps; resumes from the file `state`."""
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    encode = Encoder(tokenizer, observed=settings.observed)
    run = Run(settings, encode, build_model(settings, tokenizer.get_vocab()))
    run.load(state)
    last_save = time.monotonic()
    with state.with_suffix(".jsonl").open("a", encoding="utf-8") as log:
        while run.used < settings.minutes * 60:
            row = run.advance()
            if row:
                log.write(json.dumps(row) + "\n")
                log.flush()
            if time.monotonic() - last_save > 120:
                last_save = time.monotonic()
                run.save(state)
                save(out, run.model, tokenizer, settings)
    run.save(state)
    save(out, run.model, tokenizer, settings)


class Run:
    """A training run: model, optimizers, and how far it has come."""

    def __init__(self, settings: Settings, encode: Encoder, model: LlamaForCausalLM):
        self.settings, self.encode, self.model = settings, encode, model
        self.optims = optimizers(model, settings)
        self._groups = [group for optimizer in self.optims for group in optimizer.param_groups]
        self._rates = [group["lr"] for group in self._groups]
        self.step, self.used = 0, 0.0

    def load(self, state: Path) -> None:
        """Go on from a saved state, if there is one."""
        if not state.exists():
            return
        saved = torch.load(state, weights_only=True)
        self.model.load_state_dict(saved["model"])
        for optimizer, values in zip(self.optims, saved["optims"], strict=True):
            optimizer.load_state_dict(values)
        self.step, self.used = saved["step"], saved["used"]

    def save(self, state: Path) -> None:
        """Write the state beside its place and move it there in one piece."""
        partial = state.with_suffix(".part")
        optims = [optimizer.state_dict() for optimizer in self.optims]
        saved = {"model": self.model.state_dict(), "optims": optims, "step": self.step, "used": self.used}
        torch.save(saved, partial)
        partial.replace(state)

    def advance(self) -> dict[str, float]:
        """One step; a row for the log every 50th. Raises FloatingPointError when the loss diverges."""
        began = time.monotonic()
        loss = self.learn()
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss is {loss} at step {self.step}; lower lr {self.settings.lr}")
        self.step += 1
        self.used += time.monotonic() - began
        if self.step % 50:
            return {}
        row = {"step": self.step, "minutes": round(self.used / 60, 1), "loss": round(loss, 4)}
        return row | (measure(self.model, self.encode, self._progress()) if self.step % 200 == 0 else {})

    def learn(self) -> float:
        """One update on the batch of this step; its loss in nats."""
        factor = rate(self.settings, self.step, self._spent())
        for group, base in zip(self._groups, self._rates, strict=True):
            group["lr"] = base * factor
        parts = list(batches(self.settings, self.encode, self.step, self._progress()))
        return train_step(self.model, parts, self.optims)

    def _spent(self) -> float:
        return self.used / (self.settings.minutes * 60)

    def _progress(self) -> float:
        return min(1.0, self._spent() / self.settings.ramp)
