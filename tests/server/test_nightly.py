"""Distilling by itself: when it is due, once, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distill.suites import Suite
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Json
from server.distilling import DISTILL, DistillOrder
from server.jobs import Job, JobAddress, JobKind, JobRun, json_object
from server.jobs_dbos import DbosJobs
from server.nightly import DISTILL_TICK, PROPOSER, Nightly, NightSettings, verified_since
from server.suites import Declaration, Declared
from tests.distill.episodes import NAMESPACE, make_episode

WANTED = NightSettings(is_wanted=True, least=3)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def live(memory: Memory, *names: str, at: float = 10.0, **changes: Any) -> None:
    """Episodes that a world judged."""
    for name in names:
        episode = replace(make_episode(name), ended_at=at, outcome_by="world", **changes)
        memory.record(episode, principal="p")


@dataclass
class FakeJobs:
    """Distillations of the past."""

    jobs: list[Job] = field(default_factory=list)

    async def list(
        self, namespace: str, kind: str, *, limit: int, after: str | None = None
    ) -> tuple[Job, ...]:
        return tuple(
            job for job in self.jobs if (job.address.namespace, job.address.kind) == (namespace, kind)
        )


def past(state: Any, at: float, *, dry_run: bool = False) -> Job:
    order = DistillOrder("step", "tiny", (), 0, (0,), {}, True, dry_run=dry_run)
    address = JobAddress(NAMESPACE, DISTILL, f"d{at}")
    return Job(address, state, json_object(order), None, None, at, at, at)


def night(memory: Memory, tmp_path: Path, *jobs: Job, settings: NightSettings = WANTED) -> Nightly:
    suites = Declared(tmp_path / "suites.json")
    must = Suite("must", "household", "maple 27", n=4)
    suites.declare(NAMESPACE, Declaration((must,), (0,), "key:1", 1.0), memory)
    models = SimpleNamespace(default="local:tiny")
    core: Any = SimpleNamespace(memory=memory, suites=suites, jobs=FakeJobs(list(jobs)), models=models)
    return Nightly(core, settings)


class Run:
    """A job's run that does every step at once."""

    def __init__(self) -> None:
        self.queued: list[tuple[JobAddress, Mapping[str, Json]]] = []
        self.address = JobAddress("system", DISTILL_TICK, "2026-01-02T03:00:00+00:00")

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        return await do()

    async def event(self, name: str, data: Json) -> None:
        raise NotImplementedError

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        raise NotImplementedError

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        self.queued.append((address, arguments))


async def test_a_night_distils_what_has_lived_enough(memory: Memory, tmp_path: Path) -> None:
    """The default model, the declared suites, proposed by nobody who could approve it; a name by the time."""
    live(memory, "e1", "e2", "e3")
    run = Run()
    assert await night(memory, tmp_path).tick(run, {}) == {"namespaces": [NAMESPACE]}
    ((address, order),) = run.queued
    assert address == JobAddress(NAMESPACE, DISTILL, "distill_20260102030000")
    assert (order["base"], order["recipe"], order["proposer"]) == ("tiny", "step", PROPOSER)
    suites: Any = order["suites"]
    assert [(one["name"], one["seeds"]) for one in suites] == [("must", [0])]


async def test_it_waits_for_enough_that_is_new_and_known(memory: Memory, tmp_path: Path) -> None:
    """What is unknown, a judge's word alone, forgotten, or from before the last one does not count."""
    live(memory, "e1", "e2", at=10.0)
    live(memory, "e3", outcome="unknown", at=20.0)
    live(memory, "e4", forgotten="it was wrong", at=20.0)
    memory.record(replace(make_episode("e5"), ended_at=20.0, outcome_by="judge"), principal="p")
    assert verified_since(memory, NAMESPACE, 0.0, 9) == 2
    run = Run()
    await night(memory, tmp_path).tick(run, {})
    assert run.queued == []
    live(memory, "e6", at=30.0)
    cases: list[tuple[tuple[Job, ...], int]] = [
        ((), 1),
        ((past("done", 5.0),), 1),
        ((past("done", 15.0),), 0),
        ((past("failed", 15.0),), 1),
        ((past("done", 15.0, dry_run=True),), 1),
        ((past("running", 5.0),), 0),
    ]
    for jobs, n_queued in cases:
        run = Run()
        await night(memory, tmp_path, *jobs).tick(run, {})
        assert len(run.queued) == n_queued, jobs
    run = Run()
    await night(memory, tmp_path, settings=NightSettings(least=1)).tick(run, {})
    assert run.queued == []


async def test_a_night_that_was_cut_off_goes_on_once(memory: Memory, tmp_path: Path) -> None:
    """The server dies after the first namespace was queued: the same job, taken up, queues none twice."""
    live(memory, "e1", "e2", "e3")
    nightly = night(memory, tmp_path)
    begun: list[str] = []

    async def distil(run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        async def do() -> Json:
            begun.append(run.address.id)
            return None

        await run.step("distil", do)
        return {}

    died = asyncio.Event()

    async def tick(run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        report = await nightly.tick(run, arguments)
        if not died.is_set():
            died.set()
            await asyncio.sleep(60)
        return report

    address = JobAddress("system", DISTILL_TICK, "2026-01-02T03:00:00+00:00")
    kinds = {DISTILL: JobKind(distil, limit=1), DISTILL_TICK: JobKind(tick, limit=1)}
    first = DbosJobs(tmp_path / "jobs.db", poll_s=0.02)
    await first.launch(kinds)
    await first.start(address, {})
    await asyncio.wait_for(died.wait(), 20.0)
    await first.close()
    second = DbosJobs(tmp_path / "jobs.db", poll_s=0.02)
    await second.launch(kinds)
    try:
        done = await second.wait(address, timeout_s=20.0)
        assert (done.state, done.output) == ("done", {"namespaces": [NAMESPACE]})
        (job,) = await second.list(NAMESPACE, DISTILL, limit=10)
        assert (await second.wait(job.address, timeout_s=20.0)).state == "done"
        assert begun == ["distill_20260102030000"]
    finally:
        await second.close()
