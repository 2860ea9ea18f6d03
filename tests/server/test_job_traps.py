"""What the engine leaves to its user, each taken care of: a test for each that fails without it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from memory.errors import ModelError, NotFound
from memory.types import Json
from server.jobs import JobAddress, JobKind, JobRun
from server.jobs_dbos import DbosJobs
from server.metrics import Metrics
from server.work import LEARN, TEND, Work

WAIT_S = 60.0


class Hands:
    """Handlers that tell on which loop they ran."""

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.started = asyncio.Event()
        self.is_broken = False

    async def note(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """One step; fails while it is broken."""

        async def do() -> Json:
            self.loops.append(asyncio.get_running_loop())
            if self.is_broken:
                raise ModelError("no answer")
            return None

        self.loops.append(asyncio.get_running_loop())
        await run.step("note", do)
        await run.event("noted", run.address.id)
        return {}

    async def hang(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Never ends."""
        self.loops.append(asyncio.get_running_loop())
        self.started.set()
        await asyncio.Event().wait()
        return {}

    async def ask(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Ends with what it is told."""
        self.started.set()
        told = await run.receive("answer", timeout_s=WAIT_S)
        return {"told": told, "more": await run.receive("answer", timeout_s=0.2)}

    @property
    def kinds(self) -> dict[str, JobKind]:
        return {
            "note": JobKind(self.note, limit=4),
            "hang": JobKind(self.hang, limit=4),
            "ask": JobKind(self.ask, limit=4),
        }


@pytest.fixture
def hands() -> Hands:
    return Hands()


@asynccontextmanager
async def launched(folder: Path, kinds: Mapping[str, JobKind]) -> AsyncIterator[DbosJobs]:
    jobs = DbosJobs(folder / "jobs.db", poll_s=0.02, mend_s=1.0)
    await jobs.launch(kinds)
    try:
        yield jobs
    finally:
        await jobs.close()


def at(kind: str, job_id: str = "one") -> JobAddress:
    return JobAddress("a", kind, job_id)


async def done(jobs: DbosJobs, address: JobAddress) -> Mapping[str, Json]:
    job = await jobs.wait(address, timeout_s=WAIT_S)
    assert (job.state, job.error) == ("done", None)
    return job.output or {}


async def test_a_new_release_goes_on_with_what_an_older_one_began(tmp_path: Path, hands: Hands) -> None:
    """The engine would take another version of the program for another application, and leave its jobs."""
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.start(at("hang"), {})
        await asyncio.wait_for(hands.started.wait(), WAIT_S)
    hands.started.clear()
    async with launched(tmp_path, {**hands.kinds, "new": JobKind(hands.note, limit=1)}):
        await asyncio.wait_for(hands.started.wait(), WAIT_S)


async def test_all_work_is_done_on_the_loop_that_launched(tmp_path: Path, hands: Hands) -> None:
    """Started, queued, resumed, taken up again: what belongs to the loop, locks and clients, can be used."""
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.start(at("note"), {})
        await done(jobs, at("note"))
        await jobs.enqueue(at("note", "queued"), {})
        await done(jobs, at("note", "queued"))
        hands.is_broken = True
        await jobs.start(at("note", "broken"), {})
        assert (await jobs.wait(at("note", "broken"), timeout_s=WAIT_S)).state == "failed"
        hands.is_broken = False
        await jobs.resume(at("note", "broken"))
        await done(jobs, at("note", "broken"))
        await jobs.start(at("hang"), {})
        await asyncio.wait_for(hands.started.wait(), WAIT_S)
    hands.started.clear()
    async with launched(tmp_path, hands.kinds):
        await asyncio.wait_for(hands.started.wait(), WAIT_S)
    assert len(hands.loops) == 10
    assert set(hands.loops) == {asyncio.get_running_loop()}


async def test_the_loop_has_its_threads_when_the_engine_is_gone(tmp_path: Path, hands: Hands) -> None:
    """The engine puts a pool of its own in their place and shuts it down."""
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.start(at("note"), {})
        await done(jobs, at("note"))
    assert await asyncio.to_thread(lambda: "here") == "here"


async def test_the_first_answer_is_the_one_that_is_heard(tmp_path: Path, hands: Hands) -> None:
    """Two people answer at once, or one client tries again: the job hears one, also after a restart."""
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.start(at("ask"), {})
        await asyncio.wait_for(hands.started.wait(), WAIT_S)
        await jobs.send(at("ask"), "answer", "yes")
        await jobs.send(at("ask"), "answer", "no")
        assert await done(jobs, at("ask")) == {"told": "yes", "more": None}
        await jobs.start(at("ask", "later"), {})
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.send(at("ask", "later"), "answer", "well")
        assert await done(jobs, at("ask", "later")) == {"told": "well", "more": None}


def rows_with(path: Path, word: str) -> list[str]:
    """Tables that still hold the word in any column."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            t for t in tables if any(word in str(row) for row in connection.execute(f'SELECT * FROM "{t}"'))
        ]


async def test_what_is_pruned_leaves_no_trace(tmp_path: Path, hands: Hands) -> None:
    """Input, steps, events and answers go with the job; others stay."""
    async with launched(tmp_path, hands.kinds) as jobs:
        await jobs.start(at("note", "oldest"), {"word": "melon"})
        await done(jobs, at("note", "oldest"))
        await jobs.start(at("ask", "oldest"), {})
        await jobs.send(at("ask", "oldest"), "answer", "quince")
        await done(jobs, at("ask", "oldest"))
        await jobs.start(at("hang", "living"), {"word": "plum"})
        assert await jobs.prune(older_than_s=-5.0) == 2
        words = {word: rows_with(tmp_path / "jobs.db", word) for word in ("oldest", "melon", "quince")}
        assert words == {"oldest": [], "melon": [], "quince": []}
        assert rows_with(tmp_path / "jobs.db", "plum")
        assert (await jobs.get(at("hang", "living"))).state == "running"


async def test_the_daily_round_forgets_what_is_old_and_tries_learning_again(
    tmp_path: Path, hands: Hands
) -> None:
    """Learning that failed is done again before anything is forgotten."""
    core: Any = SimpleNamespace()
    tend = [Work(core, Metrics(), retention_s=seconds).tend for seconds in (3600.0, -5.0)]
    kinds = {
        LEARN: JobKind(hands.note, limit=4, ordered=True),
        TEND: JobKind(tend[0], limit=1),
        "forget": JobKind(tend[1], limit=1),
    }
    async with launched(tmp_path, kinds) as jobs:
        core.jobs = jobs
        hands.is_broken = True
        await jobs.enqueue(at(LEARN), {})
        assert (await jobs.wait(at(LEARN), timeout_s=WAIT_S)).state == "failed"
        hands.is_broken = False
        await jobs.start(at(TEND), {})
        assert await done(jobs, at(TEND)) == {"resumed": 1, "pruned": 0}
        await done(jobs, at(LEARN))
        await jobs.start(at("forget"), {})
        assert await done(jobs, at("forget")) == {"resumed": 0, "pruned": 2}
        with pytest.raises(NotFound):
            await jobs.get(at(LEARN))
