"""A source is taken back, with a real trainer: what rested on it falls and is made again without it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.worlds.catalogue import catalogue
from server.settings import Settings
from tests.distill.expert import expert_model
from tests.distill.tiny import WORDS, make_folder
from tests.server import scripted_server
from tests.server.served import Served, serve

pytestmark = pytest.mark.slow
SITE = "maple 27"
SUITE = {"name": "adapt", "world": "household", "site": SITE, "n": 2}
TRAIN = {"epochs": 1, "min_updates": 1, "rank": 4}
ASKED = {"model": "local:small+promoted", "messages": [{"role": "user", "content": "go to cabinet 1"}]}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with a small base, and a model that knows the way of the tasks that are worked on."""
    make_folder(tmp_path / "models" / "small", words=WORDS + " household you are at", context=2048)
    tasks = catalogue("household").tasks(site=SITE, split="work", n=4)
    models = {"expert": asyncio.run(expert_model(tasks))}
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        model="local:small",
        encoder="hash",
        job_poll_s=0.02,
    )
    with serve(scripted_server.make(settings, models), models) as running:
        yield running


def live(client: httpx.Client) -> list[str]:
    """Ids of the episodes of some tasks that went well."""
    lived = []
    for task in catalogue("household").tasks(site=SITE, split="work", n=4):
        body = {"world": "household", "config": task.config, "model": "expert", "wait": "learned"}
        done = client.post("/v1/tasks", json=body).json()
        assert done["outcome"] == "success", done
        lived.append(done["episode"])
    return lived


def taken_in(client: httpx.Client) -> str:
    """The source of an import that an operator stands for."""
    said = [("user", "put a mug on shelf 1"), ("assistant", "looking for mug . > go to cabinet 2")]
    line = json.dumps({"messages": [{"role": role, "content": text} for role, text in said]})
    asked = {"format": "openai", "outcome": "success", "vouched": "true"}
    report = client.post("/v1/imports", params=asked, content=line.encode()).json()
    assert report["episodes"] == 1, report
    return str(report["source"])


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + 400
    while True:
        found: dict[str, Any] = client.get(f"/v1/distillations/{job}").json()
        if found["ended_at"] is not None:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_what_rested_on_a_source_is_made_again_without_it(served: Served) -> None:
    """Trained, let serve by another key, revoked, gone at once, trained again; the lineage says of what."""
    ann = served.services.keys.create("home", "operator", label="ann")[1]
    with served.client("home") as client:
        lived, source = live(client), taken_in(client)
        order = {"suites": [SUITE], "train": TRAIN}
        dry = ended(client, client.post("/v1/distillations", json={**order, "dry_run": True}).json()["id"])
        assert len(dry["report"]["kept"]["episodes"]) == 5, dry
        first = ended(client, client.post("/v1/distillations", json=order).json()["id"])
        assert first["state"] == "done", first
        made = first["report"]["adapter"]
        headers = {"Authorization": f"Bearer {ann}"}
        reason = {"reason": "to see it fall"}
        promoted = client.post(f"/v1/adapters/{made}/promote", json=reason, headers=headers)
        assert promoted.status_code == 200, promoted.text
        answer = client.post("/v1/chat/completions", json=ASKED, headers={"X-Apprentice-Memory": "off"})
        assert answer.json()["model"] == f"local:small+{made}"
        (imported,) = set(client.get(f"/v1/adapters/{made}/lineage").json()["episodes"]) - set(lived)
        assert client.get("/v1/adapters", params={"episode": imported}).json()["data"][0]["id"] == made

        fell = client.post("/v1/memory/revoke", json={"source": source}).json()
        assert fell["adapters"] == [made]
        answer = client.post("/v1/chat/completions", json=ASKED, headers={"X-Apprentice-Memory": "off"})
        assert answer.json()["model"] == "local:small"
        blocked = client.get(f"/v1/adapters/{made}").json()["manifest"]["blocked"]
        assert source in blocked
        (job,) = fell["rebuilds"]
        second = ended(client, job)
        assert (second["state"], second["rebuilds"]) == ("done", made), second
        again = client.get(f"/v1/adapters/{second['report']['adapter']}/lineage").json()
        assert sorted(again["episodes"]) == sorted(lived)
        assert imported not in {row["episode"] for row in again["rows"]}
