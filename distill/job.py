"""One distillation from a job file to a report: read, build, train, register, gate, promote."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from memory.core import Memory

from agent.local import LocalModel
from agent.local_chat import Chat
from agent.local_identity import identify
from agent.local_weights import context_of, frozen
from agent.types import Task
from distill import dataset as files
from distill.build import build
from distill.bundle import read_bundle
from distill.gate import ARMS, Arm, GateRun, SuiteResult, decide, run_suite
from distill.progress import Cancelled, Progress
from distill.recipes import recipe_named
from distill.registry import AdapterManifest, Registry
from distill.render import TokenRow, tokenise
from distill.report import gate_json, report_json
from distill.spec import JobForm
from distill.suites import Suite, frozen_tasks, refuse_seen
from distill.train import Trained, TrainProgress, train
from distill.types import Dataset, Recipe
from memory.encoder import open_encoder
from memory.types import Json


@dataclass(frozen=True, slots=True)
class _Job:
    """What every stage needs."""

    form: JobForm
    folder: Path
    progress: Progress
    is_cancelled: Callable[[], bool]

    def check(self) -> None:
        """Raises Cancelled when asked to stop."""
        if self.is_cancelled():
            raise Cancelled("the distillation was stopped")


def run_job(
    form: JobForm, folder: Path, progress: Progress, is_cancelled: Callable[[], bool]
) -> dict[str, Json]:
    """Run all stages; returns the report. Raises DistillError when refused, Cancelled when stopped.

    Everything written is below `folder` but the adapter, which goes to `form.out`. Running it again after a
    crash builds the same dataset and goes on training from the last checkpoint.
    """
    job = _Job(form, folder, progress, is_cancelled)
    recipe = recipe_named(form.recipe)
    suites = tuple(suite.suite() for suite in form.suites)
    tasks = {suite: frozen_tasks(suite, form.seeds) for suite in suites}
    dataset = _build(job, recipe, tasks)
    rows = _tokenised(form, dataset)
    trained = _train(job, rows)
    registry = Registry(form.out)
    manifest = _register(job, registry, recipe, dataset, trained)
    results = _gate(job, registry, manifest, tasks)
    decision = decide(results, form.tolerance)
    registry.record_gate(manifest.id, gate_json(results, decision))
    if decision.promoted and form.promote:
        registry.promote(manifest.id)
    progress.tell("done", 1, 1, decision.reason)
    return report_json(manifest, decision, results, dataset, trained)


def _build(job: _Job, recipe: Recipe, tasks: dict[Suite, tuple[Task, ...]]) -> Dataset:
    form = job.form
    job.progress.tell("read", 0, 1, f"reading the bundle of namespace {form.namespace}")
    bundle = read_bundle(form.bundle, form.namespace)
    refuse_seen((task for group in tasks.values() for task in group), bundle.task_ids)
    job.progress.tell("build", 0, 1, f"recipe {recipe.name} over {len(bundle.episodes)} episodes")
    dataset = build(recipe, bundle, form.seed, form.admission)
    files.write(dataset, recipe, job.folder / "dataset")
    message = f"{len(dataset.rows)} rows, {len(dataset.rejected)} episodes left out"
    job.progress.tell("build", 1, 1, message, {"rows": len(dataset.rows), "rejected": len(dataset.rejected)})
    return dataset


def _tokenised(form: JobForm, dataset: Dataset) -> tuple[TokenRow, ...]:
    return tokenise(dataset.rows, Chat.open(form.base), context_of(form.base))


def _train(job: _Job, rows: tuple[TokenRow, ...]) -> Trained:
    def tell(step: TrainProgress) -> None:
        job.progress.tell("train", step.update, step.updates, metrics={"loss": step.loss})

    job.check()
    job.progress.tell("train", 0, 1, "loading the base model")
    return train(
        rows,
        job.form.base,
        job.folder / "train",
        job.form.train,
        seed=job.form.seed,
        on_progress=tell,
        is_cancelled=job.is_cancelled,
    )


def _register(
    job: _Job, registry: Registry, recipe: Recipe, dataset: Dataset, trained: Trained
) -> AdapterManifest:
    """Store the adapter with the fingerprint of the model that training left in memory."""
    form = job.form
    model = LocalModel.wrap(frozen(trained.model), Chat.open(form.base), name="trained")
    try:
        fingerprint = model.fingerprint()
    finally:
        model.close()
    manifest = AdapterManifest(
        id="",
        created_at=time.time(),
        base=form.base.name,
        identity=identify(form.base),
        files={},
        fingerprint=fingerprint,
        namespace=form.namespace,
        recipe=recipe.name,
        method=repr(recipe),
        dataset=dataset.hash,
        episodes=dataset.episodes,
        seed=form.seed,
        settings=asdict(form.train),
    )
    added = registry.add(trained.folder, manifest)
    job.progress.tell("register", 1, 1, f"adapter {added.id}")
    return added


def _gate(
    job: _Job, registry: Registry, manifest: AdapterManifest, tasks: dict[Suite, tuple[Task, ...]]
) -> tuple[SuiteResult, ...]:
    """The four arms; the adapter is loaded from the registry, as serving will."""
    if not tasks:
        return ()
    base = LocalModel.load(job.form.base, name=f"local:{manifest.base}")
    try:
        candidate = registry.load(manifest.id, job.form.base, name=f"{base.name}+{manifest.id}")
        try:
            with _remembered(job) as memory:
                return asyncio.run(_run_suites(job, (base, candidate), memory, tasks))
        finally:
            candidate.close()
    finally:
        base.close()


def _remembered(job: _Job) -> Memory:
    """The bundle as a memory of its own, read only by the gate."""
    folder = job.folder / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    memory = Memory.open(folder / "memory.db", encoder=open_encoder(job.form.encoder))
    memory.import_(job.form.namespace, job.form.bundle, principal="gate", channel="operator")
    return memory


async def _run_suites(
    job: _Job,
    models: tuple[LocalModel, LocalModel],
    memory: Memory,
    tasks: dict[Suite, tuple[Task, ...]],
) -> tuple[SuiteResult, ...]:
    total, done = len(ARMS) * sum(map(len, tasks.values())), 0

    async def all_suites() -> tuple[SuiteResult, ...]:
        run = GateRun(job.form.namespace, job.form.seed)
        results: list[SuiteResult] = []
        for suite, group in tasks.items():

            def tell(arm: Arm, name: str = suite.name) -> None:
                nonlocal done
                done += 1
                job.progress.tell("gate", done, total, f"{name} {arm}")

            results.append(await run_suite(suite, group, models, memory, run, tell))
        return tuple(results)

    running = asyncio.create_task(all_suites())
    while not running.done():
        await asyncio.wait({running}, timeout=0.2)
        if job.is_cancelled():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise Cancelled("the distillation was stopped in the gate")
    return running.result()
