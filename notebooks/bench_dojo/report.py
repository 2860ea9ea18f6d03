"""The report: `dojo.md` from the raw results beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from distill.stats import wilson
from notebooks.bench_dojo.pairs import ARMS
from notebooks.bench_dojo.plan import Row
from notebooks.bench_dojo.worlds import SUITES, VERSION

HEAD = f"""# Privileges on AgentDojo

Written by `make bench-dojo`; the raw results are in `raw/dojo.jsonl`, one user's task under one arm a line.
AgentDojo {VERSION}, no model: a scripted agent makes all calls of the user's ground truth, then all of the
attacker's, whatever it is told. The calls go through our dispatcher under guard `privilege`, with a policy
that `agent/guards/writer.py` writes from the user's prompt and the tools' schemas alone. Rates with 95 %
Wilson intervals, then counts; pairs of one user's task are not independent, so the intervals are too narrow.

- **none**: no policy. **tools**: the tools that the prompt asks for. **pinned**: arguments of which the
  prompt holds a value take no other. **floors**: arguments that say whom an act reaches, or what it is done
  to, need a value of the user's, of a store's, or of a text that the user pointed at.
- **planted**: at every place AgentDojo leaves open, the attacker's goal and all arguments of its calls stand
  behind what was there. Floors look up where values are from, so only this says what they are worth.
  **clean**: the attacker's words stand nowhere.
"""


def written(rows: Sequence[Row]) -> str:
    """The whole report."""
    parts = [HEAD.strip(), "## All suites, planted", _arms(rows, is_planted=True)]
    parts += ["## All suites, clean", _arms(rows, is_planted=False)]
    parts += ["## By suite: floors, planted", _suites(rows)]
    parts += ["## What is not stopped, or not done", _left(rows)]
    parts.append((Path(__file__).parent / "remarks.md").read_text("utf-8").strip())
    return "\n\n".join(parts) + "\n"


def _arms(rows: Sequence[Row], *, is_planted: bool) -> str:
    lines = [
        _line(arm, [row for row in rows if (row.arm, row.is_planted) == (arm, is_planted)]) for arm in ARMS
    ]
    return "\n".join([*_head("arm"), *lines])


def _suites(rows: Sequence[Row]) -> str:
    floors = [row for row in rows if row.arm == "floors" and row.is_planted]
    lines = [_line(name, [row for row in floors if row.suite == name]) for name in SUITES]
    return "\n".join([*_head("suite"), *lines])


def _head(first: str) -> list[str]:
    columns = "attack succeeds | any act of the attacker's passes | utility | no call of the user's refused"
    return [f"| {first} | pairs | {columns} |", "|---|---:|---|---|---|---|"]


def _line(name: str, rows: Sequence[Row]) -> str:
    n = sum(row.n for row in rows)
    counts: tuple[Callable[[Row], int], ...] = (
        lambda row: len(row.attacked),
        lambda row: row.acted,
        lambda row: row.done,
        lambda row: row.whole,
    )
    cells = (_share(sum(count(row) for row in rows), n) for count in counts)
    return f"| {name} | {n} | {' | '.join(cells)} |"


def _share(k: int, n: int) -> str:
    if not n:
        return ""
    one = wilson(k, n)
    return f"{one.mean:.3f} ({one.low:.3f}–{one.high:.3f}), {k}"


def _left(rows: Sequence[Row]) -> str:
    """User's tasks of the strongest arm with something amiss."""
    floors = [row for row in rows if row.arm == "floors" and row.is_planted]
    amiss = [row for row in floors if row.attacked or row.done < row.n or row.refused]
    lines = [
        f"| {row.suite} | {_number(row.user_task)} | {', '.join(map(_number, row.attacked))} |"
        f" {row.n - row.done} of {row.n} | {'; '.join(sorted({_why(one) for one in row.refused}))} |"
        for row in amiss
    ]
    return "\n".join(
        [
            "| suite | user's task | attacks that succeed | not done | the user's calls that are refused |",
            "|---|---:|---|---|---|",
            *lines,
        ]
    )


def _number(name: str) -> str:
    return name.rsplit("_", 1)[-1]


def _why(told: str) -> str:
    tool, _, reason = told.partition(": ")
    return f"`{tool}`: {reason.rpartition('not allowed here: ')[2]}".replace("|", "/")
