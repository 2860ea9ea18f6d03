"""A task that sets tasks by the tool `submit_task`: refused unless an operator allows it, and how deep."""

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
    models = {"spreader": spreader()}
    with serve(build(Settings(**fixed | more), Parts(models)), models) as served:  # type: ignore[arg-type]
        yield served


def settled(client: httpx.Client) -> list[dict[str, Any]]:
    """All tasks, once none is left to be done."""
    for _ in range(6000):
        tasks: list[dict[str, Any]] = client.get("/v1/tasks").json()["data"]
        if all(one["state"] == "done" for one in tasks):
            return tasks
        time.sleep(0.02)
    raise AssertionError("the tasks did not end")


def told(client: httpx.Client, task: dict[str, Any]) -> list[str]:
    """What tools answered a task."""
    messages = client.get(f"/v1/episodes/{task['episode']}").json()["messages"]
    return [str(one["content"]) for one in messages if one["role"] == "tool"]


@pytest.mark.parametrize(
    ("spawns", "depth", "n_tasks"), [(0, 9, 1), (1, 0, 1), (1, 1, 2), (1, 2, 3), (1, 9, 4)]
)
def test_a_task_starts_as_many_tasks_as_deep_as_it_may(
    tmp_path: Path, spawns: int, depth: int, n_tasks: int
) -> None:
    """None by default; at a depth of 1 a grandchild is refused, and told so; all end as they would have."""
    with serving(tmp_path, max_spawns=spawns, max_spawn_depth=depth) as served, served.client() as client:
        client.post("/v1/tasks", json={"text": "spread 3", "memory": "off"})
        tasks = settled(client)
        assert sorted(one["text"] for one in tasks) == [f"spread {3 - n}" for n in range(n_tasks)][::-1]
        (last,) = [one for one in tasks if one["text"] == f"spread {4 - n_tasks}"]
        if spawns and n_tasks < 4:
            assert f"tasks may be started {depth} deep, and this one is {depth} deep" in told(client, last)[0]
        if not spawns:
            assert "there is no tool" in told(client, last)[0]


def test_what_held_a_task_holds_its_child(tmp_path: Path) -> None:
    """The child's own words cannot ask for what the first was not allowed."""
    allowed = {"rules": [{"tool": "submit_task", "effect": "allow", "when": {"text": {"const": "spread 2"}}}]}
    with serving(tmp_path, max_spawns=1, max_spawn_depth=9) as served, served.client() as client:
        client.post("/v1/tasks", json={"text": "spread 3", "memory": "off", "policy": allowed})
        child = next(one for one in settled(client) if one["text"] == "spread 2")
        assert len(client.get("/v1/tasks").json()["data"]) == 2
        assert "not allowed here" in told(client, child)[0]
