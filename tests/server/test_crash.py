"""kill -9: what was answered is there after it, what was begun goes on, and no step is done twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from server.auth import Keys

PROGRAM = Path(__file__).with_name("scripted_server.py")


@dataclass
class Victim:
    """A server process that is killed and started again on the same data and port."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def trace(self) -> Path:
        return self.data / "trace.txt"

    def spawn(self) -> subprocess.Popen[bytes]:
        """Begin to start, and do not wait for it."""
        command = [sys.executable, str(PROGRAM), "--data", str(self.data), "--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([*command, "--trace", str(self.trace)], env=environment)
        return self.process

    def start(self) -> None:
        process = self.spawn()
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            while process.poll() is None:
                try:
                    client.get(f"http://127.0.0.1:{self.port}/health/live")
                except httpx.TransportError:
                    continue
                return
        raise AssertionError("the server ended at its start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    victim = Victim(tmp_path / "data", port)
    victim.start()
    yield victim
    victim.kill()


@pytest.fixture
def client(victim: Victim) -> Iterator[httpx.Client]:
    _, secret = Keys(victim.data / "keys.json").create("crash", "operator")
    headers = {"Authorization": f"Bearer {secret}"}
    base_url = f"http://127.0.0.1:{victim.port}"
    with httpx.Client(base_url=base_url, headers=headers, timeout=60.0, trust_env=False) as client:
        yield client


def steps_until(client: httpx.Client, path: str, n: int) -> list[str]:
    """Ids of the events up to the `n`th step."""
    ids: list[str] = []
    steps = 0
    with client.stream("GET", path) as response:
        for line in response.iter_lines():
            steps += line == "event: step"
            if line.startswith("id: "):
                ids.append(line.removeprefix("id: "))
                if steps == n:
                    break
    return ids


def test_a_task_killed_in_its_middle_goes_on_where_it_was(victim: Victim, client: httpx.Client) -> None:
    """All steps are taken, each answered by the model once; a follower who reconnects sees no gap."""
    body = {"world": "household", "site": "maple 27", "model": "slow"}
    task = client.post("/v1/tasks", json=body).json()
    path = f"/v1/tasks/{task['id']}/events"
    seen = steps_until(client, path, 4)
    victim.kill()
    recorded = victim.trace.read_text("utf-8").split()
    victim.start()
    with client.stream("GET", path, headers={"Last-Event-ID": seen[-1]}) as response:
        lines = list(response.iter_lines())
    seen += [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    assert seen == [str(n) for n in range(16)]
    done = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert (done["state"], done["outcome"], done["steps"]) == ("done", "failure", 14)
    calls = Counter(victim.trace.read_text("utf-8").split())
    assert len(calls) == 14
    # The call that was being answered when the process died may be asked again; no recorded one is.
    assert [n for n, count in calls.items() if count > 1] in ([], recorded[-1:])
    episode = client.get(f"/v1/episodes/{task['episode']}").json()
    assert sum(m["kind"] == "act" for m in episode["messages"]) == 14


def test_a_question_outlives_a_crash(victim: Victim, client: httpx.Client) -> None:
    """A task that was killed while it waited for a human still waits, and hears the answer."""
    policy = {"rules": [{"tool": "act", "effect": "forbid", "fallback": "ask"}], "default": "allow"}
    body = {"world": "household", "site": "maple 27", "policy": policy, "budget": {"max_steps": 1}}
    path = f"/v1/tasks/{client.post('/v1/tasks', json=body).json()['id']}"
    while not client.get(path).json()["asks"]:
        time.sleep(0.02)
    victim.kill()
    victim.start()
    asked = client.get(path).json()["asks"]
    assert (asked["question"], asked["tool"]) == (1, "act")
    assert client.post(f"{path}/approvals/1", json={"approve": True}).status_code == 200
    with client.stream("GET", f"{path}/events") as response:
        lines = list(response.iter_lines())
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names == ["start", "ask", "answer", "step", "end", "done"]
    step = json.loads(lines[lines.index("event: step") + 1].removeprefix("data: "))
    assert step["verdict"] == "allow"


def test_learning_that_was_cut_off_is_not_lost(victim: Victim, client: httpx.Client) -> None:
    """A task answered before the kill is learned from after it."""
    body = {"world": "household", "site": "maple 27", "wait": "finished"}
    tasks = [client.post("/v1/tasks", json={**body, "seed": n}).json() for n in range(3)]
    victim.kill()
    victim.start()
    waiting = {task["id"] for task in tasks}
    for task in tasks:
        # Learning is in order within a namespace: a later task that waits for its own waits for these too.
        client.get(f"/v1/tasks/{task['id']}/events")
    last = client.post("/v1/tasks", json={**body, "seed": 9, "wait": "learned"}).json()
    assert last["learned"] is True
    learned = {t["id"] for t in client.get("/v1/tasks").json()["data"] if t["learned"]}
    assert waiting <= learned


N_PROPOSED = 40


def set_at_death(victim: Victim) -> tuple[set[str], bool]:
    """Kills; ids of the tasks that were set by then, and whether the search was still at work."""
    victim.kill()
    with closing(sqlite3.connect(victim.data / "jobs.db")) as connection:
        rows = connection.execute("SELECT workflow_uuid, status FROM workflow_status").fetchall()
    found = [(key.rpartition("/")[2], status) for key, status in rows]
    searching = any(one.startswith("prop_") and status == "PENDING" for one, status in found)
    return {one for one, _ in found if one.startswith("task_")}, searching


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_proposals_killed_while_they_are_set_are_set_once(victim: Victim, client: httpx.Client) -> None:
    """In the search, then as soon as one more than before is set, while there are any to set."""
    body = {
        "source": "frontier",
        "world": "tools",
        "family": "desk",
        "n": N_PROPOSED,
        "proposer": "setter",
        "model": "talker",
        "budget": {"max_steps": 1},
    }
    path = f"/v1/proposals/{client.post('/v1/proposals', json=body).json()['id']}"
    deaths = [set_at_death(victim)]
    for _ in range(3):
        victim.start()
        before = len(deaths[-1][0])
        while client.get(path).json()["ended_at"] is None:
            if len(client.get("/v1/tasks", params={"limit": 500}).json()["data"]) > before:
                break
        deaths.append(set_at_death(victim))
    assert any(0 < len(there) < N_PROPOSED and searching for there, searching in deaths), deaths
    victim.start()
    while (job := client.get(path).json())["ended_at"] is None:
        time.sleep(0.05)
    assert job["state"] == "done", job["error"]
    told = {one["task"]: one["text"] for one in job["report"]["tasks"]}
    assert len(told) == len(set(told.values())) == N_PROPOSED
    assert all(there <= set(told) for there, _ in deaths)
    for task in told:
        while client.get(f"/v1/tasks/{task}").json()["ended_at"] is None:
            time.sleep(0.05)
    there = client.get("/v1/tasks", params={"limit": 500}).json()["data"]
    assert sorted(one["id"] for one in there) == sorted(told)
    lived = client.get("/v1/episodes", params={"limit": 500}).json()["data"]
    assert sorted(one["task"] for one in lived) == sorted(told.values())


def test_no_acknowledged_write_is_lost(victim: Victim, client: httpx.Client) -> None:
    """Four writers, killed in mid-write: every item that was answered is there."""
    kept: list[str] = []
    enough = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while True:
            number += 1
            item = {"kind": "tool_note", "text": f"writer {writer} wrote thing number {number} of {writer}"}
            try:
                answer = client.post("/v1/memory", json={"items": [item]})
            except httpx.TransportError:
                return
            kept.append(answer.json()["data"][0]["id"])
            if len(kept) >= 60:
                enough.set()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(30.0)
    victim.kill()
    for writer in writers:
        writer.join(10.0)
    victim.start()
    there: set[str] = set()
    after: str | None = None
    while True:
        params = {"limit": 500, **({"after": after} if after else {})}
        page = client.get("/v1/memory", params=params).json()
        there |= {item["id"] for item in page["data"]}
        after = page["next"]
        if after is None:
            break
    assert set(kept) <= there


def test_a_second_server_on_the_same_data_is_refused(victim: Victim, client: httpx.Client) -> None:
    """It stays up to say so: 503 to every request, and the first one goes on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    client.get("/v1/worlds")
    second = Victim(victim.data, port)
    second.start()
    try:
        headers = dict(client.headers)
        answer = httpx.get(
            f"http://127.0.0.1:{port}/v1/worlds", headers=headers, timeout=30.0, trust_env=False
        )
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_locked"
        assert client.get("/v1/worlds").status_code == 200
    finally:
        second.kill()
