"""Writes docs/bench/learning.md and its picture from the raw results."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from notebooks.bench_learning import ablations, cooperative, cost, null, planted, poison
from notebooks.bench_learning.arms import MAIN, MORE, Arm
from notebooks.bench_learning.curves import Arms, resampled, site_wins
from notebooks.bench_learning.notes import Records
from notebooks.bench_learning.plot import draw
from notebooks.bench_learning.stage import table

HERE = Path(__file__).parent
PROOFS = (planted, null, poison, cooperative, ablations, cost)
"""Each writes tables of its own, and says which goals it met."""
AGAINST = (
    *("off", "cosine", "cosine, told why", "episodic", "per-case Q", "per-case Q, told why"),
    "reflexion",
)
DISJOINT = ("off", "cosine", "cosine, told why")


def write(out: Path) -> None:
    """The report beside the folder of raw results, from what is there."""
    records = Records.of(out / "raw")
    arms, more = Arms(records, "curve"), Arms(records, "variant")
    parts = [
        "# Learning on the job",
        f"Written by `make bench-learning`; the raw results are in `raw/learning-*.jsonl`, one JSON object a "
        f"line. {_machine()}",
        (HERE / "remarks.md").read_text(encoding="utf-8").strip(),
        "![Success against episodes](learning.png)",
        "## What was asked for",
        table(
            ("goal", "measured", "met"), [*_goals(arms), *(one for p in PROOFS for one in p.goals(records))]
        ),
        *_compared("## Systems as published, and ours as shipped", arms, MAIN),
        *_compared("## The same constitution, and what else may be switched on", more, {**MAIN, **MORE}),
        *(part for proof in PROOFS for part in proof.tables(records)),
        (HERE / "method.md").read_text(encoding="utf-8").strip(),
    ]
    (out / "learning.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    draw(arms, out / "learning.png")


def _machine() -> str:
    return f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}, one thread."


def _goals(arms: Arms) -> Iterator[tuple[str, str, str]]:
    if not arms.sites or "ours" not in arms.names:
        return
    ours = arms.by_task("ours", "success")
    for name in (one for one in AGAINST if one in arms.names):
        theirs = arms.by_task(name, "success")
        mine, other, gain = resampled(ours), resampled(theirs), resampled(ours - theirs)
        yield f"area under the curve above {name}", f"{gain.said()} points", _met(gain.low > 0.0)
        if name in DISJOINT:
            said = f"{mine.said()} against {other.said()}"
            yield f"its interval disjoint from that of {name}", said, _met(mine.low > other.high)


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _compared(title: str, arms: Arms, known: Mapping[str, Arm]) -> list[str]:
    if not arms.sites or "ours" not in arms.names:
        return []
    head = (
        *(
            "",
            "success, % (area under the curve)",
            "sites drawn too",
            "ours − it, paired",
            "sites ahead / behind",
        ),
        *("first meeting, %", "unseen at the end, %", "steps", "items / principles shown"),
    )
    rows = [_row(name, arms) for name in arms.names]
    said = "; ".join(f"*{name}*: {known[name].said}" for name in arms.names)
    n = len(arms.lived("ours"))
    sites = f"{len(arms.sites)} held-out sites, {arms.seeds} seeds, {n:,} episodes an arm."
    return [
        title,
        f"{sites} 95 % intervals by bootstrap over seeds and tasks, sites fixed. {said}.",
        table(head, rows),
    ]


def _row(name: str, arms: Arms) -> list[str]:
    ours, own = arms.by_task("ours", "success"), arms.by_task(name, "success")
    gain = "–" if name == "ours" else resampled(ours - own).said()
    wins = "–" if name == "ours" else "{} / {}".format(*site_wins(ours, own))
    lived = arms.lived(name)
    shown = [sum(getattr(one, of) for one in lived) / len(lived) for of in ("items", "principles")]
    return [
        name,
        resampled(own).said(),
        resampled(own, sites=True).said(),
        gain,
        wins,
        resampled(arms.by_task(name, "success", first=True)).said(),
        resampled(arms.by_task(name, "success", frozen=True)).said(),
        resampled(arms.by_task(name, "steps")).said(1.0),
        "{:.1f} / {:.1f}".format(*shown),
    ]
