"""Tasks over HTTP, with a model that is a function and the bundled household."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server.served import Served

HOUSE = {"world": "household", "site": "maple 27"}


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client("tasks") as client:
        yield client


def submit(client: httpx.Client, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/tasks", json={**HOUSE, **more})
    assert response.status_code in {200, 202}, response.text
    task: dict[str, Any] = response.json()
    return task


def read_events(client: httpx.Client, path: str, **headers: str) -> list[dict[str, str]]:
    with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        blocks = "".join(response.iter_text()).strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_a_task_runs_to_its_end_and_leaves_an_episode(client: httpx.Client) -> None:
    """The looker never gets anywhere: out of steps, a failure with all its messages kept."""
    task = submit(client, wait="finished")
    assert (task["state"], task["outcome"], task["steps"]) == ("done", "failure", 14)
    episode = client.get(f"/v1/episodes/{task['episode']}").json()
    assert episode["outcome"] == "failure"
    assert sum(message["kind"] == "act" for message in episode["messages"]) == 14
    assert episode["task"] == task["text"]


def test_waiting_for_learning_shows_the_lesson_to_the_next_task(client: httpx.Client) -> None:
    """Once `learned`, what was reflected on is in memory with evidence, and the next task recalls it."""
    task = submit(client, wait="learned", seed=3)
    assert task["learned"] is True
    items = client.get("/v1/memory").json()["data"]
    mine = [
        item for item in items if any(e["episode"] == task["episode"] for e in item["lineage"]["evidence"])
    ]
    assert mine
    after = submit(client, wait="finished", seed=3)
    episode = client.get(f"/v1/episodes/{after['episode']}").json()
    assert episode["recall"]["log_seq"] > 0
    assert episode["recall"]["items"] or episode["recall"]["constitution"]


@pytest.mark.parametrize("mode", ["off", "read", "frozen"])
def test_without_memory_nothing_is_learned(served: Served, mode: str) -> None:
    """`off` and `frozen`, or `read`, keep the episode and learn nothing."""
    with served.client(f"quiet-{mode}") as client:
        task = submit(client, memory=mode, wait="learned")
        assert task["learned"] is None
        assert client.get("/v1/memory").json()["data"] == []
        episode = client.get(f"/v1/episodes/{task['episode']}").json()
    assert (episode["recall"] is None) == (mode == "off")


def test_events_tell_every_step_in_order_and_end_with_the_task(client: httpx.Client) -> None:
    """Start, fourteen steps, end; ids count up from nought; the last event is the task itself."""
    task = submit(client)
    events = read_events(client, f"/v1/tasks/{task['id']}/events")
    names = [event["event"] for event in events]
    assert names == ["start", *["step"] * 14, "end", "done"]
    assert [event["id"] for event in events[:-1]] == [str(n) for n in range(16)]
    assert json.loads(events[-1]["data"])["state"] == "done"


def test_a_stream_goes_on_behind_the_last_event_seen(client: httpx.Client) -> None:
    """Reconnecting with Last-Event-ID leaves no gap and repeats nothing."""
    # Until it is learned, the task that ends a stream may change between two readings.
    task = submit(client, wait="learned")
    path = f"/v1/tasks/{task['id']}/events"
    whole = read_events(client, path)
    rest = read_events(client, path, **{"Last-Event-ID": "6"})
    assert rest == whole[7:]
    assert read_events(client, f"{path}?start=7") == rest


def test_a_running_task_is_cancelled_in_the_middle_of_a_step(client: httpx.Client) -> None:
    """It stops at once and leaves what it did, from which nothing is learned."""
    task = submit(client, model="slow")
    first_step(client, task["id"])
    begun = time.monotonic()
    cancelled = client.post(f"/v1/tasks/{task['id']}/cancel").json()
    assert time.monotonic() - begun < 30.0  # the step would take a minute
    assert (cancelled["state"], cancelled["learned"]) == ("cancelled", None)
    episode = client.get(f"/v1/episodes/{task['episode']}").json()
    assert episode["outcome"] == "infra"
    assert client.post(f"/v1/tasks/{task['id']}/cancel").json() == cancelled


def test_a_task_is_cancelled_in_the_middle_of_a_long_answer(client: httpx.Client) -> None:
    """Nobody waits for the model: what was done is kept before the cancel is answered."""
    task = submit(client, model="dreamer")
    path = f"/v1/tasks/{task['id']}"
    with client.stream("GET", f"{path}/events") as response:
        next(line for line in response.iter_lines() if line == "event: start")
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert client.get(f"/v1/episodes/{task['episode']}").json()["outcome"] == "infra"
    assert [event["event"] for event in read_events(client, f"{path}/events")] == ["start", "done"]


def test_a_cancelled_task_can_be_resumed_to_its_end(client: httpx.Client) -> None:
    """It goes on behind its last recorded step, and its episode grows to the whole."""
    task = submit(client, model="slow")
    first_step(client, task["id"])
    client.post(f"/v1/tasks/{task['id']}/cancel")
    assert client.post(f"/v1/tasks/{task['id']}/resume").json()["state"] in {"queued", "running"}
    events = read_events(client, f"/v1/tasks/{task['id']}/events")
    assert [event["id"] for event in events[:-1]] == [str(n) for n in range(16)]
    done = json.loads(events[-1]["data"])
    assert (done["state"], done["outcome"], done["steps"]) == ("done", "failure", 14)
    episode = client.get(f"/v1/episodes/{task['episode']}").json()
    assert (episode["outcome"], episode["steps"]) == ("failure", 14)


def test_a_finished_task_cannot_be_resumed(client: httpx.Client) -> None:
    """409: there is nothing left to do."""
    task = submit(client, wait="finished")
    assert client.post(f"/v1/tasks/{task['id']}/resume").status_code == 409


def test_an_idempotency_key_makes_one_task_of_two_requests(client: httpx.Client) -> None:
    """The same key gives the same task; with another body it is refused."""
    headers = {"Idempotency-Key": "monday"}
    first = client.post("/v1/tasks", json=HOUSE, headers=headers).json()
    again = client.post("/v1/tasks", json=HOUSE, headers=headers).json()
    other = client.post("/v1/tasks", json={**HOUSE, "seed": 9}, headers=headers)
    assert first["id"] == again["id"]
    assert other.status_code == 409


def test_free_text_runs_in_the_world_of_tools(client: httpx.Client) -> None:
    """Plain words are the answer; nobody knows if it is right until feedback says so."""
    body = {"text": "say hello", "model": "talker", "wait": "finished"}
    task = client.post("/v1/tasks", json=body).json()
    assert (task["state"], task["outcome"], task["learned"]) == ("done", "unknown", None)


def test_late_feedback_settles_an_outcome_and_is_learned_from(served: Served) -> None:
    """A success that was unknown before leaves memories with evidence in its episode."""
    with served.client("late") as client:
        task = submit(client, budget={"max_tokens": 700}, wait="finished")
        assert (task["outcome"], task["learned"]) == ("unknown", None)
        said = {"outcome": "success", "reward": 1.0, "values": {"polite": True}}
        episode = client.post(f"/v1/tasks/{task['id']}/feedback", json=said).json()
        assert (episode["outcome"], episode["reward"], episode["feedback"]) == (
            "success",
            1.0,
            {"polite": True},
        )
        deadline = time.monotonic() + 10.0
        while not (items := client.get("/v1/memory").json()["data"]) and time.monotonic() < deadline:
            pass
        assert any(item["kind"] == "case" and item["outcome"] == "success" for item in items)


def test_feedback_on_a_running_task_is_refused(client: httpx.Client) -> None:
    """409 until it has ended."""
    task = submit(client, model="slow")
    refused = client.post(f"/v1/tasks/{task['id']}/feedback", json={"outcome": "success"})
    client.post(f"/v1/tasks/{task['id']}/cancel")
    assert refused.status_code == 409


def test_pages_hold_every_task_once_newest_first(served: Served) -> None:
    """Five tasks in pages of two."""
    with served.client("pages") as client:
        ids = [submit(client, budget={"max_steps": 1}, wait="finished")["id"] for _ in range(5)]
        seen: list[str] = []
        after: str | None = None
        while True:
            page = client.get("/v1/tasks", params={"limit": 2, **({"after": after} if after else {})}).json()
            seen += [task["id"] for task in page["data"]]
            after = page["next"]
            if after is None:
                break
    assert seen == ids[::-1]


def test_worlds_list_the_same_tasks_for_the_same_seed(client: httpx.Client) -> None:
    """And each can be submitted by its configuration."""
    params = {"site": "maple 27", "n": 3, "seed": 5}
    tasks = client.get("/v1/worlds/household/tasks", params=params).json()
    assert tasks == client.get("/v1/worlds/household/tasks", params=params).json()
    body = {
        "world": "household",
        "config": tasks[0]["config"],
        "budget": {"max_steps": 1},
        "wait": "finished",
    }
    assert client.post("/v1/tasks", json=body).json()["text"] == tasks[0]["text"]
    worlds = {world["name"]: world["listed"] for world in client.get("/v1/worlds").json()}
    assert worlds == {"household": True, "workshop": True, "estate": True, "city": True, "tools": False}
    assert client.get("/v1/worlds/estate/tasks", params=params).json()[0]["world"] == "estate"


def first_step(client: httpx.Client, task_id: str) -> None:
    """Returns when the task has taken a step."""
    with client.stream("GET", f"/v1/tasks/{task_id}/events") as response:
        for line in response.iter_lines():
            if line == "event: step":
                return
