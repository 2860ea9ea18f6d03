"""Declared suites: what the gate asks is never learned from, and every distillation is judged on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from distill.suites import Suite
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import Denied
from memory.types import Draft, Evidence, Lineage, NoteBody
from server.cli import app
from server.ordering import suites_for
from server.suites import Declaration, Declared
from tests.distill.episodes import NAMESPACE, make_episode
from tests.server.served import Served

SUITE = {"name": "adapt", "world": "household", "site": "maple 27", "n": 4}
HOUSE = {"world": "household", "wait": "learned", "budget": {"max_steps": 2}}


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A namespace of its own for every test."""
    with served.client(request.node.name[:40]) as client:
        yield client


def gate_task(client: httpx.Client) -> dict[str, Any]:
    """The configuration of a task that the suite holds."""
    asked = {"site": "maple 27", "split": "gate", "n": "4"}
    found: dict[str, Any] = client.get("/v1/worlds/household/tasks", params=asked).json()[0]
    return found


def declared(client: httpx.Client) -> dict[str, Any]:
    answer = client.put("/v1/suites", json={"suites": [SUITE]})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_suites_are_declared_shown_and_withdrawn(client: httpx.Client) -> None:
    """By an operator, with the name of its key; a suite that cannot be drawn is refused."""
    assert client.get("/v1/suites").json()["tasks"] == 0
    told = declared(client)
    assert (told["tasks"], told["suites"][0]["role"]) == (4, "adapt")
    assert told["by"].startswith("key:")
    assert client.get("/v1/suites").json() == told
    assert client.put("/v1/suites", json={"suites": [{**SUITE, "n": 999}]}).status_code == 422
    assert client.get("/v1/suites").json() == told
    assert client.delete("/v1/suites").status_code == 200
    assert client.delete("/v1/suites").status_code == 404


def test_suites_on_the_command_line(
    served: Served, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared, listed, withdrawn."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key(request.node.name[:40]))
    monkeypatch.setenv("APPRENTICE_URL", served.url)

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["suites", *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "8 tasks" in run("declare", "--site", "maple 27", "--retain", "oak 30", "--n", "4")
    listed = run("list")
    assert "adapt maple 27" in listed
    assert "retain oak 30" in listed
    assert "no suites" in run("withdraw")
    assert "apprentice suites declare" in run("list")


def test_a_gate_task_is_not_learned_from(client: httpx.Client) -> None:
    """403 with the remedy before it begins; frozen it runs and teaches nothing; others teach as ever."""
    declared(client)
    task = gate_task(client)
    refused = client.post("/v1/tasks", json={**HOUSE, "config": task["config"], "memory": "learn"})
    assert refused.status_code == 403
    assert "frozen" in refused.json()["error"]["message"]
    assert task["id"] in refused.json()["error"]["message"]
    done = client.post("/v1/tasks", json={**HOUSE, "config": task["config"], "memory": "frozen"}).json()
    assert (done["state"], done["learned"]) == ("done", None)
    assert client.post("/v1/tasks", json={**HOUSE, "site": "maple 27"}).json()["learned"] is True
    assert client.delete("/v1/suites").status_code == 200
    again = client.post("/v1/tasks", json={**HOUSE, "config": task["config"], "memory": "learn"})
    assert again.json()["learned"] is True


def test_what_was_learned_from_is_no_gate_task(client: httpx.Client) -> None:
    """409 names the task and the episode; other tasks may still be declared."""
    done = client.post("/v1/tasks", json={**HOUSE, "config": gate_task(client)["config"]}).json()
    refused = client.put("/v1/suites", json={"suites": [SUITE]})
    assert refused.status_code == 409
    assert done["episode"] in refused.json()["error"]["message"]
    elsewhere = client.put("/v1/suites", json={"suites": [{**SUITE, "site": "oak 30"}]})
    assert elsewhere.status_code == 200


def test_the_declared_suites_are_always_asked(tmp_path: Path) -> None:
    """Whoever orders a distillation may add suites, never take one away; the file outlives the server."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as memory:
        suites = Declared(tmp_path / "suites.json")
        must = Suite("must", "household", "maple 27", n=4)
        suites.declare("home", Declaration((must,), (0, 1), "key:1", 1.0), memory)
    asked = suites_for(Declared(tmp_path / "suites.json"), "home", [(Suite("own", "city", "oak 23"), (7,))])
    assert [(one["name"], one["seeds"]) for one in asked] == [("must", [0, 1]), ("own", [7])]
    assert suites_for(suites, "work") == ()
    assert json.loads((tmp_path / "suites.json").read_text("utf-8"))["home"]["by"] == "key:1"


def test_memory_itself_refuses_episodes_and_items_of_gate_tasks(tmp_path: Path) -> None:
    """At the time of writing, by whatever way they come: recorded, imported, or as evidence of an item."""
    held: dict[str, frozenset[str]] = {NAMESPACE: frozenset({"task-e1"})}
    with Memory.open(
        tmp_path / "memory.db", encoder=HashEncoder(), held=lambda name: held.get(name, frozenset())
    ) as memory:
        gated, other = make_episode("e1"), make_episode("e2")
        with pytest.raises(Denied, match="'task-e1' is one of the gate's"):
            memory.record(gated, principal="p")
        memory.record(replace(gated, mode="frozen"), principal="p")
        memory.record(other, principal="p")
        memory.record(replace(gated, namespace="work"), principal="p")
        assert [episode.id for episode in memory.episodes(NAMESPACE)] == ["e1", "e2"]
        draft = Draft("tool_note", "the mug is on shelf 1", NoteBody("mug", "on shelf 1"))
        with pytest.raises(Denied, match="rests on episode 'e1'"):
            memory.remember(
                NAMESPACE,
                [replace(draft, lineage=Lineage((Evidence("e1", 1),)))],
                principal="p",
                channel="user",
            )
        kept = replace(draft, lineage=Lineage((Evidence("e2", 1),)))
        assert memory.remember(NAMESPACE, [kept], principal="p", channel="user")
        folder = memory.export("work", tmp_path / "bundle")
        held["yard"] = frozenset({"task-e1"})
        with pytest.raises(Denied, match="gate"):
            memory.import_("yard", folder, principal="p", channel="operator", vouched=True)
        assert memory.episodes("yard") == ()
