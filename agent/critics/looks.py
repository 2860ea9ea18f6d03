"""The critic of a figure's looks: can everything be seen and told apart? By pixels, and by a model with eyes.

Source: Goswami et al. 2025 (PlotGen), arXiv 2502.00988: visual feedback. Deviation: overlaps, hidden marks
and colours are measured; a model is asked about the rest, if there is one that can see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from agent.critics.figure import Drawing, Wanted, Writing, judged, shows
from agent.deliberate.asking import json_of
from agent.types import Ask, Judgement, Request
from memory.types import Image, Json, Message, Text

OVERLAP = 0.15
"""Share of the smaller of two texts that may lie under the other."""
FEW = 6
"""Pixels of its colour under which a mark cannot be seen."""
ALIKE = 60
"""Sum of the differences of channels, 0..765, under which two colours look the same."""
_LOOK = """This figure was made for this request:

{request}

Look at its colours and layout, and at how easy it is to read. Answer with JSON: `ok` true or false, and
`feedback`, what has to change."""
_SEEN: Mapping[str, Json] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "feedback": {"type": "string"}},
    "required": ["ok"],
}


def visual(drawing: Drawing, wanted: Wanted) -> Judgement:
    """Are texts, marks and colours there to be seen, and the colours those that are wanted? Pure."""
    faults = [*_hidden_texts(drawing), *_hidden_marks(drawing), *_wrong_colours(drawing, wanted)]
    return judged(faults, len(drawing.texts) + sum(len(axes.marks) for axes in drawing.axes))


async def seen(ask: Ask, request: str, drawing: Drawing) -> Judgement:
    """What a model that can see says of the picture; what cannot be read says nothing."""
    picture = Image(f"data:image/png;base64,{drawing.png}")
    asked = Request((Message("user", (Text(_LOOK.format(request=request)), picture)),))
    said = await json_of(ask, asked, _SEEN)
    if said is None:
        return Judgement(0.5, None)
    return Judgement(float(bool(said["ok"])), bool(said["ok"]), str(said.get("feedback", "")))


def _hidden_texts(drawing: Drawing) -> Iterator[str]:
    for one in drawing.texts:
        left, bottom, right, top = one.box
        if min(left, bottom) < -1.0 or right > drawing.width + 1.0 or top > drawing.height + 1.0:
            yield f"{one.text!r} is cut off at the edge"
    for one, other in combinations(drawing.texts, 2):
        if _overlap(one, other) > OVERLAP:
            yield f"{one.text!r} and {other.text!r} overlap"


def _hidden_marks(drawing: Drawing) -> Iterator[str]:
    marks = [(axes, mark) for axes in drawing.axes for mark in axes.marks]
    for axes, mark in marks:
        name = mark.label or mark.kind
        if _distance(mark.colour, axes.background) < ALIKE:
            yield f"{name!r} can hardly be seen: {mark.colour} on {axes.background}"
        elif mark.pixels < FEW:
            yield f"{name!r} cannot be seen: it is covered, or outside of the axes"
    for (_, one), (_, other) in combinations(marks, 2):
        if _distance(one.colour, other.colour) < ALIKE:
            yield f"{one.label!r} and {other.label!r} have the same colour, {one.colour}"


def _wrong_colours(drawing: Drawing, wanted: Wanted) -> Iterator[str]:
    for series in wanted.series:
        for axes in drawing.axes:
            for mark in axes.marks:
                if (
                    series.colour
                    and shows(axes, mark, series)
                    and _distance(mark.colour, series.colour) > ALIKE
                ):
                    yield f"{series.name!r} is {mark.colour}, wanted is {series.colour}"


def _overlap(one: Writing, other: Writing) -> float:
    """Area in common, as a share of the smaller one's."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    least = min((w.box[2] - w.box[0]) * (w.box[3] - w.box[1]) for w in (one, other))
    return width * height / least if width > 0.0 and height > 0.0 and least > 0.0 else 0.0


def _distance(one: str, other: str) -> int:
    return sum(abs(int(one[at : at + 2], 16) - int(other[at : at + 2], 16)) for at in (1, 3, 5))
