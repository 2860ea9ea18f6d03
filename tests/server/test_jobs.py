"""The job engine behind its port, with handlers of the tests' own."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from memory.errors import BadInput, Conflict, ModelError, NotFound, StoreError
from memory.types import Json
from server.jobs import Job, JobAddress, JobKind, JobRun
from server.jobs_dbos import DbosJobs

WAIT_S = 20.0


class Work:
    """Handlers that tell what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken = True
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0

    async def count(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """`n` steps, one event each."""
        total = 0
        for number in range(int(str(arguments["n"]))):

            async def do(number: int = number) -> Json:
                self.done.append(f"{run.address.id}:{number}")
                return number

            total += int(str(await run.step(f"step {number}", do)))
            await run.event("counted", number)
        return {"total": total}

    async def hang(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Ends when it is let."""

        async def do() -> Json:
            self.started.set()
            await self.release.wait()
            return None

        await run.step("hang", do)
        return {}

    async def fail(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Breaks at its second step until mended."""

        async def first() -> Json:
            self.done.append("first")
            return 1

        async def second() -> Json:
            if self.broken:
                raise ModelError("no answer")
            return 2

        await run.step("first", first)
        return {"second": await run.step("second", second)}

    async def in_order(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Says when it begins and ends."""
        self.running += 1
        self.most = max(self.most, self.running)
        self.done.append(run.address.id)
        await asyncio.sleep(0.01)
        self.running -= 1
        return {}


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def jobs(tmp_path: Path, work: Work) -> AsyncIterator[DbosJobs]:
    jobs = await launch(tmp_path, work)
    yield jobs
    await jobs.close()


async def launch(folder: Path, work: Work) -> DbosJobs:
    jobs = DbosJobs(folder / "jobs.db", poll_s=0.02, mend_s=1.0)
    await jobs.launch(
        {
            "count": JobKind(work.count, limit=4),
            "hang": JobKind(work.hang, limit=4),
            "fail": JobKind(work.fail, limit=4),
            "line": JobKind(work.in_order, limit=4, ordered=True),
        }
    )
    return jobs


def at(job_id: str, kind: str = "count", namespace: str = "a") -> JobAddress:
    return JobAddress(namespace, kind, job_id)


async def finish(jobs: DbosJobs, address: JobAddress) -> Job:
    job = await jobs.wait(address, timeout_s=WAIT_S)
    assert job.is_ended
    return job


async def test_a_job_runs_and_keeps_its_result(jobs: DbosJobs) -> None:
    """State, input, output and times."""
    started = await jobs.start(at("one"), {"n": 3})
    assert started.state in {"running", "done"}
    done = await finish(jobs, at("one"))
    assert (done.state, done.output, dict(done.input)) == ("done", {"total": 3}, {"n": 3})
    assert done.ended_at is not None


async def test_starting_the_same_address_again_changes_nothing(jobs: DbosJobs, work: Work) -> None:
    """The job that is there is returned, with its own input."""
    await jobs.start(at("one"), {"n": 2})
    await finish(jobs, at("one"))
    again = await jobs.start(at("one"), {"n": 5})
    assert dict(again.input) == {"n": 2}
    assert work.done == ["one:0", "one:1"]


async def test_the_same_id_in_another_namespace_is_another_job(jobs: DbosJobs) -> None:
    """An address is namespace, kind and id together."""
    await jobs.start(at("one"), {"n": 1})
    with pytest.raises(NotFound):
        await jobs.get(at("one", namespace="b"))
    with pytest.raises(NotFound):
        await jobs.get(at("one", kind="hang"))


async def test_events_are_numbered_without_gaps(jobs: DbosJobs) -> None:
    """From the start, from a number on, and the latest."""
    await jobs.start(at("one"), {"n": 4})
    events = [event async for event in jobs.events(at("one"))]
    assert [(event.seq, event.data) for event in events] == [(n, n) for n in range(4)]
    assert [event.seq async for event in jobs.events(at("one"), start=2)] == [2, 3]
    latest = await jobs.latest_event(at("one"))
    assert latest is not None
    assert latest.seq == 3


async def test_a_hanging_job_is_cancelled_at_once(jobs: DbosJobs, work: Work) -> None:
    """And stays cancelled; cancelling again is no error."""
    await jobs.start(at("stuck", "hang"), {})
    await work.started.wait()
    cancelled = await asyncio.wait_for(jobs.cancel(at("stuck", "hang")), WAIT_S)
    assert cancelled.state == "cancelled"
    assert (await jobs.cancel(at("stuck", "hang"))).state == "cancelled"


async def test_what_was_running_at_the_end_goes_on_at_the_next_launch(tmp_path: Path, work: Work) -> None:
    """Closing does not cancel: the job is taken up again."""
    jobs = await launch(tmp_path, work)
    await jobs.start(at("stuck", "hang"), {})
    await work.started.wait()
    await jobs.close()
    work.started.clear()
    jobs = await launch(tmp_path, work)
    try:
        await asyncio.wait_for(work.started.wait(), WAIT_S)
        assert (await jobs.get(at("stuck", "hang"))).state == "running"
    finally:
        await jobs.close()


async def test_a_failed_job_says_why_and_resumes_at_the_failed_step(jobs: DbosJobs, work: Work) -> None:
    """The step before is not done again."""
    await jobs.start(at("frail", "fail"), {})
    failed = await finish(jobs, at("frail", "fail"))
    assert (failed.state, failed.error) == ("failed", "no answer")
    assert await jobs.failed("fail") == (at("frail", "fail"),)
    work.broken = False
    await jobs.resume(at("frail", "fail"))
    assert (await finish(jobs, at("frail", "fail"))).output == {"second": 2}
    assert work.done == ["first"]


async def test_a_job_that_could_not_write_can_go_on(jobs: DbosJobs, work: Work) -> None:
    """While the file cannot grow nothing is lost; once it can, the job goes on by itself."""
    await jobs.start(at("stuck", "hang"), {})
    await work.started.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StoreError):
            await jobs.start(at("late"), {"n": 1})
        work.release.set()
        while jobs.is_running(at("stuck", "hang")):
            await asyncio.sleep(0)
        assert (await jobs.get(at("stuck", "hang"))).state == "running"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    while (job := await finish(jobs, at("stuck", "hang"))).state == "failed":
        await asyncio.sleep(0.05)
    assert job.state == "done"


async def test_a_finished_job_does_not_resume(jobs: DbosJobs) -> None:
    """Conflict."""
    await jobs.start(at("one"), {"n": 1})
    await finish(jobs, at("one"))
    with pytest.raises(Conflict):
        await jobs.resume(at("one"))


async def test_a_fork_shares_the_steps_before(jobs: DbosJobs, work: Work) -> None:
    """Its own id, the same input; what lies before the step is not done again."""
    await jobs.start(at("one"), {"n": 3})
    await finish(jobs, at("one"))
    work.done.clear()
    fork = await jobs.fork(at("one"), "two", step=3)
    assert fork.address == at("two")
    assert (await finish(jobs, at("two"))).output == {"total": 3}
    assert work.done == ["two:1", "two:2"]


async def test_an_ordered_kind_keeps_the_order_of_a_namespace(jobs: DbosJobs, work: Work) -> None:
    """One after the other within each of two namespaces, the two side by side."""
    addresses = [at(f"{namespace}{n}", "line", namespace) for n in range(5) for namespace in "ab"]
    for address in addresses:
        await jobs.enqueue(address, {})
    for address in addresses:
        await finish(jobs, address)
    for namespace in "ab":
        mine = [job_id for job_id in work.done if job_id.startswith(namespace)]
        assert mine == [f"{namespace}{n}" for n in range(5)]
    assert work.most <= 2
    assert await jobs.backlog(None, "line") == 0


async def test_the_oldest_that_waits_is_told(jobs: DbosJobs, work: Work) -> None:
    """Of its namespace and kind alone; None once all have ended."""
    assert await jobs.waiting_since("home", "hang") is None
    first = await jobs.enqueue(at("one", "hang", "home"), {})
    await jobs.enqueue(at("two", "hang", "home"), {})
    assert await jobs.waiting_since("home", "hang") == first.created_at
    assert await jobs.backlog("home", "hang") == 2
    assert await jobs.waiting_since("work", "hang") is None
    work.release.set()
    for name in ("one", "two"):
        await finish(jobs, at(name, "hang", "home"))
    assert await jobs.waiting_since("home", "hang") is None


async def test_pages_go_backwards_in_time(jobs: DbosJobs) -> None:
    """Newest first; `after` goes on behind; a strange `after` is NotFound."""
    for n in range(5):
        await jobs.start(at(f"job{n}"), {"n": 0})
        await finish(jobs, at(f"job{n}"))
    first = await jobs.list("a", "count", limit=2)
    rest = await jobs.list("a", "count", limit=9, after=first[-1].address.id)
    assert [job.address.id for job in (*first, *rest)] == ["job4", "job3", "job2", "job1", "job0"]
    with pytest.raises(NotFound):
        await jobs.list("a", "count", limit=2, after="nobody")


async def test_old_jobs_are_pruned(jobs: DbosJobs) -> None:
    """Only those that ended longer ago."""
    await jobs.start(at("one"), {"n": 1})
    await finish(jobs, at("one"))
    assert await jobs.prune(older_than_s=3600.0) == 0
    assert await jobs.prune(older_than_s=-5.0) == 1
    with pytest.raises(NotFound):
        await jobs.get(at("one"))


async def test_a_schedule_can_be_set_again(jobs: DbosJobs) -> None:
    """At every start the same one is set; a false one is refused."""
    await jobs.schedule("daily", "count", "0 4 * * *")
    await jobs.schedule("daily", "count", "0 5 * * *")
    with pytest.raises(BadInput):
        await jobs.schedule("daily", "count", "at noon")


async def test_everything_in_the_file_is_json(jobs: DbosJobs, tmp_path: Path) -> None:
    """No pickles: inputs, outputs, steps, events and errors can be read by anybody."""
    await jobs.start(at("one"), {"n": 2})
    await jobs.start(at("frail", "fail"), {})
    await finish(jobs, at("one"))
    await finish(jobs, at("frail", "fail"))
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        columns = (
            ("workflow_status", "inputs"),
            ("workflow_status", "output"),
            ("workflow_status", "error"),
            ("operation_outputs", "output"),
            ("operation_outputs", "error"),
            ("streams", "value"),
        )
        for table, column in columns:
            for (text,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                json.loads(text)
    connection.close()
