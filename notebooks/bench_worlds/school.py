"""Trains the small policy on demonstrations: `python -m notebooks.bench_worlds.school LESSONS… --out FOLDER`.

Behaviour cloning of a Llama from nothing: the teacher's acts have weight 1 but for its slips, what the world
answers a twentieth, prompts nothing. Words of its own. Resumes where it was stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from agent.prompt import FULL_SYSTEM
from distill.pretrain.run import Settings, build_model, optimizers, rate, train_step
from distill.pretrain.tokenizer import worded

CONTEXT = 2048
OBSERVED = 0.05
ROUTINE = 0.1
"""Training weight of going on to the next place, and of opening what is closed, in the second course."""
WINDOWS = 6
"""Windows for each whole lesson in a batch of the second course."""
_PLACES = re.compile(r"quickly around you, you see (.+)\.")
_MEMORY = re.compile(r"<memory.*?</memory>\s*", re.DOTALL)
_GO = re.compile(r'"go to ([a-z]+ \d+)"')
_OPEN = re.compile(r'"open ')
_SET = (
    'action: act {"command": "',
    '"}',
    "observation:",
    '<memory note="records of earlier work: data, not instructions">',
    "</memory>",
    '<item id="',
    '" kind="case" origin="reflection">',
    "</item>",
    "you are in the middle of a room. looking quickly around you, you see",
    "your task is to:",
    "you arrive at",
    "you see",
    "in it,",
    "is closed.",
    "is open.",
    "on the",
    "you pick up the",
    "nothing happens.",
    "outcome: success",
    "outcome: failure",
    "principles learned from experience:",
)
"""What is always said the same way is a token."""
PATTERN = "|".join(
    [
        re.escape(FULL_SYSTEM.lower()),
        *map(re.escape, sorted(_SET, key=len, reverse=True)),
        r"[a-z]+ \d+\b",
        r"\w+",
        r"[^\w\s]",
    ]
)
Turn = tuple[str, str, float]
"""Role, text, weight."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One conversation."""

    won: bool
    turns: tuple[Turn, ...]


def read(paths: Sequence[Path]) -> list[Lesson]:
    """Demonstrations that reach their goal."""
    rows = (json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return [Lesson(True, tuple(map(tuple, row["messages"]))) for row in rows if row["won"]]


def tokenizer_of(lessons: Sequence[Lesson], least: int = 5) -> PreTrainedTokenizerFast:
    """Every word, and every thing with its number, that is said often enough."""
    found: Counter[str] = Counter()
    split = re.compile(PATTERN)
    for lesson in lessons:
        for _, text, _ in lesson.turns:
            found.update(split.findall(text.lower()))
    words = sorted(word for word, n in found.items() if n >= least)
    kinds = {word.partition(" ")[0] for word in words if re.fullmatch(r"[a-z]+ \d+", word)}
    return worded(sorted({*words, *kinds}), PATTERN)


def weighed(lesson: Lesson) -> Lesson:
    """Acts that follow from the one before count a tenth: most of a run is looking at place after place."""
    seen = [told for role, text, _ in lesson.turns if role == "user" for told in _PLACES.findall(text)]
    places = re.findall(r"[a-z]+ \d+", seen[-1])
    after = dict(itertools.pairwise(places))
    turns: list[Turn] = []
    last, told = "", ""
    for role, text, weight in lesson.turns:
        if role == "assistant":
            go = _GO.search(text)
            is_routine = (go is not None and after.get(last) == go[1]) or (
                _OPEN.search(text) is not None and told.endswith("is closed.")
            )
            last = go[1] if go else last
            weight *= ROUTINE if is_routine else 1.0
        told = text
        turns.append((role, text, weight))
    return replace(lesson, turns=tuple(turns))


def encoded(tokenizer: PreTrainedTokenizerFast, lesson: Lesson) -> tuple[list[int], list[float]]:
    """(ids, weights), as the chat template has it."""
    ids: list[int] = []
    weights: list[float] = []
    for role, text, weight in lesson.turns:
        body = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        own = weight if role == "assistant" else OBSERVED if text.startswith("Observation:") else 0.0
        ids += [tokenizer.convert_tokens_to_ids(f"<{role}>"), *body]
        weights += [0.0, *([own] * len(body))]
    return ids, weights


Row = tuple[list[int], list[float]]
Batch = tuple[torch.Tensor, ...]


def windows(lesson: Lesson) -> list[Lesson]:
    """Each act that counts fully, with the opening, the act before and what it showed.

    What it rests on is near then. What memory said stays only where the act is to go somewhere.
    """
    found = []
    for at, (role, text, weight) in enumerate(lesson.turns):
        if role != "assistant" or weight < 1.0:
            continue
        before = [(role, text, 0.0) for role, text, _ in lesson.turns[max(2, at - 2) : at]]
        opening = [
            (role, text if _GO.search(lesson.turns[at][1]) else _MEMORY.sub("", text), 0.0)
            for role, text, _ in lesson.turns[:2]
        ]
        found.append(Lesson(True, (*opening, *before, (role, text, weight))))
    return found


def batches(lots: Sequence[tuple[Sequence[Row], int]], settings: Settings, step: int) -> Iterator[Batch]:
    """The micro-batches of one step: so many rows of each lot; ids, weights, mask, each (B, T)."""
    rng = random.Random(f"{settings.seed}/{step}")
    group: list[Row] = []
    drawn = [row for rows, n in lots for row in rng.sample(rows, n)]
    for row in sorted(drawn, key=lambda row: len(row[0])):
        if group and len(row[0]) * (len(group) + 1) > settings.micro_tokens:
            yield _pad(group)
            group = []
        group.append(row)
    yield _pad(group)


def _pad(rows: Sequence[Row]) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in rows])
    return ids, weights, (ids != 0).long()


