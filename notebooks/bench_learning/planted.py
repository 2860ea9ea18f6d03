"""A principle that helps and one that harms, on trial at held-out sites: what does the court make of them?

Nothing else is learned in these runs, so that what is decided is decided about the plant. Which plant helps
and which harms was found by a probe on the `gate` tasks before any run; the runs are on `work` tasks.

- helpful: the house's entry rule, nothing else is known;
- harmful: another house's entry rule, *ring bell before you take things.*, beside the right rules, which an
  operator wrote. `tiny` rings the bell then and forgets its feet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import numpy as np

from agent.loop import Agent
from agent.opening import AgentSettings, Run
from agent.types import Model
from agent.worlds.catalogue import catalogue
from distill.stats import wilson
from memory.core import Memory
from memory.types import Draft, Evidence, Lineage, PrincipleBody
from notebooks.bench_learning.notes import Notes, Record, Records
from notebooks.bench_learning.plan import Plan
from notebooks.bench_learning.stage import at_once, counted, fresh_memory, met, rules_of, table, tell, tiny

Kind = Literal["helpful", "harmful"]
WORLD = "household"
SITES = (
    *("birch 39", "pearl 21", "thistle 21", "alder 22"),
    *("ruby 32", "clover 26", "hill 30", "hazel 37"),
)
"""Of the held-out sites 20 to 79 all that have an entry rule other than the bell's, no forbidden place, and
of whose twelve probed tasks at least five were done with the rules known."""
WRONG = "ring bell before you take things."
PROBED = 12
TOLD = ("none", "entry", "rules", "rules and wrong")
EPISODES = 80
RATES = (0.5, 0.8)
RULINGS = {"helpful": ("active", "quarantined"), "harmful": ("quarantined", "active")}
"""By kind of plant: right and wrong."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One run: one plant in a namespace of its own."""

    kind: Kind
    site: str
    trial_rate: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.trial_rate}/{self.site}/{self.seed}"

    @property
    def text(self) -> str:
        return WRONG if self.kind == "harmful" else rules_of(WORLD, self.site)[0]

    @property
    def known(self) -> tuple[str, ...]:
        """What an operator wrote there."""
        return rules_of(WORLD, self.site) if self.kind == "harmful" else ()


@dataclass(frozen=True, slots=True)
class Trial:
    """How one plant fared."""

    status: str
    """At the end; `trial` where nothing was decided."""
    at: int | None
    """Episodes until the decision."""
    shown: int
    shown_done: int
    held: int
    held_done: int
    lift: float
    low: float
    high: float


def plants(rates: tuple[float, ...], sites: tuple[str, ...], seeds: range) -> Iterator[Plant]:
    for rate in rates:
        for site in sites:
            for seed in seeds:
                yield Plant("helpful", site, rate, seed)
                yield Plant("harmful", site, rate, seed)


async def try_plant(plant: Plant, model: Model, memory: Memory, episodes: int) -> Trial:
    """Episodes until the court has decided, `episodes` at most."""
    agent = Agent(model, memory, settings=AgentSettings(trial_rate=plant.trial_rate))
    kind = catalogue(WORLD)
    tasks = kind.tasks(site=plant.site, split="work", n=episodes, seed=plant.seed)
    item = await _planted(plant, agent, memory)
    status, at = "trial", None
    tally = {True: [0, 0], False: [0, 0]}
    for number, task in enumerate(tasks, 1):
        run = Run(plant.name, "ada", f"{plant.name}/{number}")
        episode, decisions = await counted(agent, memory, task, run)
        assert episode.recall is not None
        shown = next(one.shown for one in episode.recall.principles if one.item == item)
        tally[shown][0] += 1
        tally[shown][1] += episode.outcome == "success"
        made = next((one for one in decisions if one.item == item), None)
        if made is not None:
            status, at = made.status, number
            break
    known = next(one for one in memory.lifts(plant.name) if one.item.id == item)
    return Trial(status, at, *tally[True], *tally[False], known.lift.mean, known.low, known.high)


async def _planted(plant: Plant, agent: Agent, memory: Memory) -> str:
    """The plant on trial, vouched for by an episode of the only principal there is."""
    (task,) = catalogue(WORLD).tasks(site=plant.site, split="gate", n=1)
    run = Run(plant.name, "ada", f"{plant.name}/0", memory="off")
    memory.record(await agent.run(task, catalogue(WORLD).make(), run), principal="ada")
    tell(memory, plant.name, plant.site, plant.known)
    draft = Draft(
        "principle",
        plant.text,
        PrincipleBody("family", "symbolic", support=1),
        scope="family",
        family=plant.site,
        status="trial",
        lineage=Lineage((Evidence(run.episode_id, 0),)),
    )
    (item,) = memory.remember(plant.name, [draft], principal="ada", channel="reflection")
    return item.id


