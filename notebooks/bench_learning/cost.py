"""What learning costs: milliseconds and tokens an episode, one lane at a time, every request asked anew."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import Run, recall_for, situation
from agent.worlds.catalogue import catalogue
from memory.core import Memory
from memory.minilm import MiniLm
from notebooks.bench_learning.arms import MAIN
from notebooks.bench_learning.curves import Arms, resampled
from notebooks.bench_learning.notes import Notes, Records
from notebooks.bench_learning.plan import TINY, WORLD, Plan
from notebooks.bench_learning.stage import table

ARMS = ("off", "per-case Q", "ours")
N_SITES = 2


def measure(plan: Plan) -> None:
    """Two sites, one seed, the arms in turn; by the first process alone."""
    if plan.part[0]:
        return
    notes = Notes(plan.notes("cost"))
    model = LocalModel.load(TINY, name="local:tiny")
    for site in plan.sites[:N_SITES]:
        for arm in ARMS:
            if not notes.has("cost", arm=arm, site=site):
                notes.add("cost", arm=arm, site=site, **asyncio.run(_lane(arm, site, model, plan)))
    model.close()


async def _lane(name: str, site: str, model: LocalModel, plan: Plan) -> dict[str, object]:
    arm, kind = MAIN[name], catalogue(WORLD)
    folder = plan.folder / f"cost-{name}-{site}"
    shutil.rmtree(folder, ignore_errors=True)
    ms: dict[str, list[float]] = {"act": [], "recall": [], "learn": []}
    read, written = [], []
    with Memory.open(folder / "memory.db", encoder=MiniLm(), settings=arm.recall) as memory:
        agent = Agent(model, memory, settings=arm.agent)
        for number, task in enumerate(kind.tasks(site=site, split="work", n=plan.tasks, seed=9)):
            run = Run("cost", "bench", f"e{number}", memory=arm.mode)
            begun = time.process_time()
            episode = await agent.run(task, kind.make(), run)
            ms["act"].append(_since(begun))
            if arm.mode != "learn":
                continue
            begun = time.process_time()
            recall_for(memory, situation(task, replace(run, episode_id="asked again"), arm.agent), model)
            memory.constitution(
                "cost",
                task.family,
                token_budget=arm.agent.constitution_budget,
                count_tokens=model.count_tokens,
            )
            ms["recall"].append(_since(begun))
            begun = time.process_time()
            usage = (await agent.learn(episode)).reflection.usage
            ms["learn"].append(_since(begun))
            read.append(usage.prompt_tokens)
            written.append(usage.completion_tokens)
    return {
        "n": len(ms["act"]),
        **{f"{what}_ms": _mean(times) for what, times in ms.items()},
        "read": _mean(read),
        "written": _mean(written),
    }


def tables(records: Records) -> list[str]:
    """The table of costs, and what a point of success costs."""
    found = records.where("cost")
    if not found:
        return []
    rows = []
    for arm in ARMS:
        own = [one for one in found if one["arm"] == arm]
        values = [_mean([one[key] for one in own]) for key in ("act_ms", "recall_ms", "learn_ms")]
        tokens = [_mean([one[key] for one in own]) for key in ("read", "written")]
        gain = _gain(records, arm)
        by_point = f"{sum(values[1:]) / gain:,.1f}" if gain > 0.5 else "–"
        rows.append([arm, *(f"{one:,.0f}" for one in values), *(f"{one:,.0f}" for one in tokens), by_point])
    head = (
        *("", "acting, CPU ms", "recall, CPU ms", "learning, CPU ms", "tokens read", "tokens written"),
        "ms of recall and learning a point",
    )
    said = "An episode, alone on a core, with MiniLM; recall as at its opening."
    return ["## What learning costs", said, table(head, rows), *_by_point(records)]


def goals(records: Records) -> list[tuple[str, str, str]]:
    """None was set: costs are told."""
    del records
    return []


def _by_point(records: Records) -> list[str]:
    arms = Arms(records, "curve")
    if not arms.sites or "off" not in arms.names:
        return []
    base = resampled(arms.by_task("off", "success")).mean
    rows = []
    for name in arms.names:
        gain = 100 * (resampled(arms.by_task(name, "success")).mean - base)
        tokens = float(np.mean([one.learning for one in arms.lived(name)]))
        acting = float(np.mean([one.tokens for one in arms.lived(name)]))
        by_point = f"{tokens / gain:,.1f}" if gain > 0.5 else "–"
        rows.append([name, f"{gain:.1f}", f"{acting:,.0f}", f"{tokens:,.0f}", by_point])
    head = (
        "",
        "points over off",
        "tokens an episode, acting",
        "tokens an episode, learning",
        "learning tokens a point",
    )
    return ["Over all lanes of the curves:", table(head, rows)]


def _gain(records: Records, arm: str) -> float:
    """Points over off in the curves; 0 where they are not there."""
    arms = Arms(records, "curve")
    if not arms.sites or not {arm, "off"} <= set(arms.names):
        return 0.0
    success = (arms.by_task(name, "success").mean() for name in (arm, "off"))
    return float(100 * (next(success) - next(success)))


def _since(begun: float) -> float:
    return 1000.0 * (time.process_time() - begun)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
