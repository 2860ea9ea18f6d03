"""What an owner does: work with memory, distil it, ask the gate; and take back what a stranger brought in."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import Run
from agent.worlds.catalogue import catalogue
from agent.worlds.site import Site, make_site
from distill.build import build
from distill.bundle import Admission, read_bundle
from distill.recipes import recipe_named
from distill.types import Dataset
from memory.core import Memory
from memory.minilm import MiniLm
from notebooks.bench_distill.arms import scored, trained
from notebooks.bench_distill.plan import TINY, WORLD, Plan
from notebooks.bench_distill.pools import NAMESPACE, Worker, gate, pool
from notebooks.bench_learning.notes import Notes
from notebooks.bench_learning.stage import fresh_memory

ALL = Admission(min_trust=0)
"""An owner who believes everybody."""
_KNOWN = 24
"""Gate tasks of the known site."""
LIES = 2.0
"""Of as many episodes as the owner has: fewer are outvoted, see the log."""


def internalise(plan: Plan) -> None:
    """The bundled model works at each site with memory; `python -m distill` makes adapter and arms."""
    notes = Notes(plan.notes("internalise"))
    for site in plan.dealt(plan.sites[: plan.n_sites]):
        if notes.has("arms", site=site):
            continue
        folder = plan.folder / "internalise"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        solved = asyncio.run(_work(plan, site, folder))
        report = _distilled(plan, site, folder)
        arms, kept = (
            {arm: one["success"] for arm, one in report["arms"][suite].items()} for suite in ("adapt", "keep")
        )
        rows, told = report["dataset"]["rows"], report["difference"]["adapt"]
        notes.add("arms", site=site, solved=solved, rows=rows, arms=arms, kept=kept, difference=told)


async def _work(plan: Plan, site: str, folder: Path) -> float:
    """Every task twice, learning; the share that was solved. Leaves a bundle."""
    tasks = catalogue(WORLD).tasks(site=site, split="work", n=plan.worked)
    won = 0
    with (
        Memory.open(folder / "memory.db", encoder=MiniLm()) as memory,
        closing(LocalModel.load(TINY, name="local:tiny")) as model,
    ):
        agent = Agent(model, memory)
        for number, task in enumerate(tasks * 2):
            run = Run(NAMESPACE, "owner", f"{site}/{number}")
            episode = await agent.run(task, catalogue(WORLD).make(), run)
            await agent.learn(episode)
            won += episode.outcome == "success"
        memory.export(NAMESPACE, folder / "bundle")
    return won / (2 * len(tasks))


def _distilled(plan: Plan, site: str, folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The report of a job as the server starts it."""
    suite = {"world": WORLD, "split": "gate", "n": plan.gate}
    known = {"name": "keep", "site": plan.known_site, "role": "retain", "n": min(plan.gate, _KNOWN)}
    job = {
        "recipe": "internalise",
        "base": str(TINY),
        "bundle": str(folder / "bundle"),
        "namespace": NAMESPACE,
        "train": asdict(plan.train),
        "suites": [suite | {"name": "adapt", "site": site}, suite | known],
        "out": str(folder / "adapters"),
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "distill", str(folder)], check=True)
    report: dict[str, dict[str, dict[str, float]]] = json.loads((folder / "report.json").read_text())
    return report


def poison(plan: Plan) -> None:
    """A stranger's bundle teaches where nothing is: not believed, believed all the same, and taken back."""
    notes = Notes(plan.notes("poison"))
    for site in plan.dealt(plan.sites[: plan.n_sites], first=1):
        if notes.has("poison", site=site):
            continue
        seed = plan.sites.index(site)
        bundle = _lies(plan, site, seed)
        honest, unbelieved, believed, revoked = _taken_in(bundle, plan, site, seed)
        sets = {"honest": honest, "lied to": believed}
        found = {name: _score(one, plan, site, seed) for name, one in sets.items()}
        same = {"unbelieved": unbelieved.hash == honest.hash, "revoked": revoked.hash == honest.hash}
        notes.add("poison", site=site, rows=len(honest.rows), lies=len(believed.rows), **same, **found)


def _score(dataset: Dataset, plan: Plan, site: str, seed: int) -> dict[str, float]:
    with closing(trained(dataset, plan, f"poison-{seed}", seed)) as model:
        return asdict(scored(model, gate(site, plan.gate)))


def _taken_in(bundle: Path, plan: Plan, site: str, seed: int) -> tuple[Dataset, ...]:
    """Before the bundle came; with it, as strangers are believed, and with all trust; its source revoked."""
    with fresh_memory(plan) as memory:
        for episode in pool(site, plan.episodes, (Worker(0.35),), seed):
            memory.record(episode, principal="owner")
        before = _built(memory, plan, seed, ALL)
        memory.import_(NAMESPACE, bundle, principal="owner", channel="operator")
        within = [_built(memory, plan, seed, bar) for bar in (Admission(), ALL)]
        source = next(e.source for e in read_bundle(plan.folder / "bundle", NAMESPACE).episodes if e.source)
        memory.revoke(NAMESPACE, source, principal="owner")
        return before, *within, _built(memory, plan, seed, ALL)


def _built(memory: Memory, plan: Plan, seed: int, admission: Admission) -> Dataset:
    folder = plan.folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    memory.export(NAMESPACE, folder)
    return build(recipe_named("step"), read_bundle(folder, NAMESPACE), seed, admission)


def _lies(plan: Plan, site: str, seed: int) -> Path:
    """The bundle of somebody whose house has everything elsewhere, and who calls it this one."""
    folder = plan.folder / "lies"
    shutil.rmtree(folder, ignore_errors=True)
    n, elsewhere = round(plan.episodes * LIES), _moved(make_site(WORLD, site))
    with fresh_memory(plan) as memory:
        for episode in pool(site, n, (Worker(0.2),), f"lies-{seed}", elsewhere):
            memory.record(episode, principal="stranger")
        memory.export(NAMESPACE, folder)
    return folder


def _moved(site: Site) -> Site:
    homes = list(site.homes.values())
    Random(f"lies/{site.name}").shuffle(homes)
    return replace(site, homes=dict(zip(site.homes, homes, strict=True)))
