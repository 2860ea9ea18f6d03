"""Figures by a panel of critics: a plan of the figure, a program that draws it, and three who look at it.

Source: Goswami et al. 2025 (PlotGen), arXiv 2502.00988: planner, coder that mends what does not run,
then numeric, lexical and visual feedback in turn. Deviation: the numbers are given as a table and never pass
through a model.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from agent.critics import drawing as reader
from agent.critics.figure import Drawing, Kind, Series, Wanted, lexical, numeric
from agent.critics.looks import seen, visual
from agent.deliberate.asking import about, again, draft, json_of
from agent.deliberate.mechanism import (
    Candidate,
    Critic,
    Deliberation,
    Round,
    accepted,
    after,
    deliberate,
    each,
    each_wrong,
    first_of,
    ranked,
)
from agent.deliberate.presets import is_open
from agent.deliberate.running import Execute, code_of
from agent.types import Ask, Judgement, Request
from memory.codec import from_json
from memory.errors import BadInput, ModelError
from memory.types import Json, Message

Column = tuple[float | str, ...]
_PLAN = """Plan one figure for this. Columns of the table: {columns}. Answer with JSON: `kind` (line, scatter
or bar), `x` a column, `y` columns of numbers, and, where the request says so, `title`, `x_label`, `y_label`,
and `colours` as #rrggbb by column."""
_CODE = """Write a Python program with matplotlib that draws this figure. A dict `table` holds its columns as
lists. Leave the figure open; neither save nor show it. One code block.

{plan}"""
_MEND = """Of the figure, the {critic} critic says:

{feedback}

Write the whole program once more, in one code block."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One table to be shown, and where programs are run; they need matplotlib there."""

    execute: Execute
    table: Mapping[str, Column]
    rounds: int = 6
    """Most repairs."""
    looks: bool = False
    """Is a model asked to look at the picture? It must take images."""
    name: str = "panel"

    def takes(self, request: Request) -> bool:
        """Open questions; they should ask for a figure of the table."""
        return is_open(request)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """Programs that draw the figure, best first. Raises ModelError where no figure is planned."""
        wanted, plan = await self._planned(request, ask)
        studio = _Studio(self.execute, self.table)
        told = "\n".join(one.text for one in request.messages if one.role == "user")

        async def generate() -> Round:
            said = given[:1] or [
                (await ask(again(request, Message("user", _CODE.format(plan=plan)))))[0].message
            ]
            return (Candidate(said[0]),)

        async def mend(candidate: Candidate) -> Round:
            (fault,) = candidate.faults
            words = _MEND.format(critic=fault.critic, feedback=fault.judgement.feedback)
            asked = again(request, draft(candidate.message), Message("user", words, kind="critique"))
            return (Candidate((await ask(asked))[0].message, parent=candidate),)

        async def eyes(drawing: Drawing) -> Judgement:
            judgement = visual(drawing, wanted)
            return await seen(ask, told, drawing) if judgement.ok and self.looks else judgement

        critics = (
            each("runs", studio.runs),
            studio.critic("numeric", _pure(numeric, wanted)),
            studio.critic("lexical", _pure(lexical, wanted)),
            studio.critic("visual", eyes),
        )
        stop = first_of(accepted, after(self.rounds))
        return await deliberate(generate, critics, each_wrong(mend), ranked, stop)

    async def _planned(self, request: Request, ask: Ask) -> tuple[Wanted, str]:
        columns = list(self.table)
        schema = _plan_schema(columns)
        plan = await json_of(ask, about(request, _PLAN.format(columns=", ".join(columns))), schema)
        if plan is None:
            raise ModelError(f"no figure was planned of the columns {columns}: ask a model that writes JSON")
        return _wanted(plan, self.table), json.dumps(plan)


class _Studio:
    """Draws each program once."""

    def __init__(self, execute: Execute, table: Mapping[str, Column]) -> None:
        self._execute = execute
        self._table = {name: list(column) for name, column in table.items()}
        self._drawn: dict[str, Drawing] = {}

    async def runs(self, candidate: Candidate) -> Judgement:
        program = code_of(candidate.text)
        show = f"_reader = {{}}\nexec({inspect.getsource(reader)!r}, _reader)\n_reader['show']()"
        ran = await self._execute(f"table = {self._table!r}\n{program}\n{show}\n")
        lines = [line for line in ran.out.splitlines() if line.startswith(reader.MARK)]
        if not ran.ok or not lines:
            return Judgement(0.0, False, ran.error or "it ended before the figure could be looked at")
        try:
            drawn = from_json(Drawing, json.loads(lines[-1].removeprefix(reader.MARK)))
        except (BadInput, json.JSONDecodeError) as error:
            return Judgement(0.0, False, f"the figure cannot be read: {error}")
        self._drawn[program] = drawn
        return Judgement(1.0, None)

    def critic(self, name: str, judge: Callable[[Drawing], Awaitable[Judgement]]) -> Critic:
        async def of(candidate: Candidate) -> Judgement:
            return await judge(self._drawn[code_of(candidate.text)])

        return each(name, of)


def _pure(
    critic: Callable[[Drawing, Wanted], Judgement], wanted: Wanted
) -> Callable[[Drawing], Awaitable[Judgement]]:
    async def judge(drawing: Drawing) -> Judgement:
        return critic(drawing, wanted)

    return judge


def _plan_schema(columns: Sequence[str]) -> dict[str, Json]:
    named: dict[str, Json] = {"enum": list(columns)}
    properties: dict[str, Json] = {
        "kind": {"enum": ["line", "scatter", "bar"]},
        "x": named,
        "y": {"type": "array", "items": named, "minItems": 1},
        **{name: {"type": "string"} for name in ("title", "x_label", "y_label")},
        "colours": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
        },
    }
    return {"type": "object", "properties": properties, "required": ["kind", "x", "y"]}


def _wanted(plan: Mapping[str, Json], table: Mapping[str, Column]) -> Wanted:
    colours = cast(Mapping[str, str], plan.get("colours") or {})
    series = [
        Series(name, table[str(plan["x"])], tuple(map(float, table[name])), colours.get(name))
        for name in cast(list[str], plan["y"])
    ]
    texts = {
        key: None if plan.get(key) is None else str(plan[key]) for key in ("title", "x_label", "y_label")
    }
    return Wanted(cast(Kind, plan["kind"]), tuple(series), **texts)
