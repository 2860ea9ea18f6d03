"""Writes docs/bench/worlds.md and its picture from the raw results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from notebooks.bench_learning.curves import Floats, Interval, resampled
from notebooks.bench_learning.notes import Record, Records
from notebooks.bench_learning.stage import table
from notebooks.bench_worlds.drift import ARMS as STREAMS
from notebooks.bench_worlds.play import ARMS, STEPS
from notebooks.bench_worlds.plot import draw

HERE = Path(__file__).parent
SHIPPED = "as shipped"


def write(out: Path) -> None:
    """The report beside the folder of raw results, from what is there."""
    records = Records.of(out / "raw", "worlds")
    parts = [
        "# Learning where nobody here wrote the task",
        "Written by `make bench-worlds`; the raw results are in `raw/worlds-*.jsonl`.",
        (HERE / "remarks.md").read_text(encoding="utf-8").strip(),
        "![Success along a life, and along a stream whose customs change](worlds.png)",
        *(part for policy in policies(records) for part in _played(records, policy)),
        *_drift(records),
        (HERE / "method.md").read_text(encoding="utf-8").strip(),
    ]
    (out / "worlds.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    draw(records, out / "worlds.png")


def policies(records: Records) -> list[str]:
    """Those that have played, in the order of their names, backwards: `stranger` is what this is about."""
    return sorted({one["policy"] for one in records.where("life")}, reverse=True)


def by_task(rows: Iterable[Record], of: str) -> Floats:
    """A property (1, seeds, tasks), as `resampled` wants it; seeds that have not ended are left out."""
    ordered = sorted(rows, key=lambda one: (one["seed"], one["place"]))
    seeds = [[float(one[of]) for one in own] for _, own in groupby(ordered, key=lambda one: one["seed"])]
    longest = max(map(len, seeds), default=0)
    return np.asarray([[own for own in seeds if len(own) == longest]], dtype=np.float64)


def _played(records: Records, policy: str) -> Iterator[str]:
    unseen = {arm: records.where("unseen", policy=policy, arm=arm) for arm in ARMS}
    tries = [records.where("retries", policy=policy, turn=turn) for turn in (0, 1)]
    off = unseen["off"]
    yield f"## `{policy}` in ALFWorld's engine"
    life = {arm: records.where("life", policy=policy, arm=arm) for arm in ("both", "off")}
    n_life, n = by_task(life["off"], "success").size, by_task(off, "success").size
    seeds = by_task(off, "success").shape[1]
    yield (
        f"{seeds} seeds; {n_life} games of the train split to live on, each met once, then {n} of"
        f" `valid_seen` with memory as it was left, at most {STEPS} steps. 95 % intervals by"
        " bootstrap over seeds and tasks; gains are paired."
    )
    head = ("", "success, %", "gain over off", "steps", "tokens a task", "items / principles shown")
    rows = [_row(ARMS[arm].said, unseen[arm], off) for arm in ARMS if unseen[arm]]
    if tries[0]:
        rows.append(_row("Reflexion, first try", tries[0], off))
        rows.append(_row("Reflexion, second try: a retry, not a gain on new tasks", tries[1], off))
    yield "Games of `valid_seen`:\n\n" + table(head, rows)
    yield "The life itself, by quarters of it:\n\n" + table(
        ("", *("first", "second", "third", "last"), "all", "gain over off"),
        [_quarters(said, life[arm], life["off"]) for arm, said in (("off", "off"), ("both", "learning"))],
    )
    kinds = sorted({one["kind"] for one in off})
    yield "`valid_seen` by kind of task, success in %:\n\n" + table(
        ("", *(ARMS[arm].said for arm in ARMS)),
        [
            (kind, *(_percent(one for one in unseen[arm] if one["kind"] == kind) for arm in ARMS))
            for kind in kinds
        ],
    )


def _percent(rows: Iterable[Record]) -> str:
    won = [one["success"] for one in rows]
    return f"{100 * sum(won) / len(won):.0f}" if won else "–"


def _row(said: str, rows: Sequence[Record], off: Sequence[Record]) -> tuple[str, ...]:
    own, base = by_task(rows, "success"), by_task(off, "success")
    gain = "–" if rows is off or own.shape != base.shape else resampled(own - base).said()
    shown = [sum(one[of] for one in rows) / max(1, len(rows)) for of in ("items", "principles")]
    tokens = sum(one["tokens"] for one in rows) / max(1, len(rows))
    steps = resampled(by_task(rows, "steps")).said(1.0)
    return said, resampled(own).said(), gain, steps, f"{tokens:,.0f}", "{:.1f} / {:.1f}".format(*shown)


def _quarters(said: str, rows: Sequence[Record], off: Sequence[Record]) -> tuple[str, ...]:
    own, base = by_task(rows, "success"), by_task(off, "success")
    parts = [f"{100 * part.mean():.0f}" for part in np.array_split(own, 4, axis=2)]
    gain = "–" if rows is off or own.shape != base.shape else resampled(own - base).said()
    return said, *parts, resampled(own).said(), gain


def _drift(records: Records) -> Iterator[str]:
    days = {arm: records.where("drift", arm=arm) for arm in STREAMS}
    if not days["off"]:
        return
    steps, won = ({arm: stream(rows, of) for arm, rows in days.items()} for of in ("steps", "won"))
    n_seeds, n_tasks = steps["off"].shape[1:]
    yield "## A thousand tasks, and the customs change half-way"
    yield (
        f"{n_seeds} seeds of {n_tasks:,} tasks. Steps fewer than with memory off on the same tasks, by"
        " quarters of the stream; 95 % intervals by bootstrap over seeds and tasks."
    )
    head = ("steps saved", *(f"{place} quarter" for place in ("first", "second", "third", "last")))
    yield table(
        head,
        [
            (arm, *(one.said(1.0, 2) for one in saved(steps["off"], steps[arm])))
            for arm in STREAMS[1:]
            if days[arm]
        ],
    )
    yield table(
        ("success, %", *head[1:]),
        [
            (arm, *(f"{100 * part.mean():.1f}" for part in np.array_split(won[arm], 4, axis=2)))
            for arm in STREAMS
            if days[arm]
        ],
    )
    yield table(
        ("after", *(f"{n:,} tasks" for n in _marks(n_tasks))),
        [
            (f"{arm}: {said}", *(_at(days[arm], of, n) for n in _marks(n_tasks)))
            for arm in STREAMS[1:]
            for of, said in (
                ("living", "living items"), ("items", "items ever"),
                ("prompt", "characters of memory in a prompt"),
                ("act_ms", "ms of CPU to play a task"), ("learn_ms", "ms of CPU to learn from it"),
            )
            if days[arm] and arm != STREAMS[-1]
        ],
    )  # fmt: skip


def stream(days: Sequence[Record], of: str) -> Floats:
    """A property of every task of a stream, (1, seeds, tasks)."""
    ordered = sorted(days, key=lambda one: (one["seed"], one["day"]))
    seeds = [
        [float(value) for day in own for value in day[of]]
        for _, own in groupby(ordered, key=lambda one: one["seed"])
    ]
    longest = max(map(len, seeds), default=0)
    return np.asarray([[own for own in seeds if len(own) == longest]], dtype=np.float64)


def saved(off: Floats, own: Floats) -> list[Interval]:
    """Fewer steps than off, by quarters."""
    return [resampled(part) for part in np.array_split(off - own, 4, axis=2)]


def _marks(n_tasks: int) -> list[int]:
    return [n_tasks * quarter // 4 for quarter in (1, 2, 3, 4)]


def _at(days: Sequence[Record], of: str, n: int) -> str:
    """The mean over seeds of the last five days before the n-th task."""
    per_day = len(days[0]["won"])
    last = n // per_day - 1
    found = [np.mean(one[of]) for one in days if last - 5 < one["day"] <= last]
    return f"{np.mean(found):,.0f}"


if __name__ == "__main__":
    write(HERE.parents[1] / "docs" / "bench")
