"""Servers that share one database of jobs: one dies, another goes on with what it left."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from memory.errors import Conflict, NotFound
from server.auth import Keys
from server.jobs_replicas import Replicas
from server.shelf import Shelf
from tests.postgres import Postgres
from tests.server.crowd import (
    PAUSE_S,
    Crowd,
    Death,
    calls_made_once,
    client_of,
    everything,
    followed_whole,
    marks_in,
    ours_done_once,
)
from tests.server.test_replicas import _await, free_port

PROGRAM = Path(__file__).with_name("scripted_server.py")
DEAD_S = 2.0
TASK = {"world": "household", "site": "maple 27", "model": "slow", "memory": "off"}
Replica = tuple[subprocess.Popen[bytes], httpx.Client]


def wiped(url: str) -> None:
    """Take the jobs out of a database that other tests use too."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
        connection.execute("DROP TABLE IF EXISTS apprentice_shelf")


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    url = postgres.take()
    yield url
    wiped(url)
    postgres.give_back(url)


@pytest.fixture
def replicas(database: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two, on one database of jobs and of memory, each with a folder of its own and the same keys."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "OMP_NUM_THREADS": "1",
        "APPRENTICE_MEMORY_URL": database,
        "APPRENTICE_JOBS_URL": database,
        "APPRENTICE_JOB_DEAD_S": str(DEAD_S),
    }
    with ExitStack() as stack:
        started = []
        _, secret = Keys(tmp_path / "one" / "keys.json").create("home", "operator")
        (tmp_path / "two").mkdir()
        shutil.copy(tmp_path / "one" / "keys.json", tmp_path / "two")
        for name in ("one", "two"):
            data, port = tmp_path / name, free_port()
            command = [sys.executable, str(PROGRAM), "--data", str(data), "--port", str(port)]
            process = subprocess.Popen([*command, "--trace", str(tmp_path / "trace.txt")], env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            client = httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {secret}"},
                timeout=60.0,
                trust_env=False,
            )
            started.append((process, stack.enter_context(client)))
        for process, client in started:
            _await(process, client)
            client.get("/v1/worlds").raise_for_status()
        yield started


