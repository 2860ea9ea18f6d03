"""A human's word on a call: a task waits for it, holds nobody up, and takes silence for a no."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agent.models.scripted import FunctionModel
from agent.types import Model
from memory.types import Message, ToolCall
from server.cli import app
from server.settings import Settings
from server.wiring import Parts, build
from tests.server.served import serve

CAREFUL = {"rules": [{"tool": "press", "effect": "forbid", "fallback": "ask"}], "default": "allow"}
PRESS = f"{__name__}:press"


def press(button: str) -> str:
    """Press a button."""
    return f"click {button}"


def settings(folder: Path, **more: object) -> Settings:
    fixed = {"data_dir": folder, "encoder": "hash", "model": "presser", "job_poll_s": 0.02, "port": 0}
    return Settings(**fixed | {"tools": (PRESS,)} | more)  # type: ignore[arg-type]


def act(messages: tuple[Message, ...]) -> Message:
    """Presses once and answers with what came of it."""
    last = messages[-1]
    if "You write the rules" in last.text:
        rules = [{"tool": "press"}] if "press the red button" in last.text else []
        return Message("assistant", json.dumps({"rules": rules}))
    if last.role != "tool":
        return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": "red"}),))
    return Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": last.text}),))


MODELS: Mapping[str, Model] = {"presser": FunctionModel(act, name="presser")}


def ask(client: httpx.Client, **more: Any) -> dict[str, Any]:
    body = {"text": "press the red button", "memory": "off", "policy": CAREFUL, **more}
    task: dict[str, Any] = client.post("/v1/tasks", json=body).json()
    return task


def waiting(client: httpx.Client, task: Mapping[str, Any]) -> dict[str, Any]:
    """The task once it asks."""
    for _ in range(500):
        now: dict[str, Any] = client.get(f"/v1/tasks/{task['id']}").json()
        if now["asks"] or now["ended_at"]:
            return now
        time.sleep(0.02)
    raise AssertionError("it asks nothing")


def ended(client: httpx.Client, task: Mapping[str, Any]) -> str:
    """What the task answered."""
    with client.stream("GET", f"/v1/tasks/{task['id']}/events") as response:
        names = [line.removeprefix("event: ") for line in response.iter_lines() if line.startswith("event:")]
    assert names[-1] == "done"
    messages = client.get(f"/v1/episodes/{task['episode']}").json()["messages"]
    calls = [call["arguments"] for message in messages for call in message["tool_calls"]]
    (answer,) = [arguments["answer"] for arguments in calls if "answer" in arguments]
    return str(answer)


@pytest.mark.parametrize(("word", "answer"), [(True, "click red"), (False, "not approved")])
def test_a_task_does_what_a_human_says(tmp_path: Path, word: bool, answer: str) -> None:
    """It shows what it wants to do; the first answer counts; whoever only reads has no say."""
    with serve(build(settings(tmp_path), Parts(models=MODELS)), MODELS) as served, served.client() as client:
        task = ask(client)
        asked = waiting(client, task)["asks"]
        assert (asked["question"], asked["tool"], asked["arguments"]) == (1, "press", {"button": "red"})
        path = f"/v1/tasks/{task['id']}/approvals"
        assert client.post(f"{path}/2", json={"approve": True}).status_code == 409
        with served.client(role="read-only") as reader:
            assert reader.post(f"{path}/1", json={"approve": True}).status_code == 403
        with served.client("elsewhere") as stranger:
            assert stranger.post(f"{path}/1", json={"approve": True}).status_code == 404
        assert client.post(f"{path}/1", json={"approve": word}).json() == asked
        client.post(f"{path}/1", json={"approve": not word})
        assert answer in ended(client, task)
        assert client.post(f"{path}/1", json={"approve": True}).status_code == 409


def test_the_command_line_shows_what_is_asked_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer by its number, then the task to its end."""
    with serve(build(settings(tmp_path), Parts(models=MODELS)), MODELS) as served, served.client() as client:
        monkeypatch.setenv("APPRENTICE_API_KEY", served.key())
        monkeypatch.setenv("APPRENTICE_URL", served.url)
        task = ask(client)
        waiting(client, task)
        said = CliRunner().invoke(app, ["task", "approve", task["id"], "1", "--no"])
        assert (said.exit_code, "refused: press {'button': 'red'}" in said.output) == (0, True)
        shown = CliRunner().invoke(app, ["task", "show", task["id"]]).output
        assert "question 1: may it call press {'button': 'red'}?" in shown


