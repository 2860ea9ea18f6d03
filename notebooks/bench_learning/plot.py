"""The picture: success and steps against episodes lived, a line an arm, with intervals."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from notebooks.bench_learning.curves import Arms, curve

COLOURS = {
    "ours": "#c0392b",
    "reflexion": "#8e44ad",
    "per-case Q": "#27ae60",
    "episodic": "#2980b9",
    "cosine, told why": "#16a085",
    "cosine": "#f39c12",
    "off": "#626567",
}


def draw(arms: Arms, path: Path) -> None:
    """Write it; nothing without lanes."""
    if not arms.sites:
        return
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2))
    for axis, of, scale, title in (
        (axes[0], "success", 100.0, "success, %"),
        (axes[1], "steps", 1.0, "steps"),
    ):
        for name, colour in COLOURS.items():
            if name not in arms.names:
                continue
            points = curve(arms.by_episode(name, of))
            x = [place for place, _ in points]
            axis.plot(x, [scale * one.mean for _, one in points], marker="o", color=colour, label=name)
            low, high = [scale * one.low for _, one in points], [scale * one.high for _, one in points]
            axis.fill_between(x, low, high, color=colour, alpha=0.12)
        axis.set(xlabel="episodes lived at the site", ylabel=title)
    axes[0].set_ylim(0, 100)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=len(COLOURS), fontsize=8)
    figure.tight_layout(rect=(0.0, 0.06, 1.0, 1.0))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
