"""Critics of a figure's numbers and words, by what is read off the figure itself. Pure.

Source: Goswami et al. 2025 (PlotGen), arXiv 2502.00988: numeric and lexical feedback; the visual one is in
`agent.critics.looks`. Deviation: no model looks for what can be read off exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.types import Judgement

Kind = Literal["line", "scatter", "bar"]


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers to be shown, under a name."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    colour: str | None = None
    """As `#rrggbb`; None: any."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a figure is to show."""

    kind: Kind
    series: tuple[Series, ...]
    title: str | None = None
    """None: some title."""
    x_label: str | None = None
    y_label: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A line, a cloud of dots, or bars."""

    kind: Kind
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: str
    pixels: int
    """Those of its colour within the axes, the legend left out."""


@dataclass(frozen=True, slots=True)
class Axes:
    """One coordinate system."""

    title: str
    x_label: str
    y_label: str
    legend: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    """Places on the x axis and what is written there."""
    background: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Writing:
    """A text and where it stands: left, bottom, right, top, in pixels."""

    text: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a figure shows, see `agent.critics.drawing`."""

    width: int
    height: int
    axes: tuple[Axes, ...]
    texts: tuple[Writing, ...]
    png: str
    """Base64."""


def numeric(drawing: Drawing, wanted: Wanted) -> Judgement:
    """Is every series there, as the kind of mark that is wanted, with all its numbers, and nothing else?"""
    return judged(list(_wrong_numbers(drawing, wanted)), len(wanted.series) + 1)


def lexical(drawing: Drawing, wanted: Wanted) -> Judgement:
    """Are title, axis labels and legend there, and do they say what is wanted?"""
    return judged(list(_wrong_words(drawing, wanted)), 3 + len(wanted.series))


def judged(faults: Sequence[str], n: int) -> Judgement:
    """Right where nothing was found in `n` things that were looked at."""
    return Judgement(max(0.0, 1.0 - len(faults) / max(1, n)), not faults, "\n".join(faults))


def _wrong_numbers(drawing: Drawing, wanted: Wanted) -> Iterator[str]:
    marks = [(axes, mark) for axes in drawing.axes for mark in axes.marks]
    shown = [mark for axes, mark in marks if any(shows(axes, mark, one) for one in wanted.series)]
    for one in wanted.series:
        fitting = [mark for axes, mark in marks if shows(axes, mark, one)]
        if not fitting:
            yield f"no mark shows the numbers of {one.name!r}{_nearest(marks, one)}"
        elif all(mark.kind != wanted.kind for mark in fitting):
            yield f"{one.name!r} is drawn as {fitting[0].kind}, wanted is {wanted.kind}"
    more = len(marks) - len(shown)
    if more and len(shown) >= len(wanted.series):
        yield f"{more} marks show numbers that nobody asked for"


def shows(axes: Axes, mark: Mark, series: Series) -> bool:
    """Has a mark the numbers of a series, in any order?"""
    if len(mark.y) != len(series.y):
        return False
    if any(isinstance(one, str) for one in series.x):
        named = sorted(zip([_tick(axes, one) for one in mark.x], mark.y, strict=True))
        names = sorted(zip(map(str, series.x), series.y, strict=True))
        return all(a[0] == b[0] and _same(a[1], b[1]) for a, b in zip(named, names, strict=True))
    drawn = sorted(zip(mark.x, mark.y, strict=True))
    given = sorted(zip(map(float, series.x), series.y, strict=True))
    return all(_same(a[0], b[0]) and _same(a[1], b[1]) for a, b in zip(drawn, given, strict=True))


def _nearest(marks: Sequence[tuple[Axes, Mark]], series: Series) -> str:
    """What is wrong with the mark that bears the name, or is the only one, in words."""
    mark = next((mark for _, mark in marks if mark.label == series.name or len(marks) == 1), None)
    if mark is None:
        return ""
    if len(mark.y) != len(series.y):
        return f": {len(mark.y)} values are drawn, {len(series.y)} are wanted"
    pairs = enumerate(zip(mark.y, series.y, strict=True), start=1)
    differs = next((f": value {at} is {a:g}, not {b:g}" for at, (a, b) in pairs if not _same(a, b)), None)
    return differs or ": they stand at other values of x"


def _wrong_words(drawing: Drawing, wanted: Wanted) -> Iterator[str]:
    for what, text, said in (
        ("title", wanted.title, [axes.title for axes in drawing.axes]),
        ("label of the x axis", wanted.x_label, [axes.x_label for axes in drawing.axes]),
        ("label of the y axis", wanted.y_label, [axes.y_label for axes in drawing.axes]),
    ):
        found = [one for one in said if one.strip()]
        if not found:
            yield f"there is no {what}" + (f": write {text!r}" if text else "")
        elif text is not None and _plain(text) not in map(_plain, found):
            yield f"the {what} is {found[0]!r}, wanted is {text!r}"
    if len(wanted.series) > 1:
        yield from _wrong_legend(drawing, wanted)


def _wrong_legend(drawing: Drawing, wanted: Wanted) -> Iterator[str]:
    written = {_plain(one) for axes in drawing.axes for one in axes.legend}
    for one in wanted.series:
        labels = [m.label for axes in drawing.axes for m in axes.marks if shows(axes, m, one)]
        if _plain(one.name) not in written:
            yield f"the legend does not name {one.name!r}"
        elif labels and _plain(one.name) not in map(_plain, labels):
            yield f"the legend calls the numbers of {one.name!r} {labels[0]!r}"


def _tick(axes: Axes, place: float) -> str:
    """What is written on the x axis nearest to a place."""
    return min(axes.ticks, key=lambda tick: abs(tick[0] - place))[1] if axes.ticks else ""


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
