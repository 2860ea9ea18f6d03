"""One picture of four: recall by size, writes, reopening, and evidence found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from records import Records
from tables import MODES, rate

COLOURS = {
    "ours": "#c0392b",
    "chroma": "#2980b9",
    "mem0-faiss": "#8e44ad",
    "mem0-qdrant": "#d2b4de",
    "lancedb": "#27ae60",
    "sqlite-vec": "#f39c12",
    "faiss-flat": "#bdc3c7",
    "faiss-ivf": "#95a5a6",
    "faiss-hnsw": "#626567",
    "dense": "#17202a",
    "bm25": "#7dcea0",
}


def draw(records: Records, path: Path) -> None:
    """Write the picture."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8))
    _by_size(records, axes[0, 0])
    _writes(records, axes[0, 1])
    _reopened(records, axes[1, 0])
    _quality(records, axes[1, 1])
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _by_size(records: Records, axis: Any) -> None:
    for name in records.names("asked", spaces=1):
        found = dict.fromkeys(records.values("n", "asked", name=name, spaces=1))
        sizes = sorted(found)
        times = [
            records.median("p50", "asked", name=name, n=n, spaces=1, **MODES["1 reader"]) or np.nan
            for n in sizes
        ]
        width = 3.0 if name == "ours" else 1.3
        axis.plot(sizes, 1000.0 * np.array(times), "o-", label=name, color=COLOURS.get(name), linewidth=width)
    axis.set(
        xscale="log", yscale="log", xlabel="items", ylabel="ms", title="recall with the vector given, p50"
    )
    axis.grid(alpha=0.3, which="both")
    if axis.lines:
        axis.legend(fontsize=7)


def _writes(records: Records, axis: Any) -> None:
    names = records.names("wrote", phase="writes")[::-1]
    rates = [
        float(np.median([rate(one) for one in records.where("wrote", phase="writes", name=name)]))
        for name in names
    ]
    axis.barh(names, rates, color=[COLOURS.get(name, "#aab7b8") for name in names])
    axis.set(xscale="log", xlabel="acknowledged writes a second, 64 threads", title="writes")
    axis.bar_label(axis.containers[0], fmt="{:,.0f}", fontsize=8, padding=2)
    axis.margins(x=0.2)


def _reopened(records: Records, axis: Any) -> None:
    for name in records.names("reopened"):
        found = records.where("reopened", name=name)
        seconds = float(np.median([one["open_s"] + one["first_s"] for one in found]))
        size = float(np.median([one["rss"] for one in found])) / 2**20
        axis.scatter(seconds, size, color=COLOURS.get(name), s=60)
        axis.annotate(name, (seconds, size), fontsize=8, xytext=(4, 4), textcoords="offset points")
    n = max(records.values("n", "reopened"), default=0)
    axis.set(xscale="log", yscale="log", xlabel="s to the first recall, imports apart", ylabel="resident MiB")
    axis.set_title(f"reopening {n:,} items")
    axis.grid(alpha=0.3, which="both")
    axis.margins(0.2)


def _quality(records: Records, axis: Any) -> None:
    for name in records.names("quality", corpus="locomo"):
        found = {
            one["k"]: float(np.mean(one["shares"]))
            for one in records.where("quality", corpus="locomo", name=name)
        }
        width = 3.0 if name == "ours" else 1.3
        axis.plot(
            list(found), list(found.values()), "o-", label=name, color=COLOURS.get(name), linewidth=width
        )
    axis.set(xlabel="k", ylabel="share of the evidence", title="LoCoMo: evidence among the first k")
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend(fontsize=7)
