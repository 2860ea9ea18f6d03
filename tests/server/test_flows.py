"""Flows improved over HTTP and from the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agent.models.scripted import FunctionModel
from agent.types import Task
from agent.worlds.catalogue import SiteCatalogue
from memory.types import Message, ToolCall
from server.cli import app
from server.wiring import Parts, build
from tests.server.served import Served, serve
from tests.server.test_checks import settings

CARELESS = "do ::: process ::: Hurry. ::: next::end\nend ::: terminal ::: Say it."
CAREFUL = "do ::: process ::: Take care. ::: next::end\nend ::: terminal ::: Say it."
SITE = "maple 27"
ASKED = {"site": SITE, "goal": "keep house", "tasks": 2, "held_out": 2, "epochs": 2, "model": "maid"}


async def ways_of(tasks: tuple[Task, ...]) -> dict[str, list[str]]:
    """A shortest way through each task, by its text."""
    ways: dict[str, list[str]] = {}
    for task in tasks:
        world = SiteCatalogue("household").make()
        await world.reset(task)
        ways[task.text] = []
        while right := world.expert():
            ways[task.text].append(right[0])
            await world.step(ToolCall("x", "act", {"command": right[0]}))
    return ways


class Maid:
    """Writes a careless and a careful program; told to take care it knows the way, else it looks around."""

    def __init__(self, ways: Mapping[str, list[str]]) -> None:
        self.ways = ways

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        if messages[0].text.startswith("Write a program"):
            tried = sum(one.role == "assistant" for one in messages)
            return Message("assistant", CARELESS if tried == 1 else CAREFUL)
        done = sum(one.role == "tool" for one in messages)
        told = "\n".join(one.text for one in messages if one.role == "user")
        way = next(way for text, way in self.ways.items() if text in told)
        command = way[min(done, len(way) - 1)] if "Take care" in told else "look"
        return Message("assistant", "", tool_calls=(ToolCall("x", "act", {"command": command}),))


@pytest.fixture(scope="module")
def maids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    drawn = SiteCatalogue("household").tasks(site=SITE, split="work", n=4)
    maid = FunctionModel(Maid(asyncio.run(ways_of(drawn))), name="maid")
    plain = FunctionModel(lambda _: "look", name="plain", style="plain")
    models = {"maid": maid, "plain": plain}
    fixed = settings(tmp_path_factory.mktemp("flows"), model="maid")
    with serve(build(fixed, Parts(models=models)), models) as served:
        yield served


def ended(client: httpx.Client, body: Mapping[str, object]) -> dict[str, Any]:
    started = client.post("/v1/flows/improvements", json=body)
    assert started.status_code == 202, started.text
    job: dict[str, Any] = started.json()
    deadline = time.monotonic() + 120.0
    while job["ended_at"] is None and time.monotonic() < deadline:
        time.sleep(0.05)
        job = client.get(f"/v1/flows/improvements/{job['id']}").json()
    return job


def test_a_flow_is_improved_kept_and_followed(maids: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the family's next task that names planner `flow`, which is credited to it; an improvement of the
    best there is finds nothing more to keep.
    """
    with maids.client("flows") as client:
        report = ended(client, ASKED)["report"]
        assert (report["program"], report["tried"]) == (CAREFUL, 2)
        scores = [
            report[f"{which}_{where}"] for where in ("score", "held_out") for which in ("first", "best")
        ]
        assert scores == [0.0, 1.0, 0.0, 1.0]
        task = SiteCatalogue("household").tasks(site=SITE, split="work", n=4)[0]
        body = {"world": "household", "config": dict(task.config), "wait": "learned"}
        won = [client.post("/v1/tasks", json=body | more).json() for more in ({}, {"planner": "flow"})]
        assert [one["outcome"] for one in won] == ["failure", "success"]
        utility = client.get(f"/v1/memory/{report['item']}").json()["utility"]
        assert (utility["n"], utility["q"]) == (1, 1.0)
        again = ended(client, ASKED)["report"]
        assert (again["first_score"], again["item"]) == (1.0, None)
    monkeypatch.setenv("APPRENTICE_API_KEY", maids.key("flows"))
    monkeypatch.setenv("APPRENTICE_URL", maids.url)
    shown = CliRunner().invoke(app, ["flow", "list"]).output
    assert report["item"] in shown
    words = ["flow", "improve", SITE, "keep house", "--tasks", "1", "--held-out", "1", "--epochs", "1"]
    assert "not kept" in CliRunner().invoke(app, words).output


def test_what_cannot_be_improved_is_refused(maids: Served) -> None:
    """Sites that are not there, programs that are none, models that follow none."""
    with maids.client("flows") as client:
        for wrong in (
            {"site": "nowhere"},
            {"first": "a ::: process"},
            {"world": "moon"},
            {"model": "nobody"},
        ):
            assert client.post("/v1/flows/improvements", json=ASKED | wrong).status_code in {404, 422}
        job = ended(client, ASKED | {"model": "plain"})
        assert (job["state"], "follows no flow" in job["error"]) == ("failed", True)


def test_a_flow_that_is_not_there_is_told_at_once(maids: Served) -> None:
    """Before a task is stored that could not follow it."""
    with maids.client() as client:
        body = {"world": "household", "site": SITE, "planner": "flow:nowhere"}
        assert client.post("/v1/tasks", json=body).status_code == 404
        note = {"items": [{"kind": "tool_note", "text": "no flow at all"}]}
        item = client.post("/v1/memory", json=note).json()["data"][0]["id"]
        refused = client.post("/v1/tasks", json={**body, "planner": f"flow:{item}"})
        assert refused.status_code == 422
        assert "is no flow in force" in refused.json()["error"]["message"]
