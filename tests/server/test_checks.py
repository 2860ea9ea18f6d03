"""Read policies, the guard by experience and the verifier, as operators switch them on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.models.scripted import FunctionModel
from agent.types import Model
from memory.errors import BadInput
from memory.types import Message, ToolCall
from server.settings import Settings
from server.wiring import Parts, build
from tests.server.served import serve

PRESS = f"{__name__}:press"


def press(button: str) -> str:
    """Press a button."""
    return f"click {button}"


def settings(folder: Path, **more: object) -> Settings:
    fixed = {"data_dir": folder, "encoder": "hash", "model": "presser", "job_poll_s": 0.02, "port": 0}
    return Settings(**fixed | {"tools": (PRESS,), "recall_k": 1} | more)  # type: ignore[arg-type]


def presser(buttons: list[str], answer: str) -> FunctionModel:
    """Presses the next of the buttons, another where it is refused, and answers."""

    def act(messages: tuple[Message, ...]) -> Message:
        last = messages[-1]
        if not messages[0].text.startswith("You are an agent"):
            return Message("assistant", '{"lessons": []}')
        if last.text.startswith("refused"):
            call = ToolCall("x", "press", {"button": "green"})
        elif last.role == "tool":
            call = ToolCall("x", "finish", {"answer": answer})
        else:
            call = ToolCall("x", "press", {"button": buttons.pop(0)})
        return Message("assistant", "", tool_calls=(call,))

    return FunctionModel(act, name="presser")


def inspector(name: str, word: str) -> FunctionModel:
    """Plans one check and is sure of its word."""

    def look(messages: tuple[Message, ...]) -> str:
        if "Name at most" in messages[-1].text:
            return json.dumps({"checks": ["Was a button pressed?"]})
        return json.dumps({"holds": word})

    return FunctionModel(look, name=name)


@contextmanager
def client_of(settings: Settings, models: Mapping[str, Model]) -> Iterator[httpx.Client]:
    with serve(build(settings, Parts(models=models)), models) as served, served.client() as client:
        yield client


def do(client: httpx.Client, **more: Any) -> dict[str, Any]:
    """The episode of one task."""
    body = {"world": "tools", "text": "press the button", "wait": "learned", **more}
    task = client.post("/v1/tasks", json=body).json()
    episode: dict[str, Any] = client.get(f"/v1/episodes/{task['episode']}").json()
    return episode


def test_the_policy_decides_who_comes_first(tmp_path: Path) -> None:
    """By the request, by the namespace's dial, by the server's setting."""
    models = {"presser": FunctionModel(lambda _: "so it is", name="presser")}
    notes = [
        {"kind": "tool_note", "text": f"the ladder {where}"}
        for where in ("is in the shed", "leans at the barn")
    ]
    asked = {"query": "is the ladder in the shed or at the barn", "k": 2, "kinds": ["tool_note"]}

    def order(client: httpx.Client, **more: Any) -> list[str]:
        hits = client.post("/v1/memory/search", json={**asked, **more}).json()["hits"]
        return [hit["item"]["text"].split()[-1] for hit in hits]

    with client_of(settings(tmp_path, recall_utility_weight=0.9), models) as client:
        assert client.post("/v1/memory", json={"items": notes}).status_code == 201
        near = order(client, policy="cosine")
        assert sorted(near) == ["barn", "shed"]
        paid = near[::-1]
        episodes = []
        for place in near:
            said = [{"role": "user", "content": f"ladder {place}"}]
            answer = client.post("/v1/chat/completions", json={"model": "presser", "messages": said})
            episodes.append(answer.headers["X-Apprentice-Episode"])
            (shown,) = answer.json()["apprentice"]["items"]
            assert client.get(f"/v1/memory/{shown}").json()["text"].endswith(place)
        for name, outcome in zip(episodes, ("failure", "success"), strict=True):
            client.post(f"/v1/episodes/{name}/feedback", json={"outcome": outcome})
        assert order(client) == order(client, policy="per_case") == order(client, policy="episodic") == paid
        assert order(client, policy="cosine") == near
        assert client.patch("/v1/dials", json={"read": "cosine"}).json()["read"] == "cosine"
        assert order(client) == near
        assert order(client, policy="per_case") == paid
        refused = client.patch("/v1/dials", json={"read": "neural"})
        assert (refused.status_code, "critic" in refused.text) == (422, True)
        client.patch("/v1/dials", json={"read": None})
    with client_of(settings(tmp_path, recall_policy="cosine"), models) as client:
        assert order(client) == near


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"recall_policy": "neural"}, r"'neural' needs a critic: .*distill.critic"),
        ({"recall_policies": {"cosine": 0.5, "lift": 0.4}}, r"recall_policies is .*0.4.*1 in all"),
        ({"verify_in_parts": True}, "verify_in_parts is true and verify is false"),
        ({"planner": "chess"}, "no planner 'chess'; there are: react, plan"),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, more: dict[str, Any], named: str) -> None:
    """Before anything is opened, with what would do."""
    with pytest.raises(BadInput, match=named):
        build(settings(tmp_path, **more))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"verifier": "nobody"}, "verifier is 'nobody'"),
        ({"recall_policy": "neural", "critic": "nowhere"}, "'nowhere' holds no critic"),
    ],
)
def test_what_only_opening_tells_is_named_too(tmp_path: Path, more: dict[str, Any], named: str) -> None:
    """A verifier that does not exist, a folder without a critic: every request says so."""
    with client_of(settings(tmp_path, hosted_models=(), **more), {}) as client:
        answer = client.get("/v1/dials")
    assert answer.status_code >= 400
    assert named in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("more", "answer", "outcome", "by"),
    [
        ({}, "I pressed drawer 7", "unknown", None),
        ({"verify": True}, "I pressed drawer 7", "failure", "verifier"),
        ({"verify": True}, "I pressed red", "unknown", None),
        ({"verify": True, "verifier": "inspector"}, "I pressed red", "success", "verifier"),
        ({"verify": True, "verifier": "sceptic"}, "I pressed red", "failure", "verifier"),
    ],
)
def test_a_verifier_rules_where_the_world_is_silent(
    tmp_path: Path, more: dict[str, Any], answer: str, outcome: str, by: str | None
) -> None:
    """By rules or by a model of its own; what it finds is learned from. A dial switches it off."""
    models = {
        "presser": presser(["red", "red"], answer),
        "inspector": inspector("inspector", "yes"),
        "sceptic": inspector("sceptic", "no"),
    }
    with client_of(settings(tmp_path, **more), models) as client:
        episode = do(client)
        assert (episode["outcome"], episode["outcome_by"]) == (outcome, by)
        said = episode["feedback"].get("verification", {})
        assert said.get("model", "") == more.get("verifier", "")
        client.patch("/v1/dials", json={"verify": False})
        assert do(client)["outcome"] == "unknown"


def test_an_operator_may_verify_in_one_namespace_alone(tmp_path: Path) -> None:
    """By its dial."""
    models = {"presser": presser(["red", "red"], "I pressed drawer 7")}
    with client_of(settings(tmp_path), models) as client:
        assert do(client)["outcome"] == "unknown"
        client.patch("/v1/dials", json={"verify": True})
        assert do(client)["outcome"] == "failure"


@pytest.mark.parametrize("how", ["setting", "dial", "off"])
def test_the_guard_refuses_what_lost_before(tmp_path: Path, how: str) -> None:
    """After two failures with one button and two successes with another."""
    buttons = ["red", "red", "green", "green", "red"]
    outcomes = {"red": "failure", "green": "success"}
    models = {"presser": presser(list(buttons), "done")}
    with client_of(settings(tmp_path, advantage_guard=how == "setting"), models) as client:
        for button in buttons[:4]:
            name = do(client)["id"]
            client.post(f"/v1/episodes/{name}/feedback", json={"outcome": outcomes[button]})
        if how == "dial":
            client.patch("/v1/dials", json={"advantage_guard": True})
        said = [message["content"] for message in do(client)["messages"]]
    assert any("did not pay here" in text for text in said) == (how != "off")


def test_policies_are_drawn_compared_and_held_out(tmp_path: Path) -> None:
    """The episode keeps what was drawn with which chance; a namespace is told what that came to."""
    models = {"presser": presser(["red", "red"], "done")}
    mixture = {"cosine": 0.5, "per_case": 0.5}
    with client_of(settings(tmp_path, recall_policies=mixture, recall_hold_out=0.999), models) as client:
        note = {"kind": "tool_note", "text": "tools: press the button twice"}
        client.post("/v1/memory", json={"items": [note]})
        assert client.get("/v1/policies").json()["data"] == []
        episode = do(client)
        assert dict(episode["recall"]["query"]["mixture"]) == mixture
        (item,) = episode["recall"]["items"]
        assert (item["shown"], item["propensity"]) == (False, pytest.approx(0.001))
        client.post(f"/v1/episodes/{episode['id']}/feedback", json={"outcome": "success"})
        told = {one["policy"]: one["n"] for one in client.get("/v1/policies").json()["data"]}
        assert told == {"nothing": 1, "cosine": 0, "per_case": 0}
        client.patch("/v1/dials", json={"read": "cosine"})
        assert do(client)["recall"]["query"]["mixture"] == [["cosine", 1.0]]


def test_learning_goes_on_without_the_model_once_its_tokens_are_used_up(tmp_path: Path) -> None:
    """By setting or dial; health says so, and counters of the server's life tell what was spent."""
    model = presser(["red"] * 4, "I pressed drawer 7")
    more = {"verify": True, "learning_tokens_day": 1}

    def calls() -> int:
        return sum(not request.messages[0].text.startswith("You are an agent") for request in model.history)

    with client_of(settings(tmp_path, **more), {"presser": model}) as client:
        seen = []
        for dial in (None, None, 10**9, 0):
            client.patch("/v1/dials", json={"learning_tokens_day": dial})
            do(client)
            health = client.get("/v1/health/learning").json()
            newest = client.get("/v1/tasks", params={"limit": 1}).json()["data"][0]
            seen.append((calls(), health["tokens_day"], health["is_spent"], newest["learned"]))
        assert seen == [(1, 1, True, True), (1, 1, True, True), (2, 10**9, False, True), (2, 0, True, True)]
        spent = client.get("/v1/health/learning").json()["spent_today"]["learning"]
        told = client.get("/metrics").text
        totals = re.findall(r'^apprentice_learning_tokens_total\{kind="\w+"\} (\S+)$', told, re.MULTILINE)
        assert sum(map(float, totals)) == spent > 0


def planning(messages: tuple[Message, ...]) -> Message:
    """Plans when it is asked to; presses what the plan says, and answers."""
    last = messages[-1]
    if '"steps"' in last.text:
        return Message("assistant", json.dumps({"steps": ["press red"]}))
    if last.role == "tool":
        return Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": "done"}),))
    button = "red" if last.text.startswith("Plan:") else "any"
    return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": button}),))


def test_a_planner_is_chosen_by_the_operator_and_by_requests(tmp_path: Path) -> None:
    """Turn by turn where nobody says otherwise; an unknown one is refused before anything is stored."""
    models = {"presser": FunctionModel(planning, name="presser")}
    with client_of(settings(tmp_path, planner="plan"), models) as client:
        planned, plain = do(client, memory="off"), do(client, planner="react", memory="off")
        refused = client.post("/v1/tasks", json={"text": "press", "planner": "chess"})
    pressed = [
        next(call["arguments"] for message in one["messages"] for call in message["tool_calls"])["button"]
        for one in (planned, plain)
    ]
    assert pressed == ["red", "any"]
    assert refused.status_code == 422
    assert "there are: react, plan" in refused.json()["error"]["message"]
