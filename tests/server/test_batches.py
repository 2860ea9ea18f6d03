"""Many tasks in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.server.served import Served

TASK = {"world": "household", "site": "maple 27", "memory": "off", "budget": {"max_steps": 1}}
ENDLESS = {**TASK, "model": "slow", "budget": {"max_steps": 900}}


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of a namespace of the test's own."""
    with served.client(request.node.originalname[:60]) as client:
        yield client


def set_batch(client: httpx.Client, *tasks: object, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/v1/batches", json={"tasks": [*tasks], "label": "mine"}, headers=headers)


def ended(client: httpx.Client, batch: str) -> dict[str, object]:
    while (shown := client.get(f"/v1/batches/{batch}").json())["state"] == "running":
        pass
    found: dict[str, object] = shown
    return found


def lines(client: httpx.Client, batch: str) -> list[dict[str, object]]:
    answer = client.get(f"/v1/batches/{batch}/results")
    assert answer.headers["content-type"].startswith("application/jsonl")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_batch_runs_all_its_tasks(client: httpx.Client) -> None:
    """Results come in the order they were sent; the list of tasks has them too."""
    made = set_batch(client, *({**TASK, "seed": n} for n in range(6)))
    assert made.status_code == 202, made.text
    batch = made.json()
    assert (batch["total"], sum(batch["counts"].values())) == (6, 6)
    done = ended(client, batch["id"])
    assert (done["state"], done["counts"]) == ("done", {"done": 6})
    found = lines(client, batch["id"])
    assert [(one["index"], one["task"]["seed"]) for one in found] == [(n, n) for n in range(6)]
    assert len(client.get("/v1/tasks").json()["data"]) == 6
    assert client.get("/v1/batches").json()["data"][0]["id"] == batch["id"]


def test_one_bad_entry_refuses_all_and_is_named(client: httpx.Client) -> None:
    """Malformed ones by the place of the field; others each with its reason. Nothing is set."""
    refused = set_batch(client, TASK, {"world": "household"})
    assert (refused.status_code, "tasks.1" in refused.text) == (422, True)
    refused = set_batch(client, TASK, {**TASK, "world": "nowhere"}, {**TASK, "site": "no such site"})
    message = refused.json()["error"]["message"]
    assert refused.status_code == 422
    assert "2 of 3 tasks are refused" in message
    assert "\ntasks.1: " in message
    assert "\ntasks.2: " in message
    assert client.get("/v1/tasks").json()["data"] == client.get("/v1/batches").json()["data"] == []


def test_the_same_key_is_the_same_batch(client: httpx.Client) -> None:
    """Another batch under it is a conflict."""
    first = set_batch(client, TASK, key="k").json()
    assert set_batch(client, TASK, key="k").json()["id"] == first["id"]
    assert set_batch(client, TASK, TASK, key="k").status_code == 409
    ended(client, first["id"])
    assert len(client.get("/v1/tasks").json()["data"]) == 1


def test_a_cancelled_batch_stops_its_tasks(client: httpx.Client) -> None:
    """Through its own route or that of jobs; what was never queued is told as such."""
    batch = set_batch(client, *({**ENDLESS, "seed": n} for n in range(5))).json()["id"]
    while client.get(f"/v1/batches/{batch}").json()["counts"].get("running", 0) < 2:
        pass
    assert client.post(f"/v1/batches/{batch}/cancel").json()["state"] == "cancelled"
    for line in lines(client, batch):
        task = line["task"]
        assert task is None or task["state"] == "cancelled"
    retried = client.post(f"/v1/jobs/batch/{batch}/retry")
    assert (retried.status_code, "its tasks are" in retried.text) == (409, True)


def test_there_is_a_bound(client: httpx.Client, served: Served) -> None:
    most = served.services.settings.max_batch
    refused = set_batch(client, *([TASK] * (most + 1)))
    assert (refused.status_code, "APPRENTICE_MAX_BATCH" in refused.text) == (413, True)
    assert set_batch(client).status_code == 422
