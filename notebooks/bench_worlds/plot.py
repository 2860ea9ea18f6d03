"""The picture: success along a life in ALFWorld, steps saved along a stream whose customs change."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from notebooks.bench_learning.curves import Floats, curve
from notebooks.bench_learning.notes import Record, Records

COLOURS = {"learning": "#c0392b", "off": "#626567"}
STREAMS = {"as shipped": "#c0392b", "tidied": "#2980b9", "frozen at the change": "#f39c12"}


def draw(records: Records, path: Path) -> None:
    """Write it, from what is there."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2))
    names = sorted({one["policy"] for one in records.where("life")})
    for name in names:
        for arm, said in (("both", "learning"), ("off", "off")):
            rows = _lanes(records.where("life", policy=name, arm=arm))
            points = curve(rows, min(6, rows.shape[1]))
            x, y = [place for place, _ in points], [100 * one.mean for _, one in points]
            style = "-" if name == names[-1] else "--"
            axes[0].plot(x, y, style, marker="o", color=COLOURS[said], label=f"{name}, {said}")
            low, high = ([100 * getattr(one, end) for _, one in points] for end in ("low", "high"))
            axes[0].fill_between(x, low, high, color=COLOURS[said], alpha=0.1)
    axes[0].set(xlabel="games lived", ylabel="success, %", ylim=(0, 100))
    off = _stream(records.where("drift", arm="off"))
    for arm, colour in STREAMS.items():
        own = _stream(records.where("drift", arm=arm))
        if own.shape != off.shape or not own.size:
            continue
        points = curve(off - own, min(10, off.shape[1]))
        x = [place for place, _ in points]
        axes[1].plot(x, [one.mean for _, one in points], marker="o", color=colour, label=arm)
        axes[1].fill_between(
            x, [one.low for _, one in points], [one.high for _, one in points], color=colour, alpha=0.12
        )
        axes[1].axvline(off.shape[1] / 2, color="#626567", linestyle=":")
    axes[1].set(xlabel="tasks met; other customs from the dotted line on", ylabel="steps saved against off")
    for axis in axes:
        if axis.has_data():
            axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _lanes(rows: list[Record]) -> Floats:
    """Success of every game in the order it was met: (seeds, games)."""
    seeds = sorted({one["seed"] for one in rows})
    own = [
        [float(one["success"]) for one in sorted(rows, key=lambda one: one["place"]) if one["seed"] == seed]
        for seed in seeds
    ]
    shortest = min(map(len, own), default=0)
    return np.asarray([one[:shortest] for one in own])


def _stream(days: list[Record]) -> Floats:
    """Steps of every task of a stream: (seeds, tasks)."""
    seeds = sorted({one["seed"] for one in days})
    ordered = sorted(days, key=lambda one: one["day"])
    return np.asarray([[s for day in ordered if day["seed"] == seed for s in day["steps"]] for seed in seeds])
