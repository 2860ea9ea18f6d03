"""The report of a distillation as one HTML page: no script, nothing from elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from distill.seeing.job import ArmSeen, Seen
from distill.seeing.pieces import Line, largest, lines_of
from distill.types import Row

WIDTH, HEIGHT = 640, 160
"""Of drawings, in pixels."""
SHOWN = 12
"""Rows on a page, unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An arm's success and its interval, in hundredths."""

    arm: str
    suite: str
    at: float
    low: float
    high: float
    told: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row as it is shown."""

    row: Row
    lines: tuple[Line, ...]
    top: float


def page(seen: Seen, *, shown: int = SHOWN) -> str:
    """Verdict, arms with intervals, data, masks, loss, cost, and the first rows with weights as colours."""
    return _template().render(
        seen=seen,
        bars=_bars(seen),
        loss=_polyline(seen.losses),
        width=WIDTH,
        height=HEIGHT,
        masks=_masks(seen.rows),
        examples=[Example(row, lines_of(row), largest(row)) for row in seen.rows[:shown]],
    )


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("report.html")


def _bars(seen: Seen) -> list[Bar]:
    return [
        Bar(arm, suite, 100 * one.success, 100 * one.ci[0], 100 * one.ci[1], _told(one))
        for suite, arms in seen.report.arms.items()
        for arm, one in arms.items()
    ]


def _told(one: ArmSeen) -> str:
    low, high = one.ci
    return f"{100 * one.success:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def _polyline(values: Sequence[float]) -> str:
    """Points of a curve, the largest value at the top, 0 at the bottom."""
    if len(values) < 2:
        return ""
    top = max(values) or 1.0
    step = WIDTH / (len(values) - 1)
    return " ".join(f"{n * step:.1f},{HEIGHT * (1 - value / top):.1f}" for n, value in enumerate(values))


def _masks(rows: Sequence[Row]) -> dict[str, int]:
    """How many messages train, and why the others do not."""
    told = dict.fromkeys(("train", "are unlearned", "are memory", "were wrong", "are context"), 0)
    for row in rows:
        for line in lines_of(row):
            fates = {piece.fate for piece in line.pieces}
            if "trains" in fates:
                told["train"] += 1
            elif "against" in fates:
                told["are unlearned"] += 1
            elif "memory" in fates:
                told["are memory"] += 1
            else:
                told["were wrong" if line.is_wrong else "are context"] += 1
    return told
