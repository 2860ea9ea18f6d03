"""Writes docs/bench/distill.md and its picture from the raw results."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import matplotlib as mpl
import torch
from scipy.stats import t

from notebooks.bench_learning.notes import Record, Records
from notebooks.bench_learning.stage import met, table

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
STUDIES = {
    "masks": "## Which words train: one pool, about a third of its acts wrong",
    "credit": "## Credit where nothing is marked: three workers, one good, one fair, one bad",
    "mixture": "## What is kept: shares of memory in the rows",
}
LEAST = 3
"""Sites that say something; a study that has been at fewer is not told of yet."""
Goal = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over sites and its 95 % interval by Student's t: sites, pools and seeds all differ."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one number a site."""
        mean = fmean(values)
        if len(values) < 2:
            return cls(mean, float("-inf"), float("inf"))
        half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
        return cls(mean, mean - half, mean + half)

    @property
    def share(self) -> Spread:
        """Within 0 and 1, as shares are."""
        return Spread(self.mean, max(0.0, self.low), min(1.0, self.high))

    def __str__(self) -> str:
        return f"{100 * self.mean:.0f} ({100 * self.low:.0f} to {100 * self.high:.0f})"


class Arms:
    """One study: every arm at the sites that all arms have been at."""

    def __init__(self, found: Sequence[Record]) -> None:
        self._by: dict[tuple[str, str], dict[str, Record]] = {}
        for one in found:
            self._by.setdefault((one["arm"], one.get("prefix", "")), {})[one["site"]] = one
        held = [set(sites) for sites in self._by.values()]
        both = sorted(set.intersection(*held)) if held else []
        self.sites = both if len(both) >= LEAST else []

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._by)

    def of(self, arm: str, start: str, what: str = "success", prefix: str = "") -> list[float]:
        """One number a site."""
        return [float(self._by[arm, prefix][site][start][what]) for site in self.sites]

    def less(self, one: str, other: str, start: str) -> Spread:
        """Success of one arm minus that of another, site by site."""
        pairs = zip(self.of(one, start), self.of(other, start), strict=True)
        return Spread.of([a - b for a, b in pairs])

    def rows(self) -> list[list[str]]:
        """Of the table."""
        made = []
        for arm, prefix in self:
            row = [f"{arm}, asked for {prefix!r}" if prefix else arm]
            row += [
                str(Spread.of(self.of(arm, start, prefix=prefix)).share) for start in ("clean", "stumbled")
            ]
            row.append(str(Spread.of(self.of(arm, "clean", "wrong", prefix)).share))
            if "retained" in next(iter(self._by[arm, prefix].values())):
                row.append(str(Spread.of(self.of(arm, "retained", prefix=prefix)).share))
            made.append(row)
        return made


