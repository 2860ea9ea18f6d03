"""Building a constitution over HTTP and from the command line."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.server.served import Served

LOOP = "do not look again and again: the answer stays the same."
ASKED = {"sites": ["maple 27"], "tasks": 2, "model": "looker", "patterns": ["loop"]}


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 60.0
    while job["ended_at"] is None and time.monotonic() < deadline:
        job = client.get(f"/v1/constitution/builds/{job['id']}").json()
    return job


def test_a_build_is_a_job_and_its_version_is_served(served: Served) -> None:
    """An agent works without memory; what was found is on trial, frozen, and in another agent's prompt."""
    with served.client("builder") as client:
        started = client.post("/v1/constitution/builds", json=ASKED)
        assert started.status_code == 202, started.text
        job = ended(client, started.json())
        report = job["report"]
        assert (job["state"], len(report["episodes"]), report["successes"]) == ("done", 2, 0)
        assert report["calibrating"]["calls"] > 0
        version = report["version"]["id"]
        (principle,) = client.get(f"/v1/constitution/versions/{version}").json()["principles"]
        assert (principle["text"], principle["status"]) == (LOOP, "trial")
        body = {"world": "household", "site": "maple 28", "model": "looker", "constitution": version}
        task = client.post("/v1/tasks", json={**body, "wait": "learned"}).json()
        episode = client.get(f"/v1/episodes/{task['episode']}").json()
        assert LOOP in episode["messages"][0]["content"]
        listed = client.get("/v1/constitution/builds").json()["data"]
        assert [one["id"] for one in listed] == [job["id"]]
        again = ended(client, client.post("/v1/constitution/builds", json=ASKED).json())
        assert again["report"]["version"]["id"] != version


def test_what_is_not_there_is_refused_at_once(served: Served) -> None:
    """A world, a site, a builder, a pattern."""
    with served.client("builder") as client:
        wrong: list[dict[str, Any]] = [
            {"sites": ["nowhere"]},
            {"world": "moon"},
            {"builder": "hunch"},
            {"patterns": ["hunch"]},
            {"sites": []},
            {"model": "nobody"},
        ]
        for one in wrong:
            answer = client.post("/v1/constitution/builds", json={**ASKED, **one})
            assert answer.status_code in {404, 422}, (one, answer.text)
        assert client.get("/v1/constitution/builds/build_none").status_code == 404


def test_a_build_is_forgotten_with_its_episodes(served: Served) -> None:
    """The job's records of what it built go with an erased episode."""
    with served.client("eraser") as client:
        job = ended(client, client.post("/v1/constitution/builds", json=ASKED).json())
        root = {"kind": "episode", "id": job["report"]["episodes"][0]}
        done = client.post("/v1/memory/erase", json=root)
        assert done.status_code == 200, done.text
        assert client.get(f"/v1/constitution/builds/{job['id']}").status_code == 404


def test_a_constitution_is_built_from_the_command_line(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, or as JSON; where nothing is found it says so."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key("cli-builder"))
    monkeypatch.setenv("APPRENTICE_URL", served.url)
    words = [
        "constitution",
        "build",
        "--site",
        "maple 27",
        "--tasks",
        "2",
        "--model",
        "looker",
        "--pattern",
        "loop",
    ]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert "0 of 2 tasks succeeded" in said.output
    assert "froze 1 principles as" in said.output
    found = json.loads(CliRunner().invoke(app, [*words, "--shared-only", "--json"]).output)
    assert found["report"]["version"] is None
    assert "nothing is frozen" in CliRunner().invoke(app, [*words, "--shared-only"]).output
