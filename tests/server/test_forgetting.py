"""Merging, restoring, consolidating and forgetting over HTTP and on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from distill import copies
from memory.types import Json
from server.cli import app
from server.consolidating import CONSOLIDATE, NIGHTLY, Consolidating
from server.jobs import JobAddress
from tests.server.served import Served

runner = CliRunner()


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A namespace of its own for every test."""
    with served.client(request.node.name[:40]) as client:
        yield client


@pytest.fixture
def run(
    served: Served, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """A command in the same namespace; its output."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key(request.node.name[:40]))
    monkeypatch.setenv("APPRENTICE_URL", served.url)

    def run(*words: str, status: int = 0) -> str:
        result = runner.invoke(app, ["memory", *words])
        assert result.exit_code == status, result.output
        return result.output

    return run


def remember(client: httpx.Client, *texts: str, **more: Any) -> list[dict[str, Any]]:
    items = [{"kind": "tool_note", "text": text, **more} for text in texts]
    response = client.post("/v1/memory", json={"items": items})
    assert response.status_code == 201, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def task(client: httpx.Client) -> dict[str, Any]:
    body = {"world": "household", "site": "maple 27", "model": "looker", "wait": "learned"}
    done: dict[str, Any] = client.post("/v1/tasks", json=body).json()
    return done


def test_items_are_merged_and_the_merge_undone(client: httpx.Client) -> None:
    """The parts point to the new item; undo brings them back."""
    parts = [item["id"] for item in remember(client, "the ladder is in the shed", "look for it in the shed")]
    into = {"kind": "tool_note", "text": "ladder: shed"}
    merged = client.post("/v1/memory/merge", json={"items": parts, "into": into}).json()
    assert merged["lineage"]["items"] == parts
    assert client.get(f"/v1/memory/{parts[0]}").json()["superseded_by"] == merged["id"]
    seq = client.get(f"/v1/memory/{merged['id']}/history").json()["data"][0]["seq"]
    assert client.post("/v1/memory/undo", json={"seq": seq}).json()["status"] == "retired"
    assert client.get(f"/v1/memory/{parts[0]}").json()["status"] == "active"


def test_versions_are_compared_and_restored(client: httpx.Client, run: Callable[..., str]) -> None:
    """By route and by command; what was added later is retired."""
    (item,) = remember(client, "the ladder is in the shed")
    seq = client.get(f"/v1/memory/{item['id']}/history").json()["data"][-1]["seq"]
    client.patch(f"/v1/memory/{item['id']}", json={"text": "the ladder is in the barn"})
    (later,) = remember(client, "the kettle whistles")
    versions = {"from_version": 1, "to_version": 2}
    (change,) = client.get(f"/v1/memory/{item['id']}/diff", params=versions).json()["data"]
    assert (change["field"], change["after"]) == ("text", "the ladder is in the barn")
    assert "the ladder is in the barn" in run("diff", item["id"], "1", "2")
    assert "1 items changed, 1 retired" in run("restore", str(seq))
    assert client.get(f"/v1/memory/{item['id']}").json()["text"] == item["text"]
    assert client.get(f"/v1/memory/{later['id']}").json()["status"] == "retired"


def test_a_consolidation_is_a_job(client: httpx.Client, run: Callable[..., str]) -> None:
    """Dry first, then for real; it is listed, and a second one finds nothing to do."""
    long = "the big blue mug of the house is kept in the cabinet number 3 beside the {} oven of the kitchen"
    notes = [{"kind": "tool_note", "text": long.format(word)} for word in ("old", "black")]
    body = {"subject": "house", "note": "look there"}
    client.post("/v1/memory", json={"items": [note | {"body": body} for note in notes]})
    dry = json.loads(run("consolidate", "--dry-run", "--json"))
    assert dry["state"] == "done"
    started = client.post("/v1/memory/consolidations", json={})
    assert started.status_code == 202
    job = started.json()
    deadline = time.monotonic() + 30.0
    while job["ended_at"] is None and time.monotonic() < deadline:
        job = client.get(f"/v1/memory/consolidations/{job['id']}").json()
    assert job["report"] == dry["report"]
    assert [one["dry_run"] for one in client.get("/v1/memory/consolidations").json()["data"]] == [False, True]
    assert "Nothing to do" in run("consolidate")


async def test_a_night_puts_every_namespace_in_order() -> None:
    """A job for each, where the setting says so."""
    for nightly in (True, False):
        run = _Run()
        memory: Any = _Namespaces()
        report = await Consolidating(memory, nightly=nightly).run_all(run, {})
        queued = [JobAddress(name, CONSOLIDATE, "consolidation_2026-01-01") for name in ("a", "b")]
        assert run.queued == (queued if nightly else [])
        assert report == {"namespaces": ["a", "b"] if nightly else []}


class _Namespaces:
    """A memory of two namespaces."""

    def namespaces(self) -> tuple[str, ...]:
        return ("a", "b")


class _Run:
    """A job's run that does every step at once."""

    def __init__(self) -> None:
        self.queued: list[JobAddress] = []
        self.address = JobAddress("system", NIGHTLY, "2026-01-01")

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        return await do()

    async def event(self, name: str, data: Json) -> None:
        raise NotImplementedError

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        raise NotImplementedError

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        self.queued.append(address)


def test_an_episode_is_forgotten_with_what_it_taught(client: httpx.Client, served: Served) -> None:
    """A dry run tells the same first; datasets made of it are named."""
    episode = task(client)["episode"]
    note = {"evidence": [{"episode": episode, "message": 1}]}
    (item,) = remember(client, "the mugs of maple 27 hide", **note)
    folder = served.services.settings.distillations_dir / "distill_x" / "dataset"
    folder.mkdir(parents=True, exist_ok=True)
    namespace = item["namespace"]
    manifest = {"namespace": namespace, "episodes": [episode]}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    body = {"kind": "episode", "id": episode}
    dry = client.post("/v1/memory/forget", json={**body, "dry_run": True}).json()
    assert client.get(f"/v1/memory/{item['id']}").json()["status"] == "active"
    done = client.post("/v1/memory/forget", json=body).json()
    assert {**done, "dry_run": True} == dry
    assert done["datasets"] == ["distill_x"]
    assert item["id"] in {one["item"] for one in done["cascade"]["items"]}
    assert client.get(f"/v1/memory/{item['id']}").json()["status"] == "retired"
    assert client.get(f"/v1/episodes/{episode}").json()["forgotten"] == f"episode {episode!r} was forgotten"
    assert copies.datasets(folder.parent.parent, "nobody", [episode]) == ()


def test_a_source_is_revoked(client: httpx.Client, run: Callable[..., str]) -> None:
    """Everything that came from it is retired; a name nobody used is 404."""
    (item,) = remember(client, "press the red button", source="doc-7")
    assert client.post("/v1/memory/revoke", json={"source": "doc-8"}).status_code == 404
    assert "retired" in run("revoke", "doc-7", "--dry-run")
    assert client.get(f"/v1/memory/{item['id']}").json()["status"] == "active"
    run("revoke", "doc-7")
    assert client.get(f"/v1/memory/{item['id']}").json()["status"] == "retired"


def test_what_is_erased_is_in_no_answer(
    client: httpx.Client, run: Callable[..., str], served: Served
) -> None:
    """The task's episode, its job and what it taught: none of their words is left in memory."""
    done = task(client)
    words = "Quixotic Zanzibar keeps the mugs"
    note = {"evidence": [{"episode": done["episode"], "message": 1}]}
    (item,) = remember(client, words, **note)
    out = run("erase", done["episode"], "--kind", "episode", "--yes")
    assert "a search finds 0" in out
    assert client.get(f"/v1/memory/{item['id']}").status_code == 404
    assert client.get(f"/v1/tasks/{done['id']}").status_code == 404
    assert client.get(f"/v1/episodes/{done['episode']}").json()["messages"] == []
    database: Path = served.services.settings.memory_path
    everything = b"".join(
        path.read_bytes() for path in database.parent.glob("**/index/**/*") if path.is_file()
    )
    assert words.encode() not in everything


def test_a_namespace_is_erased_only_by_its_own_name(client: httpx.Client) -> None:
    """A slip of the keyboard must not cost everything."""
    (item,) = remember(client, "the ladder is in the shed")
    body = {"kind": "namespace", "id": "another"}
    assert client.post("/v1/memory/erase", json=body).status_code == 422
    done = client.post("/v1/memory/erase", json={**body, "id": item["namespace"]}).json()
    assert done["erased"]["items"] == [item["id"]]
    assert client.get("/v1/memory").json()["data"] == []
    assert remember(client, "life goes on")