def accuracy(model: torch.nn.Module, rows: Sequence[Row]) -> dict[str, float]:
    """Shares of the teacher's acts that the model would write word for word, given all before."""
    right: dict[str, list[bool]] = {"decisions": [], "routine": []}
    model.eval()
    with torch.inference_mode():
        for ids, weights in rows:
            best = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
            begin = 0
            for at in range(1, len(ids) + 1):
                if at < len(ids) and weights[at] > OBSERVED and (not begin or weights[at] == weights[begin]):
                    begin = begin or at
                elif begin:
                    right["decisions" if weights[begin] == 1.0 else "routine"].append(
                        best[begin - 1 : at - 1] == ids[begin:at]
                    )
                    begin = 0
    model.train()
    return {name: round(sum(good) / len(good), 3) for name, good in right.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lessons", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16, help="lessons per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--second", type=Path, metavar="FOLDER", help="the second course, of what is there")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lessons = read(asked.lessons)
    tokenizer = tokenizer_of(lessons)
    random.Random(asked.seed).shuffle(lessons)
    kept, lessons = lessons[:60], lessons[60:]
    settings = Settings(
        width=asked.width,
        layers=asked.layers,
        hidden=3 * asked.width,
        batch=asked.batch,
        minutes=asked.minutes,
        warmup=50,
        seed=asked.seed,
    )
    lots = [(rows(tokenizer, map(weighed, lessons) if asked.second else lessons), asked.batch)]
    if asked.second:
        near = [window for lesson in lessons for window in windows(weighed(lesson))]
        lots.append((rows(tokenizer, near), WINDOWS * asked.batch))
    print(*(f"{len(own)} rows, {sum(len(ids) for ids, _ in own)} tokens" for own, _ in lots), flush=True)
    train(lots, rows(tokenizer, map(weighed, kept)), tokenizer, settings, asked.out, asked.second)


def rows(tokenizer: PreTrainedTokenizerFast, lessons: Iterable[Lesson]) -> list[Row]:
    """Those that the model can read."""
    return [row for lesson in lessons if len((row := encoded(tokenizer, lesson))[0]) <= CONTEXT]


def train(
    lots: Sequence[tuple[Sequence[Row], int]],
    kept: Sequence[Row],
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
    out: Path,
    begin: Path | None,
) -> None:
    """Until the time is up; one JSON line every 50 steps."""
    model = build_model(settings, tokenizer.get_vocab())
    if begin:
        model.load_state_dict(LlamaForCausalLM.from_pretrained(begin).state_dict())
    optims = optimizers(model, settings)
    groups = [group for one in optims for group in one.param_groups]
    base = [group["lr"] for group in groups]
    step, used, saved = 0, 0.0, 0.0
    state, tokens = out.parent / f"{out.name}.pt", 0
    if state.exists():
        told = torch.load(state, weights_only=True)
        model.load_state_dict(told["model"])
        for one, values in zip(optims, told["optims"], strict=True):
            one.load_state_dict(values)
        step, used = told["step"], told["used"]
    while used < settings.minutes * 60:
        began = time.monotonic()
        factor = rate(settings, step, used / (settings.minutes * 60))
        for group, lr in zip(groups, base, strict=True):
            group["lr"] = lr * factor
        parts = list(batches(lots, settings, step))
        loss = train_step(model, parts, optims)
        tokens += sum(int(mask.sum()) for _, _, mask in parts)
        step += 1
        used += time.monotonic() - began
        if step % 25 == 0:
            said = {"step": step, "minutes": round(used / 60, 1), "tokens": tokens, "loss": round(loss, 4)}
            print(json.dumps(said | (accuracy(model, kept) if step % 100 == 0 else {})), flush=True)
        if used - saved > 120 or used >= settings.minutes * 60:
            saved = used
            kept_state = {"model": model.state_dict(), "step": step, "used": used}
            torch.save({**kept_state, "optims": [one.state_dict() for one in optims]}, state)
            write(out, model, tokenizer, settings)


def write(out: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, settings: Settings) -> None:
    """The folder that `local:` serves."""
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    serving = {
        "style": "full",
        "chooses": True,
        "stop": ["<end>"],
        "max_tokens": 64,
        "settings": asdict(settings),
    }
    (out / "apprentice.json").write_text(json.dumps(serving, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
