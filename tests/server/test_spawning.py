"""A task that sets tasks on its own server, by the server's own API: refused unless an operator allows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.models.scripted import FunctionModel
from memory.types import Message, ToolCall
from server.settings import Settings
from server.wiring import Parts, build
from tests.server.served import Served, serve

_SERVER: list[tuple[str, str]] = []
"""Where the tool finds the server, and its key."""


def submit_task(text: str) -> str:
    """Set a task on the server."""
    url, key = _SERVER[-1]
    headers = {"Authorization": f"Bearer {key}"}
    made = httpx.post(f"{url}/v1/tasks", json={"text": text}, headers=headers, timeout=30.0)
    return str(made.json()["id"])


def spreader() -> FunctionModel:
    """Sets one more task as long as its own says so."""

    def act(messages: tuple[Message, ...]) -> Message:
        order = next(one.text for one in messages if one.kind == "task")
        left = int(order.split()[-1])
        if messages[-1].role == "tool" or not left:
            return Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": "done"}),))
        text = f"spread {left - 1}"
        return Message("assistant", "", tool_calls=(ToolCall("", "submit_task", {"text": text}),))

    return FunctionModel(act, name="spreader")


@contextmanager
def serving(folder: Path, **more: object) -> Iterator[Served]:
    fixed = {"data_dir": folder, "encoder": "hash", "model": "spreader", "job_poll_s": 0.02, "port": 0}
    settings = Settings(**fixed | {"tools": (f"{__name__}:submit_task",)} | more)  # type: ignore[arg-type]
    models = {"spreader": spreader()}
    with serve(build(settings, Parts(models)), models) as served:
        _SERVER.append((served.url, served.key()))
        yield served
        _SERVER.clear()


def settled(client: httpx.Client) -> list[dict[str, Any]]:
    """All tasks, once none is left to be done."""
    for _ in range(6000):
        tasks: list[dict[str, Any]] = client.get("/v1/tasks").json()["data"]
        if all(one["state"] == "done" for one in tasks):
            return tasks
        time.sleep(0.02)
    raise AssertionError("the tasks did not end")


@pytest.mark.parametrize(("max_spawns", "expected"), [(0, 1), (1, 4)])
def test_a_task_starts_as_many_tasks_as_it_may(tmp_path: Path, max_spawns: int, expected: int) -> None:
    """None by default, and it is told so; its own work ends as it would have."""
    with serving(tmp_path, max_spawns=max_spawns) as served, served.client() as client:
        first = client.post("/v1/tasks", json={"text": "spread 3", "memory": "off"}).json()
        assert len(settled(client)) == expected
        messages = client.get(f"/v1/episodes/{first['episode']}").json()["messages"]
        told = [str(one["content"]) for one in messages if one["role"] == "tool"]
        assert ("agents may be started" in told[0]) == (max_spawns == 0)
