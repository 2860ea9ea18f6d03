"""Tasks that the server proposes to itself, over HTTP and from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agent.models.scripted import FunctionModel
from agent.types import Task
from agent.worlds.catalogue import SiteCatalogue
from distill.sources.writing import names_in
from memory.types import Message, ToolCall
from server.cli import app
from server.wiring import Parts, build
from tests.server.served import Served, serve
from tests.server.test_checks import settings

SITE = "maple 27"
HOUSE = SiteCatalogue("household")
FAILED = HOUSE.tasks(site=SITE, split="work", n=3)
NAMES = frozenset[str]().union(*(names_in(task, listed=True) for task in FAILED))


def like_them(split: str, n: int) -> list[Task]:
    """Tasks of nothing but what the failed ones name."""
    near = (task for task in HOUSE.all(SITE) if task not in FAILED and names_in(task, listed=True) <= NAMES)
    return [task for task in near if HOUSE.split_of(task) == split and task.config["wording"] == 0][:n]


FRESH = like_them("work", 3)
GATE = HOUSE.tasks(site=SITE, split="gate", n=1)


class Writer:
    """Writes what it is given to write, thinks well of everything, and plays a world of one shelf."""

    def __init__(self) -> None:
        self.script: list[list[object]] = []

    def __call__(self, messages: tuple[Message, ...]) -> Message | str:
        text = messages[0].text
        if text.startswith("You set tasks"):
            return json.dumps({"tasks": self.script.pop(0) if self.script else []})
        if text.startswith("You play the world"):
            return "you see a shelf."
        return "yes" if text.startswith("A task:") else '{"score": 0.9}'


def works(messages: tuple[Message, ...]) -> Message:
    """Looks around, and never gets anywhere."""
    if not messages[0].text.startswith("You are an agent"):
        return Message("assistant", '{"lessons": []}')
    return Message("assistant", "", tool_calls=(ToolCall("x", "act", {"command": "look"}),))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Writer]]:
    """A server, and who writes its tasks."""
    writer = Writer()
    models = {
        "worker": FunctionModel(works, name="worker"),
        "writer": FunctionModel(writer, name="writer"),
        "plain": FunctionModel(lambda _: "look", name="plain", style="plain"),
    }
    fixed = settings(tmp_path_factory.mktemp("proposals"), model="worker", job_poll_s=0.1)
    with serve(build(fixed, Parts(models=models)), models) as served:
        yield served, writer


def bare(task: Task) -> dict[str, Any]:
    return {name: value for name, value in task.config.items() if name != "site"}


def asked(source: str, **more: object) -> dict[str, object]:
    fixed = {"source": source, "world": "household", "site": SITE, "n": 3, "proposer": "writer"}
    return {**fixed, "budget": {"max_steps": 2}, **more}


def ended(client: httpx.Client, body: Mapping[str, object]) -> dict[str, Any]:
    started = client.post("/v1/proposals", json=body)
    assert started.status_code == 202, started.text
    return wait(client, f"/v1/proposals/{started.json()['id']}")


def wait(client: httpx.Client, url: str) -> dict[str, Any]:
    job: dict[str, Any] = client.get(url).json()
    deadline = time.monotonic() + 60.0
    while job["ended_at"] is None and time.monotonic() < deadline:
        time.sleep(0.05)
        job = client.get(url).json()
    return job


def fail_some(client: httpx.Client) -> None:
    for task in FAILED:
        body = {"world": "household", "config": dict(task.config), "budget": {"max_steps": 2}}
        assert client.post("/v1/tasks", json={**body, "wait": "learned"}).json()["outcome"] == "failure"


def test_what_is_proposed_runs_and_leaves_episodes_that_say_so(home: tuple[Served, Writer]) -> None:
    """The gate's task, a copy and a stranger are refused with the reason; a dry run sets nothing."""
    served, writer = home
    script: list[list[object]] = [[bare(FRESH[0]), bare(GATE[0])], [bare(FAILED[0])], [bare(FRESH[1])]]
    with served.client("evolving") as client:
        fail_some(client)
        writer.script = [list(one) for one in script]
        dry = ended(client, asked("evolve_failed", n=3, dry_run=True))["report"]
        assert [one["task"] for one in dry["tasks"]] == [None, None]
        assert len(client.get("/v1/tasks").json()["data"]) == len(FAILED)
        writer.script = [list(one) for one in script]
        job = ended(client, asked("evolve_failed", n=3))
        report = job["report"]
        assert [one["text"] for one in report["tasks"]] == [task.text for task in FRESH[:2]]
        reasons = [one["reason"].partition(":")[0] for one in report["refused"]]
        assert sorted(reasons) in (["duplicate", "gate"], ["duplicate", "names"]), report["refused"]
        assert report["usage"]["calls"] >= 5
        done = [wait(client, f"/v1/tasks/{one['task']}") for one in report["tasks"]]
        assert [(one["state"], one["outcome"]) for one in done] == [("done", "failure")] * 2
        assert done[0]["proposed"]["source"] == "evolve_failed"
        told = client.get(f"/v1/episodes/{done[0]['episode']}").json()["feedback"]
        assert told["proposed"] == {
            "source": "evolve_failed",
            "items": [],
            "job": job["id"],
            "p": told["proposed"]["p"],
        }
        assert told["task_quality"] == 0.9
        assert client.get("/v1/proposals").json()["data"][0]["id"] == job["id"]


