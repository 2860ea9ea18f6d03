"""Wrong advice that comes with success: who notices, the naive counter or the lift?

At each site one poisoned case among honest ones. Its words are those of easy tasks, which are done anyway, so
that it is in view when things go well; what it says, where one of those things is, is false. The honest cases
say where things of hard tasks are, which often fail all the same. A counter of rewards prefers the poison; a
coin that now and then holds a case out tells what each adds.

Which tasks are easy and which hard for `tiny` is found on one half of a site's tasks; the runs are on the
other. An operator wrote the house rules. Cases are read by nearness alone, and nothing is learned but what
they are worth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from agent.loop import Agent
from agent.opening import AgentSettings, Run
from agent.types import Model
from distill.stats import Interval, bootstrap_mean
from memory.core import Memory
from memory.recall.choosing import RecallSettings
from memory.value.means import prior_mean, shrunken
from notebooks.bench_learning.notes import Notes, Record, Records
from notebooks.bench_learning.plan import Plan
from notebooks.bench_learning.scenes import WORLD, Scene, case, order, probe, remember, scene
from notebooks.bench_learning.stage import (
    at_once,
    counted,
    fresh_memory,
    met,
    rules_of,
    table,
    tell,
    tiny,
)

SITES = (
    *("birch 39", "pearl 21", "thistle 21", "alder 22", "ruby 32", "clover 26", "hill 30", "hazel 37"),
    *("maple 21", "olive 42", "mill 26"),
)
"""Held-out sites without a forbidden place where some tasks are done once the rules are known."""
DROP = 0.5
LOOKS = (40, 80, 120, 160)
"""Episodes after which values are read."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is thought of a case at one look."""

    name: str
    n: int
    held: int
    naive: float
    """Mean reward with it in view, as it is counted."""
    shrunk_mean: float
    """The same, drawn to that of all cases."""
    lift: float
    shrunk_lift: float
    status: str


async def live(
    here: Scene, seed: int, model: Model, memory: Memory, episodes: int
) -> tuple[list[dict[str, object]], list[int]]:
    """Easy and hard tasks in turn; what every case is thought to be worth at each look, and the rewards."""
    namespace = f"poison/{here.site}/{seed}"
    tell(memory, namespace, here.site, rules_of(WORLD, here.site))
    cases = {f"honest-{kind.thing}": case(here.site, (kind,), is_true=True) for kind in here.hard}
    cases["poison"] = case(here.site, here.easy, is_true=False)
    names = remember(memory, namespace, cases)
    agent = Agent(model, memory, settings=AgentSettings(k=1, drop_rate=DROP))
    found: list[dict[str, object]] = []
    rewards = []
    for number, task in enumerate(order(here, seed, episodes), 1):
        episode, _ = await counted(agent, memory, task, Run(namespace, "ada", f"{namespace}/{number}"))
        rewards.append(int(episode.outcome == "success"))
        if number in LOOKS or number == episodes:
            found += [{"episodes": number, **asdict(value)} for value in values(memory, namespace, names)]
    return found, rewards


def values(memory: Memory, namespace: str, names: Mapping[str, str]) -> list[Value]:
    """What is thought of every case now; `names` by id."""
    lifts = {one.item.id: one for one in memory.lifts(namespace)}
    items = {id_: memory.get(namespace, id_) for id_ in names}
    prior = prior_mean([item.utility for item in items.values()])
    found = []
    for id_, item in items.items():
        lift, utility = lifts.get(id_), item.utility
        found.append(
            Value(
                names[id_],
                utility.n,
                utility.held_out_n,
                utility.reward_sum / utility.n if utility.n else prior,
                shrunken(utility, prior),
                lift.lift.mean if lift else 0.0,
                lift.shrunk if lift else 0.0,
                item.status,
            )
        )
    return found


def measure(plan: Plan) -> None:
    """Probe, set the scenes, run; what is in the notes is not done again."""
    if plan.part[0]:
        return
    # By nearness alone: a case must not lose its exposures to what is thought of it.
    with fresh_memory(plan, RecallSettings(utility_weight=0.0)) as memory, tiny() as model:
        asyncio.run(_measure(plan, model, memory))