def test_silence_is_a_no(tmp_path: Path) -> None:
    """After the time that the operator gives; at once where that is none."""
    for wait_s in (0.2, 0.0):
        services = build(settings(tmp_path / str(wait_s), approval_s=wait_s), Parts(models=MODELS))
        with serve(services, MODELS) as served, served.client() as client:
            assert "not approved" in ended(client, ask(client))


def test_who_waits_holds_nobody_up(tmp_path: Path) -> None:
    """With room for one task, others run while one waits; it goes on when it is its turn again."""
    services = build(settings(tmp_path, max_tasks=1), Parts(models=MODELS))
    with serve(services, MODELS) as served, served.client() as client:
        slow = ask(client)
        waiting(client, slow)
        assert ended(client, ask(client, policy=None)) == "click red"
        client.post(f"/v1/tasks/{slow['id']}/approvals/1", json={"approve": True})
        assert ended(client, slow) == "click red"
        stuck = ask(client)
        waiting(client, stuck)
        assert client.post(f"/v1/tasks/{stuck['id']}/cancel").json()["state"] == "cancelled"
        assert ended(client, ask(client, policy=None)) == "click red"


def test_a_request_narrows_the_servers_policy_and_never_widens_it(tmp_path: Path) -> None:
    """Both must allow; a policy that cannot be read is refused before anything is stored."""
    file = tmp_path / "policy.yaml"
    file.write_text("rules:\n  - {tool: press, effect: forbid, reason: no buttons here}\ndefault: allow\n")
    with (
        serve(build(settings(tmp_path / "data", policy=file), Parts(models=MODELS)), MODELS) as served,
        served.client() as client,
    ):
        assert "no buttons here" in ended(client, ask(client, policy={"default": "allow"}))
        wrong = client.post("/v1/tasks", json={"text": "press", "policy": {"rule": []}})
        assert (wrong.status_code, "not a policy" in wrong.text) == (422, True)


@pytest.mark.parametrize("writer", ["rules", "model", True])
def test_a_task_is_held_to_its_own_words(tmp_path: Path, writer: str | bool) -> None:
    """Nobody asked for a button where nobody said press, whoever reads that."""
    services = build(settings(tmp_path, write_policy=writer), Parts(models=MODELS))
    with serve(services, MODELS) as served, served.client() as client:
        assert "not allowed here" in ended(client, ask(client, text="tell me the time", policy=None))
        assert ended(client, ask(client, policy=None)) == "click red"


def test_an_order_of_tools_holds_for_every_task(tmp_path: Path) -> None:
    """What comes too early is sent back with what may come."""
    file = tmp_path / "order.txt"
    file.write_text("not press unless look\n")
    with (
        serve(build(settings(tmp_path / "data", order=file), Parts(models=MODELS)), MODELS) as served,
        served.client() as client,
    ):
        assert "'press' may not be called now" in ended(client, ask(client, policy=None))


@pytest.mark.parametrize(
    ("name", "said"), [("policy", "not a policy"), ("order", "'7' at 5 is no part of a formula")]
)
def test_a_file_that_holds_no_rules_is_named(tmp_path: Path, name: str, said: str) -> None:
    """Where it is opened."""
    file = tmp_path / "rules.yaml"
    file.write_text("rules: 7\n" if name == "policy" else "not a 7\n")
    services = build(settings(tmp_path / "data", **{name: file}), Parts(models=MODELS))
    with serve(services, MODELS) as served, served.client() as client:
        answer = client.get("/v1/dials")
        assert (answer.status_code >= 400, said in answer.text) == (True, True), answer.text
