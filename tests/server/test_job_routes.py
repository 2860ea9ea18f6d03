"""Everything that runs is seen, stopped where that is safe, and tried again where it failed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.server import scripted_server
from tests.server.served import Served

TASK = {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}}


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of a namespace of the test's own."""
    with served.client(request.node.originalname[:60]) as client:
        yield client


def test_every_kind_is_listed_and_paged(client: httpx.Client) -> None:
    """Newest first over all kinds; by kind and state; a strange kind is refused."""
    task = client.post("/v1/tasks", json={**TASK, "wait": "learned"}).json()
    note = client.post("/v1/memory/consolidations", json={}).json()
    kinds = [job["kind"] for job in client.get("/v1/jobs").json()["data"]]
    assert kinds == ["consolidate", "learn", "task"]
    first = client.get("/v1/jobs", params={"limit": 1}).json()
    rest = client.get("/v1/jobs", params={"after": first["next"]}).json()["data"]
    assert [first["data"][0]["id"], *(job["id"] for job in rest)] == [note["id"], task["episode"], task["id"]]
    only = client.get("/v1/jobs", params={"kind": ["task", "batch"], "state": "done"}).json()["data"]
    assert [job["id"] for job in only] == [task["id"]]
    assert client.get("/v1/jobs", params={"kind": "tend"}).status_code == 422
    shown = client.get(f"/v1/jobs/task/{task['id']}").json()
    assert (shown["attempts"], shown["progress"]["name"]) == (1, "end")


def test_learning_is_not_cancelled_and_says_why(client: httpx.Client) -> None:
    """A task is; one that has ended stays as it is."""
    scripted_server.pondered.clear()
    task = client.post("/v1/tasks", json={**TASK, "model": "ponderer", "wait": "finished"}).json()
    try:
        refused = client.post(f"/v1/jobs/learn/{task['episode']}/cancel")
        assert refused.status_code == 409
        assert "learned in part" in refused.json()["error"]["message"]
        assert client.get(f"/v1/jobs/learn/{task['episode']}").json()["can_cancel"] is False
    finally:
        scripted_server.pondered.set()
    assert client.post(f"/v1/jobs/task/{task['id']}/cancel").json()["state"] == "done"


def test_a_task_is_stopped_and_goes_on(client: httpx.Client) -> None:
    body = {**TASK, "model": "slow", "memory": "off", "budget": {"max_steps": 4}}
    task = client.post("/v1/tasks", json=body).json()["id"]
    stopped = client.post(f"/v1/jobs/task/{task}/cancel").json()
    assert (stopped["state"], stopped["can_retry"]) == ("cancelled", True)
    assert client.post(f"/v1/jobs/task/{task}/retry").status_code == 200
    again = client.post(f"/v1/jobs/task/{task}/retry")
    assert again.status_code == 409


def test_whoever_may_not_stop_a_kind_may_not_by_this_door(client: httpx.Client, served: Served) -> None:
    """A user stops tasks, and no consolidation; the server's own jobs are nobody's."""
    note = client.post("/v1/memory/consolidations", json={}).json()["id"]
    name = "test_whoever_may_not_stop_a_kind_may_not_by_this_door"
    with served.client(name, "user") as user:
        assert user.post(f"/v1/jobs/consolidate/{note}/cancel").status_code == 403
        assert user.get(f"/v1/jobs/consolidate/{note}").status_code == 200
    assert client.post("/v1/jobs/tend/x/cancel").status_code == 404


def test_the_command_line_sees_stops_and_tries_again(
    client: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And tells a refusal in one line."""
    monkeypatch.setenv("APPRENTICE_URL", served.url)
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key("test_the_command_line_sees_stops_and_tries_again"))
    body = {**TASK, "model": "slow", "memory": "off", "budget": {"max_steps": 900}}
    task = client.post("/v1/tasks", json=body).json()["id"]

    def said(*words: str) -> str:
        return CliRunner().invoke(app, ["jobs", *words]).output

    assert task in said("list")
    assert json.loads(said("list", "--kind", "task", "--state", "running", "--json"))["data"][0]["id"] == task
    assert "cancelled" in said("cancel", "task", task)
    again = said("retry", "task", task)
    assert "running" in again or "queued" in again
    assert "cancelled" in said("cancel", "task", task)
    assert "there is no task" in said("show", "task", "nobody")