async def _measure(plan: Plan, model: Model, memory: Memory) -> None:
    notes = Notes(plan.notes("poison"))
    sites, seeds, episodes = (SITES[:1], range(1), 20) if plan.is_quick else (SITES, range(5), LOOKS[-1])
    for site in sites:
        if not notes.has("poison-probe", site=site):
            notes.add("poison-probe", site=site, kinds=await probe(site, model, memory))
    probed = {one["site"]: one["kinds"] for one in Records.of(plan.out).where("poison-probe")}
    scenes = [scene(site, probed[site]) for site in sites]

    async def keep(here: Scene, seed: int) -> None:
        found, rewards = await live(here, seed, model, memory, episodes)
        notes.add("poison", site=here.site, seed=seed, values=found, rewards=rewards)

    todo = [(here, seed) for here in scenes if here for seed in seeds]
    fresh = [one for one in todo if not notes.has("poison", site=one[0].site, seed=one[1])]
    await at_once([partial(keep, *one) for one in fresh])


def ranked_below(rows: Sequence[Record], by: str) -> float:
    """Share of honest cases that the poison stands below, half for a tie; rows of one namespace and look."""
    poison = next(float(row[by]) for row in rows if row["name"] == "poison")
    others = [float(row[by]) for row in rows if row["name"] != "poison"]
    return sum((poison < one) + 0.5 * (poison == one) for one in others) / len(others)


COUNTERS = (
    ("naive", "mean reward, as counted"),
    ("shrunk_mean", "the same, drawn to all cases'"),
    ("lift", "lift"),
    ("shrunk_lift", "lift, drawn to its family's"),
)


def tables(records: Records) -> list[str]:
    """How often the poison stands below honest cases, by what is counted and how much was lived."""
    lanes = records.where("poison")
    if not lanes:
        return []
    looks = sorted({row["episodes"] for lane in lanes for row in lane["values"]})
    rows = []
    for key, name in COUNTERS:
        shares = [_shares(lanes, look, key) for look in looks]
        rows.append([name, *(f"{one.mean:.0%} ({one.low:.0%} to {one.high:.0%})" for one in shares)])
    gone = [f"{_gone(lanes, look, 'poison')} / {_gone(lanes, look, 'honest')}" for look in looks]
    rows.append(["quarantined, poison / honest cases", *gone])
    last = [row for lane in lanes for row in lane["values"] if row["episodes"] == looks[-1]]
    worth = [
        [
            name,
            *(
                f"{np.mean([row[key] for row in last if row['name'].startswith(name)]):+.2f}"
                for key, _ in COUNTERS
            ),
        ]
        for name in ("poison", "honest")
    ]
    n_sites = len({lane["site"] for lane in lanes})
    return [
        "## Poison that comes with success",
        f"{len(lanes)} runs at {n_sites} sites; share of honest cases above the poison, 95 % over runs.",
        table(("counted", *(f"after {look} episodes" for look in looks)), rows),
        f"Means after {looks[-1]} episodes:",
        table(("case", *(name for _, name in COUNTERS)), worth),
    ]


def _shares(lanes: Sequence[Record], look: int, key: str) -> Interval:
    seen = [[row for row in lane["values"] if row["episodes"] == look] for lane in lanes]
    return bootstrap_mean([ranked_below(rows, key) for rows in seen if rows])


def _gone(lanes: Sequence[Record], look: int, name: str) -> str:
    rows = [
        row
        for lane in lanes
        for row in lane["values"]
        if row["episodes"] == look and row["name"].startswith(name)
    ]
    return f"{sum(row['status'] == 'quarantined' for row in rows)} of {len(rows)}"


def goals(records: Records) -> list[tuple[str, str, str]]:
    """The lift puts the poison last; the counter does not notice."""
    lanes = records.where("poison")
    if not lanes:
        return []
    last = max(row["episodes"] for lane in lanes for row in lane["values"])
    naive, lift = (_shares(lanes, last, key) for key in ("naive", "shrunk_lift"))
    said = "{:.0%} ({:.0%} to {:.0%}) of honest cases above it".format
    return [
        (
            "poison falls below honest cases in lift",
            said(lift.mean, lift.low, lift.high),
            met(lift.low > 0.5),
        ),
        (
            "the naive counter does not notice (chance: 50 %)",
            said(naive.mean, naive.low, naive.high),
            met(naive.low <= 0.5),
        ),
    ]
