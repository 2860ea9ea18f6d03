"""One distillation from a prepared dataset to a report: train, register, gate, promote."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.models.adapted import Adapted
from agent.models.local.chat import Chat
from agent.models.local.model import LocalModel
from agent.models.local.weights import context_of, frozen
from agent.types import Model
from distill.decision import decide
from distill.gate import ARMS, Arm, GateRun, SuiteResult, run_suite
from distill.manifest import AdapterManifest, Lineage
from distill.prepare import Prepared
from distill.progress import Cancelled, Progress
from distill.registry import Registry
from distill.report import gate_json, report_json, scores_of
from distill.retention import Learned, matrix
from distill.spec import JobForm
from distill.stages import Place, stage_of, train_stages
from distill.train import Trained, TrainProgress
from distill.types import Row
from memory.core import Memory
from memory.encoder import Encoder, open_encoder
from memory.errors import DistillError
from memory.types import Json

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """What every stage needs."""

    form: JobForm
    prepared: Prepared
    folder: Path
    progress: Progress
    is_cancelled: Callable[[], bool]


def run_job(job: Job) -> dict[str, Json]:
    """Run all stages; returns the report. Raises DistillError when refused, Cancelled when stopped.

    Everything written is below `job.folder` but the adapter, which goes to `form.out`. Running it again after
    a crash goes on training from the last checkpoint.
    """
    trained = _train(job)
    registry = Registry(job.form.out)
    manifest = _register(job, registry, trained)
    results = _gate(job, registry, manifest)
    scores = scores_of(job.prepared.suites, results) if results else ()
    before = tuple(one for one in job.prepared.history if one.id != manifest.id)
    history = (*before, Learned(manifest.id, len(manifest.episodes), scores))
    decision = decide(results, job.form.tolerance, matrix(history) if before and scores else None)
    gate = gate_json(results, decision, history if scores else ())
    registry.record_gate(manifest.id, gate, scores)
    if decision.promoted and job.form.promote:
        registry.promote(manifest.id)
    job.progress.tell("done", 1, 1, decision.reason)
    return report_json(manifest, gate, job.prepared.dataset, trained)


def _train(job: Job) -> Trained:
    form = job.form

    def tell(step: TrainProgress) -> None:
        message = f"stage {step.stage}" if step.stage else ""
        job.progress.tell("train", step.update, step.updates, message, {"loss": step.loss})

    if job.is_cancelled():
        raise Cancelled("the distillation was stopped before training")
    job.progress.tell("train", 0, 1, "loading the base model")
    chat = Chat.open(form.base)
    context = context_of(form.base)
    longest = min(context, chat.settings.context or context)
    stages = [stage_of(one, chat, longest) for one in job.prepared.stages]
    place = Place(form.base, job.folder / "train", form.train, form.seed)
    return train_stages(stages, place, tell, job.is_cancelled)


def _register(job: Job, registry: Registry, trained: Trained) -> AdapterManifest:
    """Store the adapter with the fingerprint of the model that training left in memory."""
    form, dataset = job.form, job.prepared.dataset
    model = LocalModel.wrap(frozen(trained.model), Chat.open(form.base), name="trained")
    try:
        fingerprint = model.fingerprint()
    finally:
        model.close()
    manifest = AdapterManifest(
        id="",
        created_at=time.time(),
        base=form.base.name,
        identity=job.prepared.base,
        files={},
        fingerprint=fingerprint,
        namespace=form.namespace,
        recipe=dataset.recipe,
        method=repr(job.prepared.recipe),
        dataset=dataset.hash,
        episodes=job.prepared.episodes,
        items=job.prepared.items,
        seed=form.seed,
        settings=asdict(form.train),
        proposer=form.proposer,
        prompt_prefix=job.prepared.recipe.prompt_prefix,
    )
    added = registry.add(
        trained.folder, manifest, tuple(_lineage(row) for one in job.prepared.stages for row in one.rows)
    )
    job.progress.tell("register", 1, 1, f"adapter {added.id}")
    return added


def _lineage(row: Row) -> Lineage:
    weights = tuple(message.weight or 0.0 for message in row.messages)
    return Lineage(row.episode, row.also, row.indices, weights, row.stream)


def _gate(job: Job, registry: Registry, manifest: AdapterManifest) -> tuple[SuiteResult, ...]:
    """The four arms; the adapter is loaded from the registry, as serving will."""
    if not job.prepared.suites:
        return ()
    base = LocalModel.load(job.form.base, name=f"local:{manifest.base}")
    try:
        candidate = registry.load(manifest.id, job.form.base, name=f"{base.name}+{manifest.id}")
        try:
            adapted = Adapted(candidate, prefix=manifest.prompt_prefix)
            with _remembered(job) as memory:
                return asyncio.run(_run_suites(job, (base, adapted), memory))
        finally:
            candidate.close()
    finally:
        base.close()


def _remembered(job: Job) -> Memory:
    """The bundle as a memory of its own, read only by the gate."""
    folder = job.folder / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    memory = Memory.open(folder / "memory.db", encoder=_encoder(job))
    # Vouched for by an operator, because a restore leaves trust as it was.
    memory.import_(job.form.namespace, job.form.bundle, principal="gate", channel="operator", vouched=True)
    return memory


def _encoder(job: Job) -> Encoder:
    """The encoder that serving used, so that the gate recalls what serving would."""
    if job.form.encoder is not None:
        return open_encoder(job.form.encoder)
    for name in ("hash", "minilm"):
        encoder = open_encoder(name)
        if encoder.generation == job.prepared.encoder:
            return encoder
    raise DistillError(f"memory used encoder {job.prepared.encoder!r}; name it as `encoder` in the job")


async def _run_suites(job: Job, models: tuple[Model, Model], memory: Memory) -> tuple[SuiteResult, ...]:
    """All suites, watched for the wish to stop."""
    running = asyncio.create_task(_all_suites(job, models, memory))
    while not running.done():
        await asyncio.wait({running}, timeout=_POLL_S)
        if job.is_cancelled():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise Cancelled("the distillation was stopped in the gate")
    return running.result()


async def _all_suites(job: Job, models: tuple[Model, Model], memory: Memory) -> tuple[SuiteResult, ...]:
    suites = job.prepared.suites
    total, done = len(ARMS) * sum(len(one.tasks) for one in suites), 0
    run = GateRun(job.form.namespace, job.form.seed)
    results: list[SuiteResult] = []
    for one in suites:

        def tell(arm: Arm, name: str = one.suite.name) -> None:
            nonlocal done
            done += 1
            job.progress.tell("gate", done, total, f"{name} {arm}")

        results.append(await run_suite(one.suite, one.tasks, models, memory, run, tell))
    return tuple(results)