def write(out: Path) -> None:
    """The report beside the folder of raw results, from what is there."""
    records = Records.of(out / "raw", "distill")
    studies = {name: Arms([*_of(records, name)]) for name in STUDIES}
    parts = [
        "# Memory into weights",
        f"Written by `make bench-distill`; the raw results are in `raw/distill-*.jsonl`, one JSON object a "
        f"line. Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}, one thread.",
        (HERE / "remarks.md").read_text(encoding="utf-8").strip(),
        "![Success after training, by recipe](distill.png)",
        "## What was asked for",
        table(("goal", "measured", "met"), [*_goals(studies), *_owner_goals(records)]),
    ]
    for name, arms in studies.items():
        if arms.sites:
            kept = ["what it could before, %"] if name == "mixture" else []
            titles = ("arm", "success, %", "after a first wrong act, %", "wrong acts, %", *kept)
            parts += [STUDIES[name], table(titles, arms.rows())]
    parts += [*_owner_tables(records), (HERE / "method.md").read_text(encoding="utf-8").strip()]
    (out / "distill.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    _draw(studies, out / "distill.png")


def _of(records: Records, study: str) -> Iterator[Record]:
    return (one for one in records.where("arm") if one.get("study") == study)


def _goals(studies: dict[str, Arms]) -> Iterator[Goal]:
    masks, credit, mixture = (studies[name] for name in STUDIES)
    if masks.sites:
        for other in ("all tokens", "clean only"):
            gain = masks.less("masked", other, "clean")
            yield f"masked not below {other}, clean start", f"{gain} points", met(gain.high >= 0)
        gain = masks.less("masked", "clean only", "stumbled")
        yield "masked far above clean only after a wrong act", f"{gain} points", met(gain.low > 0)
    if credit.sites:
        for other in ("successes", "cloning"):
            gain = credit.less("steps, A > 0", other, "clean")
            yield f"credit by steps above {other}", f"{gain} points", met(gain.low > 0)
        name = "behind its feedback"
        good, bad = (credit.of(arm, "clean", prefix=prefix) for arm, prefix in credit if arm == name)
        gap = Spread.of([a - b for a, b in zip(good, bad, strict=True)])
        yield "asked for success above asked for failure", f"{gap} points", met(gap.low > 0)
    if mixture.sites:
        kept = [fmean(mixture.of(f"{share}% memory", "retained")) for share in (100, 50, 20)]
        said = ", ".join(f"{100 * one:.0f}" for one in kept)
        yield "less memory in the rows keeps more of the rest", f"{said} %", met(kept == sorted(kept))


def _owner_goals(records: Records) -> Iterator[Goal]:
    found = records.where("arms")
    if found:
        base, memory, adapter, both = _means(found)
        share = (adapter - base) / (memory - base) if memory > base else 0.0
        said = f"{100 * share:.0f} % ({100 * base:.0f} → {100 * adapter:.0f}, memory {100 * memory:.0f})"
        yield "the weights hold 80 % of what memory gave", said, met(share >= 0.8)
        yield "memory and adapter not below either", f"{100 * both:.0f} %", met(both >= max(memory, adapter))
    lied = records.where("poison")
    if lied:
        same = all(one["unbelieved"] for one in lied)
        yield (
            "a stranger's lies reach no row",
            f"{len(lied)} of {len(lied)} sites" if same else "no",
            met(same),
        )
        gone = all(one["revoked"] for one in lied)
        yield "revoked, the rows are what they were, to the byte", "yes" if gone else "no", met(gone)
        harm = Spread.of([one["lied to"]["success"] - one["honest"]["success"] for one in lied])
        yield "believed, they harm (or this shows nothing)", f"{harm} points", met(harm.high < 0)


def _means(found: Sequence[Record]) -> list[float]:
    arms = ("base", "+memory", "+adapter", "+memory+adapter")
    return [fmean(float(one["arms"][arm]) for one in found) for arm in arms]


def _owner_tables(records: Records) -> Iterator[str]:
    found = records.where("arms")
    if found:
        yield "## What memory gave, in the weights"
        rows = [
            [one["site"], f"{100 * one['solved']:.0f}", str(one["rows"])]
            + [f"{100 * value:.0f}" for value in one["arms"].values()]
            + [f"{100 * one['kept'][arm]:.0f}" for arm in ("base", "+adapter")]
            for one in found
        ]
        elsewhere = ("elsewhere: base", "elsewhere: +adapter")
        titles = ("site", "solved at work, %", "rows", *found[0]["arms"], *elsewhere)
        yield table(titles, rows)
    lied = records.where("poison")
    if lied:
        yield "## A stranger's bundle"
        rows = [
            [
                one["site"],
                *(str(one[name]) for name in ("rows", "lies")),
                *(f"{100 * one[name]['success']:.0f}" for name in ("honest", "lied to")),
            ]
            for one in lied
        ]
        titles = ("site", "rows", "rows with the lies", "success, %", "success with the lies, %")
        yield table(titles, rows)


def _draw(studies: dict[str, Arms], path: Path) -> None:
    drawn = {name: arms for name, arms in studies.items() if arms.sites}
    if not drawn:
        return
    figure, axes = plt.subplots(1, len(drawn), figsize=(5 * len(drawn), 4), sharey=True, squeeze=False)
    for axis, (name, arms) in zip(axes[0], drawn.items(), strict=True):
        starts = ("clean", "stumbled", "retained") if name == "mixture" else ("clean", "stumbled")
        for place, start in enumerate(starts):
            found = [Spread.of(arms.of(arm, start, prefix=prefix)).share for arm, prefix in arms]
            at = [number + 0.25 * place for number in range(len(found))]
            half = [[max(0.0, s.mean - s.low) for s in found], [max(0.0, s.high - s.mean) for s in found]]
            axis.bar(at, [s.mean for s in found], 0.25, yerr=half, label=start, capsize=2)
        names = [f"{arm}\n{prefix.partition(',')[0]}".strip() for arm, prefix in arms]
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
        axis.set_title(name)
        axis.set_ylim(0, 1)
        axis.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.08), frameon=False)
    axes[0][0].set_ylabel("success")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
