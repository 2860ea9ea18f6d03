"""Figures before a panel: real ones with planted defects, each found by the right critic; the loop."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from agent.critics import drawing as reader
from agent.critics.drawing import look
from agent.critics.figure import Drawing, Kind, Series, Wanted, lexical, numeric
from agent.critics.looks import seen, visual
from agent.deliberate.panel import Panel
from agent.deliberate.running import Execute, Limited, Ran
from agent.types import Judgement, Request
from memory.codec import from_json
from memory.errors import ModelError
from memory.types import Image
from tests.agent.asks import Asked, last, question

MONTHS = (1.0, 2.0, 3.0, 4.0, 5.0)
NORTH = Series("north", MONTHS, (3.0, 5.0, 4.0, 6.0, 8.0), "#1f77b4")
SOUTH = Series("south", MONTHS, (7.0, 2.0, 1.0, 3.0, 9.0), "#d62728")
WANTED = Wanted("line", (NORTH, SOUTH), "Sales by region", "month", "sales")
Draw = Callable[[Figure], None]


def drawn(*changes: Draw, wanted: Wanted = WANTED) -> Drawing:
    """A right figure, then changed."""
    with mpl.rc_context(mpl.rcParamsDefault):
        figure = Figure()
        axes = figure.add_subplot()
        for one in wanted.series:
            match wanted.kind:
                case "line":
                    axes.plot(one.x, one.y, label=one.name, color=one.colour)
                case "scatter":
                    axes.scatter(one.x, one.y, label=one.name, color=one.colour)
                case "bar":
                    axes.bar(one.x, one.y, label=one.name, color=one.colour)
        axes.set(title=wanted.title, xlabel=wanted.x_label, ylabel=wanted.y_label)
        axes.legend()
        for change in changes:
            change(figure)
        return from_json(Drawing, look(figure))


def verdicts(drawing: Drawing, wanted: Wanted = WANTED) -> dict[str, Judgement]:
    return {
        "numeric": numeric(drawing, wanted),
        "lexical": lexical(drawing, wanted),
        "visual": visual(drawing, wanted),
    }


def test_nobody_objects_to_a_right_figure() -> None:
    """No false alarm of three critics on lines, dots and bars."""
    named = Series("sales", ("tea", "milk", "rice"), (4.0, 1.0, 3.0))
    figures = [
        WANTED,
        replace(WANTED, kind="scatter"),
        Wanted("bar", (named,), "Goods", "good", "sold"),
        Wanted("bar", (NORTH,), "North", "month", "sold"),
    ]
    for wanted in figures:
        found = verdicts(drawn(wanted=wanted), wanted)
        assert {one: (said.ok, said.feedback) for one, said in found.items()} == dict.fromkeys(
            found, (True, "")
        )
        assert all(said.score == 1.0 for said in found.values())


def axes_of(figure: Figure) -> Any:
    return figure.axes[0]


def set_line(at: int, y: tuple[float, ...]) -> Draw:
    return lambda figure: axes_of(figure).lines[at].set_ydata(y)


def as_dots(figure: Figure) -> None:
    for line in axes_of(figure).lines:
        line.set(linestyle="None", marker="o", markerfacecolor=line.get_color())


def swap_labels(figure: Figure) -> None:
    north, south = axes_of(figure).lines
    north.set_label("south")
    south.set_label("north")
    axes_of(figure).legend()


def squeeze(figure: Figure) -> None:
    axes_of(figure).set_xticks([1.0, 1.05, 1.1], ["January", "February", "March"])


DEFECTS: dict[str, tuple[str, str, Draw]] = {
    "a wrong value": ("numeric", "value 3 is 9, not 4", set_line(0, (3.0, 5.0, 9.0, 6.0, 8.0))),
    "numbers in another order": ("numeric", "'north'", set_line(0, NORTH.y[::-1])),
    "a missing series": ("numeric", "'south'", lambda f: axes_of(f).lines[1].remove()),
    "a series too many": ("numeric", "nobody asked", lambda f: axes_of(f).plot(MONTHS, [0.0] * 5, "g")),
    "another kind of figure": ("numeric", "wanted is line", as_dots),
    "points left out": (
        "numeric",
        "4 values",
        lambda f: axes_of(f).lines[0].set_data(MONTHS[:4], NORTH.y[:4]),
    ),
    "a wrong title": ("lexical", "'Sales by religion'", lambda f: axes_of(f).set_title("Sales by religion")),
    "no title": ("lexical", "no title", lambda f: axes_of(f).set_title("")),
    "a wrong axis label": ("lexical", "x axis is 'year'", lambda f: axes_of(f).set_xlabel("year")),
    "no axis label": ("lexical", "no label of the y axis", lambda f: axes_of(f).set_ylabel("")),
    "no legend": ("lexical", "'north'", lambda f: axes_of(f).get_legend().remove()),
    "names swapped": ("lexical", "calls the numbers of 'north' 'south'", swap_labels),
    "overlapping texts": ("visual", "overlap", squeeze),
    "a text off the edge": ("visual", "cut off", lambda f: axes_of(f).set_title("Sales by region", x=1.2)),
    "marks out of sight": ("visual", "cannot be seen", lambda f: axes_of(f).set_xlim(50.0, 60.0)),
    "white on white": ("visual", "hardly be seen", lambda f: axes_of(f).lines[0].set_color("#fdfdfd")),
    "one colour for both": ("visual", "same colour", lambda f: axes_of(f).lines[0].set_color("#d62728")),
    "another colour": ("visual", "wanted is #1f77b4", lambda f: axes_of(f).lines[0].set_color("#2ca02c")),
    "a mark under another": (
        "visual",
        "covered",
        lambda f: axes_of(f).add_patch(mpl.patches.Rectangle((0, 0), 9, 20, color="#eeeeee", zorder=9)),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_by_the_right_critic(name: str) -> None:
    """And by no other."""
    critic, said, change = DEFECTS[name]
    found = verdicts(drawn(change))
    assert {one for one, judgement in found.items() if not judgement.ok} == {critic}
    assert said in found[critic].feedback
    assert found[critic].score < 1.0


def test_permuted_numbers_are_objected_to_and_permuted_points_are_not() -> None:
    """Metamorphic: the figure stands, the data move."""
    drawing = drawn()
    turned = replace(NORTH, y=NORTH.y[1:] + NORTH.y[:1])
    assert not numeric(drawing, replace(WANTED, series=(turned, SOUTH))).ok
    both = replace(NORTH, x=NORTH.x[1:] + NORTH.x[:1], y=NORTH.y[1:] + NORTH.y[:1])
    assert numeric(drawing, replace(WANTED, series=(both, SOUTH))).ok


@pytest.mark.parametrize("kind", ["line", "scatter", "bar"])
def test_marks_are_read_off_as_they_were_drawn(kind: Kind) -> None:
    """Kind, label, numbers and colour of each."""
    wanted = replace(WANTED, kind=kind, series=(NORTH,))
    ((mark,),) = [axes.marks for axes in drawn(wanted=wanted).axes]
    assert (mark.kind, mark.label, mark.y, mark.colour) == (kind, "north", NORTH.y, NORTH.colour)
    assert mark.x == pytest.approx(MONTHS)
    assert mark.pixels > 50


def test_bars_that_lie_and_names_on_the_axis_are_read_too() -> None:
    """Horizontal bars by their lengths; named places by their ticks."""

    def lay(figure: Figure) -> None:
        axes_of(figure).clear()
        axes_of(figure).barh([1.0, 2.0], [5.0, 6.0])

    ((mark,),) = [axes.marks for axes in drawn(lay).axes]
    assert (mark.x, mark.y) == ((1.0, 2.0), (5.0, 6.0))
    wanted = Wanted("bar", (Series("sold", ("tea", "milk"), (4.0, 1.0)),))
    wrong = Wanted("bar", (Series("sold", ("tea", "rice"), (4.0, 1.0)),))
    assert numeric(drawn(wanted=wanted), wanted).ok
    assert not numeric(drawn(wanted=wanted), wrong).ok


async def test_a_model_that_sees_is_shown_the_picture_itself() -> None:
    """As an image part; what it says is its judgement; what cannot be read is none."""
    ask = Asked(lambda request: '{"ok": false, "feedback": "the legend hides a line"}')
    judgement = await seen(ask, "draw the sales", drawn())
    assert (judgement.ok, judgement.feedback) == (False, "the legend hides a line")
    (part,) = [one for one in ask.heard[0].messages[0].content if isinstance(one, Image)]
    assert part.url.startswith("data:image/png;base64,iVBOR")
    assert (await seen(Asked(lambda request: "nice"), "draw the sales", drawn())).ok is None


# The loop: a coder who makes one mistake after the other, and mends what it is told.

TABLE = {"month": MONTHS, "north": NORTH.y, "south": SOUTH.y}
PLAN = {
    "kind": "line",
    "x": "month",
    "y": ["north", "south"],
    "title": "Sales by region",
    "x_label": "month",
    "y_label": "sales",
}
RIGHT = """import matplotlib.pyplot as plt
figure, axes = plt.subplots()
for name in ("north", "south"):
    axes.plot(table["month"], table[name], label=name)
