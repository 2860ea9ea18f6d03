"""The tables of the co-operative proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from agent.builders.ops import BuilderName
from distill.stats import Interval, bootstrap_mean
from notebooks.bench_learning.notes import Record, Records
from notebooks.bench_learning.stage import met, table

NOTHING = "nothing"


def tables(records: Records) -> list[str]:
    """Who did how many tasks, what was built, and what it cost."""
    found = records.where("cooperative")
    if not found:
        return []
    rows = [_row(arm, found) for arm in found[0]["done"]]
    n = sum(len(tasks) for one in found for tasks in one["done"][NOTHING].values())
    return [
        "## A constitution from elsewhere, for an agent without cases",
        f"World `estate`; {len(found)} constitutions a way ({len({one['word'] for one in found})} owners), "
        f"{n} tasks an arm at sites nobody worked at; 95 % by bootstrap over sites and seeds.",
        table(("served", "tasks done, %", "more than with nothing", "better / worse at"), rows),
        "What was built of 30 episodes at three sites:",
        table(BUILT, [_made(name, found) for name in found[0]["built"]]),
    ]


BUILT = (
    "builder",
    "principles",
    "seen at two sites",
    "owners' rules among them",
    "model calls",
    "tokens to build",
    "tokens to calibrate",
    "proposals rejected",
)


def gains(arm: str, found: Sequence[Record]) -> list[float]:
    """Share of tasks done more than with nothing, by site and seed."""
    return [
        (sum(tasks) - sum(one["done"][NOTHING][site])) / len(tasks)
        for one in found
        for site, tasks in one["done"][arm].items()
    ]


def _row(arm: str, found: Sequence[Record]) -> list[str]:
    done = [sum(tasks) / len(tasks) for one in found for tasks in one["done"][arm].values()]
    more = gains(arm, found)
    better, worse = (sum(sign * one > 0 for one in more) for sign in (1, -1))
    return [arm, _said(bootstrap_mean(done)), _said(bootstrap_mean(more)), f"{better} / {worse}"]


def _said(one: Interval) -> str:
    return f"{100 * one.mean:.0f} ({100 * one.low:.0f} to {100 * one.high:.0f})"


def _made(name: str, found: Sequence[Record]) -> list[str]:
    built = [one["built"][name] for one in found]
    rules = [(set(one["rules"]), set(one["built"][name]["kept"])) for one in found]
    hit = sum(len(wanted & kept) for wanted, kept in rules)

    def mean(key: str) -> float:
        return float(np.mean([one[key] for one in built]))

    return [
        name,
        f"{np.mean([len(one['texts']) for one in built]):.1f}",
        f"{np.mean([len(one['kept']) for one in built]):.1f}",
        f"{hit} of {sum(len(wanted) for wanted, _ in rules)}",
        *(f"{mean(key):,.0f}" for key in ("calls", "building", "calibration")),
        f"{mean('rejected'):.1f}",
    ]


def goals(records: Records) -> list[tuple[str, str, str]]:
    """Each way of building lifts a fresh agent elsewhere."""
    found = records.where("cooperative")
    if not found:
        return []
    told = []
    for name in get_args(BuilderName):
        more = bootstrap_mean(gains(f"{name}, cut", found))
        said = f"{_said(more)} points"
        told.append((f"a {name} constitution lifts a fresh agent elsewhere", said, met(more.low > 0.0)))
    return told