def test_a_gate_task_is_refused_by_its_split_and_by_what_operators_declared(
    home: tuple[Served, Writer],
) -> None:
    """`frontier` asks for no names, so that nothing else is in the way."""
    served, writer = home
    with served.client("gated") as client:
        suite = {"name": "adapt", "world": "household", "site": SITE, "split": "work", "n": 3}
        assert client.put("/v1/suites", json={"suites": [suite]}).status_code == 200
        held = HOUSE.tasks(site=SITE, split="work", n=3)[0]
        writer.script = [[bare(GATE[0]), bare(held), {**bare(GATE[0]), "wording": 1}]]
        report = ended(client, asked("frontier", n=1))["report"]
        assert report["tasks"] == []
        assert [one["reason"][:5] for one in report["refused"]] == ["gate:"] * 3
        assert client.get("/v1/tasks").json()["data"] == []


def test_a_task_made_of_an_item_says_which(
    home: tuple[Served, Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line; whoever revokes the item finds what was made of it."""
    served, writer = home
    with served.client("reading") as client:
        draft = {"kind": "principle", "text": "wipe your feet first", "scope": "namespace"}
        body = {"tier": "global", "builder": "operator"}
        made = client.post("/v1/memory", json={"items": [{**draft, "body": body}]})
        assert made.status_code in (200, 201), made.text
        item = client.get("/v1/memory").json()["data"][0]["id"]
        writer.script = [[bare(FRESH[0])]]
        monkeypatch.setenv("APPRENTICE_API_KEY", served.key("reading"))
        monkeypatch.setenv("APPRENTICE_URL", served.url)
        shown = CliRunner().invoke(
            app, ["propose", "from_document", SITE, "--n", "1", "--proposer", "writer"]
        )
        assert item in shown.output, shown.output
        task = client.get("/v1/tasks").json()["data"][0]
        assert task["proposed"]["items"] == [item]
        done = wait(client, f"/v1/tasks/{task['id']}")
        told = client.get(f"/v1/episodes/{done['episode']}").json()["feedback"]
        assert told["proposed"]["items"] == [item]


def test_what_is_imagined_is_never_taken_for_real(home: tuple[Served, Writer]) -> None:
    """An episode of origin `imagined` of which nothing is learned; what held when it was played is set, and
    lived by itself.
    """
    served, writer = home
    with served.client("dreaming") as client:
        fail_some(client)
        writer.script = [[bare(FRESH[0])]]
        report = ended(client, asked("imagine", n=1))["report"]
        (proposed,) = report["tasks"]
        (dreamt,) = report["imagined"]
        episode = client.get(f"/v1/episodes/{dreamt}").json()
        assert (episode["origin"], episode["outcome"], episode["outcome_by"]) == (
            "imagined",
            "success",
            "judge",
        )
        assert episode["mode"] == "off"
        assert len(client.get("/v1/tasks").json()["data"]) == len(FAILED) + 1
        done = wait(client, f"/v1/tasks/{proposed['task']}")
        lived = client.get(f"/v1/episodes/{done['episode']}").json()
        assert (lived["origin"], lived["outcome"], lived["task_id"]) == (
            "real",
            "failure",
            episode["task_id"],
        )
        assert lived["feedback"]["proposed"]["source"] == "imagine"


def test_what_cannot_be_searched_for_is_refused(home: tuple[Served, Writer]) -> None:
    """At once where it can be told; a budget that is used up is one of these."""
    served, writer = home
    with served.client("wrong") as client:
        for wrong, status in (
            ({"source": "nobody"}, 422),
            ({"site": "nowhere"}, 422),
            ({"world": "moon"}, 404),
            ({"family": "x"}, 422),
            ({"source": "risk_scenarios"}, 422),
            ({"proposer": "nobody"}, 404),
            ({"n": 51}, 422),
        ):
            answer = client.post("/v1/proposals", json=asked("frontier") | wrong)
            assert answer.status_code == status, (wrong, answer.text)
        job = ended(client, asked("frontier", proposer="plain"))
        assert (job["state"], "writes no tasks" in job["error"]) == ("failed", True)
        assert client.get("/v1/proposals/prop_other").status_code == 404
        assert client.patch("/v1/dials", json={"learning_tokens_day": 1}).status_code == 200
        writer.script = [[bare(FRESH[0])]]
        report = ended(client, asked("frontier", n=1))["report"]
        assert [one["reason"].partition(":")[0] for one in report["refused"]] == ["budget"]
        assert client.post("/v1/proposals", json=asked("frontier")).status_code == 429