axes.set(title="Sales by region", xlabel="month", ylabel="sales")
axes.legend()"""
MISTAKES = {
    "runs": RIGHT.replace("axes.legend()", "axes.ledger()"),
    "numeric": RIGHT.replace("table[name]", "sorted(table[name])"),
    "lexical": RIGHT.replace("Sales by region", "Sales"),
    "visual": RIGHT.replace("label=name", "label=name, color='black'"),
}


@cache
def here() -> Execute:
    """Runs programs in this process, for speed; what comes of them is the same."""
    import contextlib
    import io

    import matplotlib.pyplot as plt

    async def execute(program: str) -> Ran:
        out = io.StringIO()
        plt.close("all")
        try:
            with (
                contextlib.redirect_stdout(out),
                mpl.rc_context(mpl.rcParamsDefault),
                mpl.rc_context({"backend": "Agg"}),
            ):
                exec(program, {"__name__": "program"})
        except (AttributeError, RuntimeError) as error:
            return Ran(False, out.getvalue(), repr(error))
        finally:
            plt.close("all")
        return Ran(True, out.getvalue())

    return execute


class Coder:
    """Plans, then writes the programs of its script in order, and likes each picture but the first."""

    def __init__(self, programs: list[str], plan: str = json.dumps(PLAN)) -> None:
        self.programs, self.plan, self.seen = programs, plan, 0

    def __call__(self, request: Request) -> str:
        if "Plan one figure" in last(request):
            return self.plan
        if request.schema is not None:
            self.seen += 1
            return json.dumps({"ok": self.seen > 1, "feedback": "make it larger"})
        return f"```python\n{self.programs.pop(0)}\n```"


async def test_each_mistake_is_found_in_turn_and_told_to_the_coder_until_nobody_objects() -> None:
    """What does not run, then numbers, words, looks."""
    ask = Asked(Coder([*MISTAKES.values(), RIGHT]))
    found = await Panel(here(), TABLE).on(question("Draw the sales"), ask)
    assert [one.faults[0].critic for (one,) in found.rounds[:-1]] == list(MISTAKES)
    assert (found.stopped, found.chosen[0].ok) == ("accepted", True)
    assert [name for name in MISTAKES if any(f"the {name} critic" in last(one) for one in ask.heard)] == list(
        MISTAKES
    )
    assert RIGHT in found.chosen[0].text


async def test_without_repair_the_best_of_what_there_is_comes_first() -> None:
    """Stopped by its limit; the mistake that was found last is the least."""
    found = await Panel(here(), TABLE, rounds=2).on(question("Draw"), Asked(Coder(list(MISTAKES.values()))))
    assert (found.stopped, len(found.rounds)) == ("2 repairs", 3)
    assert found.chosen[0].faults[0].critic == "lexical"


async def test_a_model_with_eyes_is_asked_when_the_rest_is_well() -> None:
    """Its objection is a visual fault; without `looks` nobody is asked."""
    coder = Coder([MISTAKES["visual"], RIGHT, RIGHT + "\n"])
    found = await Panel(here(), TABLE, looks=True).on(question("Draw"), Asked(coder))
    assert coder.seen == 2
    assert [one.faults[0].judgement.feedback for (one,) in found.rounds[:-1]][1:] == ["make it larger"]
    blind = Coder([RIGHT])
    await Panel(here(), TABLE).on(question("Draw"), Asked(blind))
    assert blind.seen == 0


async def test_a_figure_that_is_closed_and_a_plan_that_names_no_column_are_told() -> None:
    """The coder is told; without a plan there is nothing to draw."""
    closed = RIGHT + "\nplt.close()"
    found = await Panel(here(), TABLE).on(question("Draw"), Asked(Coder([closed, RIGHT])))
    assert "no figure is open" in found.rounds[0][0].faults[0].judgement.feedback
    plan = json.dumps({**PLAN, "x": "week"})
    with pytest.raises(ModelError, match="'month'"):
        await Panel(here(), TABLE).on(question("Draw"), Asked(Coder([RIGHT], plan)))


async def test_a_figure_is_drawn_and_read_in_a_process_of_its_own() -> None:
    """The reader's text runs behind the program, where nothing of ours can be imported."""
    assert "import agent" not in inspect.getsource(reader)
    execute = Limited(seconds=240.0, cpu_s=120, memory_bytes=4 << 30, packages=True)
    found = await Panel(execute, TABLE).on(question("Draw"), Asked(Coder([RIGHT])))
    assert found.chosen[0].ok, found.chosen[0].faults
