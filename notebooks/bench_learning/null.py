"""Principles that change nothing: how often does the court promote one all the same?

Every run is a namespace of its own with principles on trial. Episodes are lived as agents live them: memory
is asked, coins are tossed, the episode is recorded, counted and reviewed. Only the outcome is drawn without a
look at what was shown. Beside them, to see that the court can promote at all, runs in which the first
principle is worth something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Literal

import numpy as np

from agent.models.scripted import FunctionModel
from agent.opening import AgentSettings, Run, consult, situation
from agent.types import Task
from distill.stats import wilson
from memory.core import Memory
from memory.nouns.questions import RecallRecord
from memory.types import Draft, Episode, Evidence, Lineage, PrincipleBody
from notebooks.bench_learning.notes import Notes, Record, Records
from notebooks.bench_learning.plan import Plan
from notebooks.bench_learning.redrawn import Decided, redrawn
from notebooks.bench_learning.stage import fresh_memory, met, table

Effect = Literal["none", "first helps"]
RUNS = 200
RATES = (0.5, 0.8)
"""Of showing a principle that is on trial."""
HELPED, UNHELPED = 0.6, 0.1
"""Chances of success with the first principle in view and without, where it helps."""
_DEEDS = ("dust", "fold", "stack", "rinse", "sort", "label", "lift", "turn", "count", "greet", "air", "tie")


@dataclass(frozen=True, slots=True)
class NullRun:
    """One namespace."""

    number: int
    trial_rate: float
    principles: int
    episodes: int
    effect: Effect = "none"

    @property
    def name(self) -> str:
        kind = self.effect.replace(" ", "-")
        return f"{kind}/{self.trial_rate}/{self.principles}x{self.episodes}/{self.number}"

    def chance(self, episode: int) -> float:
        """Of success; in every other run it drifts, as that of an agent that learns does."""
        start = Random(f"level/{self.number}").choice((0.1, 0.3, 0.5, 0.7))
        if self.number % 2 == 0:
            return start
        return start + (0.9 - start) * episode / self.episodes


_MODEL = FunctionModel(lambda _: "", name="none")


async def live(memory: Memory, run: NullRun) -> Decided:
    """All episodes of a run, one after the other."""
    namespace = run.name
    first = _episode(namespace, 0, None, reward=0.0)
    memory.record(first, principal="ada")
    ids = _plant(memory, namespace, run.principles, first.id)
    settings = AgentSettings(trial_rate=run.trial_rate)
    rng = Random(f"{namespace}/outcomes")
    done: dict[str, list[int]] = {"active": [], "quarantined": []}
    first_at = None
    for number in range(1, run.episodes + 1):
        task, place = _task(number), Run(namespace, "ada", f"{namespace}/{number}")
        told = await consult(
            memory,
            situation(task, place, settings),
            task.family,
            "learn",
            namespace=namespace,
            model=_MODEL,
            settings=settings,
        )
        shown = {one.item for one in told.record.principles if one.shown} if told.record else set()
        chance = run.chance(number)
        if run.effect == "first helps":
            chance = HELPED if ids[0] in shown else UNHELPED
        reward = float(rng.random() < chance)
        episode = _episode(namespace, number, told.record, reward)
        memory.record(episode, principal="ada")
        memory.reinforce(episode, principal="ada")
        for one in memory.review(namespace):
            if one.status in done:
                done[one.status].append(ids.index(one.item) + 1)
            if one.status == "active" and first_at is None:
                first_at = number
    return Decided(tuple(done["active"]), tuple(done["quarantined"]), first_at)


def _plant(memory: Memory, namespace: str, n: int, episode: str) -> list[str]:
    """Principles on trial that an episode known here vouches for: nothing but evidence is missing."""
    drafts = [
        Draft(
            "principle",
            f"{_DEEDS[number % len(_DEEDS)]} things {number} times before you begin.",
            PrincipleBody("family", "symbolic", support=1),
            scope="family",
            family="somewhere",
            status="trial",
            lineage=Lineage((Evidence(episode, 0),)),
        )
        for number in range(n)
    ]
    # Coins are tossed with the ids: random names would make another run of the same one.
    ids = [f"{namespace}/p{number}" for number in range(n)]
    memory.remember(namespace, drafts, principal="ada", channel="reflection", ids=ids)
    return ids


def _task(number: int) -> Task:
    return Task(f"none-{number % 8}", f"do thing {number % 8}.", "none", "somewhere")


def _episode(namespace: str, number: int, record: RecallRecord | None, reward: float) -> Episode:
    task = _task(number)
    return Episode(
        f"{namespace}/{number}",
        namespace,
        task.id,
        task.text,
        task.world,
        task.family,
        group=task.id,
        messages=(),
        outcome="success" if reward else "failure",
        reward=reward,
        recall=record,
        principal="ada",
        outcome_by="world",
    )


def measure(plan: Plan) -> None:
    """All runs that are not in the notes yet; coins are redrawn over whatever rewards were lived by then."""
    if plan.part[0]:
        return
    notes = Notes(plan.notes("null"))
    with fresh_memory(plan) as memory:
        for run in planned(plan.is_quick):
            if not notes.has("null", name=run.name):
                decided = asyncio.run(live(memory, run))
                notes.add("null", name=run.name, **asdict(run), **asdict(decided))
    lived = [one["rewards"] for one in Records.of(plan.out).where("poison")]
    for rate in RATES:
        if lived and not notes.has("null-redrawn", trial_rate=rate):
            notes.add("null-redrawn", trial_rate=rate, **summed(lived, rate))


def planned(quick: bool) -> list[NullRun]:
    n, n_helped = (3, 1) if quick else (RUNS, 20)
    none = [NullRun(number, rate, 10, 60) for rate in RATES for number in range(n)]
    return none + [
        NullRun(number, rate, 10, 100, "first helps") for rate in RATES for number in range(n_helped)
    ]


def summed(lived: Sequence[Sequence[float]], rate: float) -> dict[str, float]:
    """Ten principles a run, as many runs over each lane's rewards as make RUNS."""
    shares = [RUNS // len(lived) + (lane < RUNS % len(lived)) for lane in range(len(lived))]
    found = [
        one
        for lane, (rewards, n) in enumerate(zip(lived, shares, strict=True))
        for one in redrawn(rewards, n, 10, rate, lane)
    ]
    return {
        "runs": len(found),
        "lanes": len(lived),
        "episodes": sum(map(len, lived)) / len(lived),
        "promoting": sum(bool(one.promoted) for one in found),
        "retired": sum(len(one.retired) for one in found),
        "principles": 10 * len(found),
    }


def tables(records: Records) -> list[str]:
    """What was promoted, by kind of run."""
    rows = []
    for rate in RATES:
        for effect, what in (("none", "change nothing"), ("first helps", "the first helps (.6 against .1)")):
            found = records.where("null", trial_rate=rate, effect=effect)
            if found:
                rows.append(_row(f"ten, {what}; {found[0]['episodes']} episodes", rate, found))
        for one in records.where("null-redrawn", trial_rate=rate):
            what = f"ten, coins redrawn over {one['lanes']} lived lanes; {one['episodes']:.0f} episodes"
            rows.append(
                _counted(what, rate, one["promoting"], one["runs"], one["retired"], one["principles"])
            )
    titles = (
        "principles on trial",
        "shown",
        "runs",
        "runs that promoted any",
        "95 %",
        "of the others retired",
        "promoted after",
    )
    return ["## Principles that change nothing", table(titles, rows)] if rows else []


def _row(what: str, rate: float, found: Sequence[Record]) -> list[str]:
    helped = found[0]["effect"] == "first helps"
    promoting = sum(bool(one["promoted"]) for one in found)
    retired = sum(len(set(one["retired"]) - ({1} if helped else set())) for one in found)
    after = [one["first_at"] for one in found if one["first_at"] is not None]
    others = len(found) * (found[0]["principles"] - helped)
    return _counted(what, rate, promoting, len(found), retired, others, after if helped else [])


def _counted(
    what: str, rate: float, promoting: int, runs: int, retired: int, others: int, after: Sequence[int] = ()
) -> list[str]:
    share = wilson(promoting, runs)
    return [
        what,
        f"{rate:.0%}",
        str(runs),
        f"{promoting} ({share.mean:.1%})",
        f"{share.low:.1%} to {share.high:.1%}",
        f"{retired} of {others}",
        f"{np.median(after):.0f} (median)" if after else "–",
    ]


def goals(records: Records) -> list[tuple[str, str, str]]:
    """At most one run in twenty, and the court can promote at all."""
    told = []
    for rate in RATES:
        found = records.where("null", trial_rate=rate, effect="none")
        if found:
            share = wilson(sum(bool(one["promoted"]) for one in found), len(found))
            what = f"null principles, shown {rate:.0%}: at most 5 % of {len(found)} runs promote any"
            said = f"{share.mean:.1%} ({share.low:.1%} to {share.high:.1%})"
            told.append((what, said, met(share.mean <= 0.05)))
    return told