def test_what_a_dead_server_left_is_taken_over(replicas: list[Replica], tmp_path: Path) -> None:
    """Followed from where the reader was, without a gap; no step that was recorded is asked for again."""
    (first, one), (_, two) = replicas
    task = one.post("/v1/tasks", json=TASK).json()
    path = f"/v1/tasks/{task['id']}/events"
    seen: list[str] = []
    with one.stream("GET", path) as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                seen.append(line.removeprefix("id: "))
            if len(seen) == 4:
                break
    first.kill()
    first.wait()
    recorded = (tmp_path / "trace.txt").read_text("utf-8").split()
    with two.stream("GET", path, headers={"Last-Event-ID": seen[-1]}) as response:
        lines = list(response.iter_lines())
    seen += [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert seen == [str(n) for n in range(16)]
    done = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert (done["state"], done["steps"]) == ("done", 14)
    calls = (tmp_path / "trace.txt").read_text("utf-8").split()
    # The call that was under way may be made again.
    assert len(calls) - len(set(calls)) <= 1
    assert calls[: len(recorded)] == recorded


@pytest.mark.slow  # real minutes have to pass
def test_a_schedule_of_two_servers_fires_each_minute_once(replicas: list[Replica], tmp_path: Path) -> None:
    """Both look at it; each time sets one task, whose one step is asked for once."""
    (_, one), (_, two) = replicas
    order = {"cron": "* * * * *", "task": {**TASK, "budget": {"max_steps": 1}}}
    made = one.post("/v1/schedules", json=order).raise_for_status().json()
    tasks: list[dict[str, Any]] = []
    for _ in range(600):
        tasks = two.get("/v1/tasks").json()["data"]
        if len(tasks) > 1 and all(task["state"] == "done" for task in tasks):
            break
        time.sleep(0.5)
    one.post(f"/v1/schedules/{made['id']}/pause").raise_for_status()
    tasks = two.get("/v1/tasks").json()["data"]
    assert len(tasks) > 1
    for task in tasks:
        # Its events end when it has ended.
        assert '"state":"done"' in two.get(f"/v1/tasks/{task['id']}/events").text.replace(" ", "")
        assert one.get(f"/v1/jobs/task/{task['id']}").json()["attempts"] == 1
    assert len((tmp_path / "trace.txt").read_text("utf-8").splitlines()) == len(tasks)


def test_a_task_hears_what_another_server_is_told(replicas: list[Replica]) -> None:
    """A question is answered, a task is cancelled, through the server that does not run it."""
    (_, one), (_, two) = replicas
    answered_elsewhere(one, two)
    cancelled_elsewhere(one, two)


def answered_elsewhere(one: httpx.Client, two: httpx.Client) -> None:
    """The one that asks hears of it, and goes on."""
    policy = {"rules": [{"tool": "act", "effect": "forbid", "fallback": "ask"}], "default": "allow"}
    body = {**TASK, "policy": policy, "budget": {"max_steps": 1}}
    path = f"/v1/tasks/{one.post('/v1/tasks', json=body).json()['id']}"
    with one.stream("GET", f"{path}/events") as response:
        for line in response.iter_lines():
            if line == "event: ask":
                break
    assert two.post(f"{path}/approvals/1", json={"approve": True}).status_code == 200
    with two.stream("GET", f"{path}/events") as response:
        names = [line.removeprefix("event: ") for line in response.iter_lines() if line.startswith("event: ")]
    assert names == ["start", "ask", "answer", "step", "end", "done"]


def cancelled_elsewhere(one: httpx.Client, two: httpx.Client) -> None:
    """The one that runs it stops, and its world sees no further step."""
    task = one.post("/v1/tasks", json={**TASK, "budget": {"max_steps": 500}}).json()["id"]
    path = f"/v1/tasks/{task}"
    with one.stream("GET", f"{path}/events") as response:
        for line in response.iter_lines():
            if line == "event: step":
                break
    assert two.post(f"{path}/cancel").json()["state"] == "cancelled"
    with one.stream("GET", f"{path}/events") as response:
        names = [line for line in response.iter_lines() if line.startswith("event: ")]
    assert names[-1] == "event: done"
    # A task of the other server's own takes as long as several steps of the first would.
    two.post("/v1/tasks", json={**TASK, "budget": {"max_steps": 4}, "wait": "finished"})
    with one.stream("GET", f"{path}/events") as response:
        later = [line for line in response.iter_lines() if line.startswith("event: ")]
    assert later == names


@asynccontextmanager
async def front(ports: Sequence[int]) -> AsyncIterator[str]:
    """One address before several servers: each connection goes to the next that takes it."""
    turns = itertools.cycle(ports)

    async def open_next() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in ports:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", next(turns))
        raise ConnectionError("no server takes a connection")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, to_it = await open_next()
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(pump(reader, to_it), pump(behind, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers that are started from now on leave their marks."""
    path = tmp_path / "marks.txt"
    path.touch()
    monkeypatch.setenv("MARKS", str(path))
    monkeypatch.setenv("APPRENTICE_TOOLS", "tests.server.scripted_server:mark")
    monkeypatch.setenv("APPRENTICE_QUOTA_TOKENS_DAY", "1000000000")
    return path


def recorded_in(url: str) -> frozenset[tuple[str, int]]:
    """Task and number of every call whose answer is in the database of jobs."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT workflow_uuid, function_name FROM dbos.operation_outputs"
            " WHERE function_name LIKE 'step %' AND error IS NULL"
        ).fetchall()
    return frozenset((key.split("/")[2], int(name.split()[1])) for key, name in rows)


@pytest.mark.slow
async def test_behind_one_address_a_death_is_not_seen(
    marks: Path, replicas: list[Replica], database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forty tasks, one of two servers killed among them: none is lost, and memory is the same from both."""
    (first, one), (_, two) = replicas
    secret = one.headers["Authorization"].removeprefix("Bearer ")
    ports = [one.base_url.port or 0, two.base_url.port or 0]
    async with front(ports) as address, client_of(address, secret) as client:
        for n in range(6):
            note = {"items": [{"kind": "tool_note", "text": f"note {n} of what is where"}]}
            assert (await client.post("/v1/memory", json=note)).status_code == 201
        params = {"limit": 500}
        assert one.get("/v1/memory", params=params).json() == two.get("/v1/memory", params=params).json()
        crowd = Crowd.of(client, 40)
        work = asyncio.ensure_future(crowd.run())
        while len(marks_in(marks)) < 30:
            await asyncio.sleep(PAUSE_S)
        known = {item["id"] for item in one.get("/v1/memory", params=params).json()["data"]}
        first.kill()
        first.wait()
        recorded = recorded_in(database)
        death = Death(len(marks_in(marks)), recorded)
        await work
        followed_whole(crowd.tasks)
        calls_made_once(crowd.tasks, marks_in(marks), [death])
        await ours_done_once(client, crowd.tasks)
        assert known <= {item["id"] for item in await everything(client, "/v1/memory")}
    reconnected = sum(task.reconnects > 0 for task in crowd.tasks)
    assert reconnected
    with capsys.disabled():
        calls = marks_in(marks)
        sys.stdout.write(
            f"\n{len(crowd.tasks)} tasks on two servers, one killed: {reconnected} followers came back,"
            f" {len(calls)} calls, {len(calls) - len(set(calls))} made again\n"
        )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_only_a_beat_that_stands_still_is_dead(tmp_path: Path) -> None:
    """Whatever clocks say: a number that moves is alive, also where nobody looked for long."""
    clock, shelf = Clock(), Shelf(tmp_path / "shelf.db")
    mine, other = (Replicas(shelf, dead_s=10.0, clock=clock) for _ in range(2))
    await mine.beat()
    await other.beat()
    assert await mine.dead() == ()
    clock.now = 9.0
    await other.beat()
    assert await mine.dead() == ()
    clock.now = 18.0
    assert await mine.dead() == ()
    clock.now = 19.5
    assert await mine.dead() == (other.name,)
    # Itself it never takes for dead, however long it was held up.
    assert mine.name not in await mine.dead()


async def test_one_of_those_who_notice_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second finds it taken care of; one that dies in the middle leaves it to the next."""
    clock, shelf = Clock(), Shelf(tmp_path / "shelf.db")
    lost, first, second = (Replicas(shelf, dead_s=10.0, clock=clock) for _ in range(3))
    for one in (lost, first, second):
        await one.beat()
        await one.dead()
    taken: list[str] = []

    def requeue(name: str) -> int:
        taken.append(name)
        return 3

    monkeypatch.setattr("server.jobs_replicas._requeue", requeue)
    for one in (first, second):
        await one.dead()
    clock.now = 20.0
    assert lost.name in await first.dead()
    assert lost.name in await second.dead()
    assert await first.take_over(lost.name) == 3
    assert await second.take_over(lost.name) == 0
    assert taken == [lost.name]
    with pytest.raises(NotFound):
        await shelf.get("system", "replica", lost.name)


async def test_the_shelf_keeps_two_writers_apart(tmp_path: Path) -> None:
    """A hundred changes by two of them are a hundred changes; a second document of an id is refused."""
    first, second = Shelf(tmp_path / "shelf.db"), Shelf(tmp_path / "shelf.db")
    await first.put("a", "count", "n", {"n": 0})
    with pytest.raises(Conflict):
        await second.put("a", "count", "n", {"n": 9})

    async def add(shelf: Shelf) -> None:
        for _ in range(50):
            await shelf.change("a", "count", "n", lambda row: {"n": int(str(row["n"])) + 1})

    await asyncio.gather(add(first), add(second))
    assert await first.get("a", "count", "n") == {"n": 100}
    assert await second.all("count", "b") == []