async def probe(site: str, model: Model, memory: Memory) -> dict[str, object]:
    """Tasks of the gate that are done: knowing nothing, the entry rule, all rules, and those and WRONG."""
    rules = rules_of(WORLD, site)
    told = dict(zip(TOLD, ((), rules[:1], rules, (*rules, WRONG)), strict=True))
    tasks = catalogue(WORLD).tasks(site=site, split="gate", n=PROBED, seed=3)
    agent = Agent(model, memory)
    done: dict[str, object] = {"site": site, "n": PROBED}
    for name, sentences in told.items():
        namespace = f"probe/{site}/{name}"
        tell(memory, namespace, site, sentences)
        jobs = [
            partial(
                agent.run,
                task,
                catalogue(WORLD).make(),
                Run(namespace, "ada", f"{namespace}/{number}", memory="frozen"),
            )
            for number, task in enumerate(tasks)
        ]
        done[name] = sum(episode.outcome == "success" for episode in await at_once(jobs))
    return done


def measure(plan: Plan) -> None:
    """Probe, then run; what is in the notes is not done again."""
    if plan.part[0] != 1 % plan.part[1]:
        return
    with fresh_memory(plan) as memory, tiny() as model:
        asyncio.run(_measure(plan, model, memory))


async def _measure(plan: Plan, model: Model, memory: Memory) -> None:
    notes = Notes(plan.notes("planted"))
    sites, seeds, episodes = (SITES[:1], range(1), 20) if plan.is_quick else (SITES, range(5), EPISODES)
    for site in sites:
        if not notes.has("planted-probe", site=site):
            notes.add("planted-probe", **await probe(site, model, memory))

    async def keep(plant: Plant) -> None:
        trial = await try_plant(plant, model, memory, episodes)
        notes.add("planted", **asdict(plant), **asdict(trial))

    rates = RATES[:1] if plan.is_quick else RATES
    todo = [one for one in plants(rates, sites, seeds) if not notes.has("planted", **asdict(one))]
    await at_once([partial(keep, plant) for plant in todo])


def tables(records: Records) -> list[str]:
    """What became of the plants, and what the probe found."""
    rows = []
    for rate in RATES:
        for kind, right, wrong in (
            ("helpful", "active", "quarantined"),
            ("harmful", "quarantined", "active"),
        ):
            found = records.where("planted", kind=kind, trial_rate=rate)
            if found:
                rows.append(_row(kind, rate, found, right, wrong))
    if not rows:
        return []
    titles = (
        "plant",
        "shown",
        "runs",
        "decided rightly",
        "95 %",
        "wrongly",
        "not at all",
        "after episodes",
        "done shown",
        "done held out",
    )
    probed = [
        [one["site"], *(f"{one[key]} of {one['n']}" for key in TOLD)]
        for one in records.where("planted-probe")
    ]
    return [
        "## One principle planted on trial",
        table(titles, rows),
        "What was probed, tasks of the gate done:",
        table(("site", *TOLD), probed),
    ]


def _row(kind: str, rate: float, found: Sequence[Record], right: str, wrong: str) -> list[str]:
    good = [one for one in found if one["status"] == right]
    share = wilson(len(good), len(found))
    after = [one["at"] for one in good]
    done = (
        sum(one[f"{side}_done"] for one in found) / max(1, sum(one[side] for one in found))
        for side in ("shown", "held")
    )
    return [
        kind,
        f"{rate:.0%}",
        str(len(found)),
        f"{len(good)} ({share.mean:.0%})",
        f"{share.low:.0%} to {share.high:.0%}",
        str(sum(one["status"] == wrong for one in found)),
        str(sum(one["status"] not in (right, wrong) for one in found)),
        f"{np.median(after):.0f} ({min(after)} to {max(after)})" if after else "–",
        *(f"{share:.0%}" for share in done),
    ]


def goals(records: Records) -> list[tuple[str, str, str]]:
    """Most plants are ruled on rightly within the run, and nearly none wrongly."""
    told = []
    for kind, (right, wrong) in RULINGS.items():
        found = records.where("planted", kind=kind, trial_rate=RATES[0])
        if found:
            rightly = sum(one["status"] == right for one in found)
            wrongly = sum(one["status"] == wrong for one in found)
            verb = "promoted" if kind == "helpful" else "retired"
            said = f"{rightly} of {len(found)} within {EPISODES} episodes, {wrongly} the wrong way"
            is_met = 2 * rightly > len(found) and 20 * wrongly <= len(found)
            told.append((f"a planted {kind} principle is {verb} (shown half the time)", said, met(is_met)))
    return told
