"""The four modes, through every door: what is asked, shown, recorded, learned and credited."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from memory.modes import USES
from memory.types import Mode
from server.cli import app
from tests.server.served import Served

SITE = "maple 27"
WAIT_S = 20.0


@dataclass(frozen=True)
class Seen:
    """What can be seen of an episode from outside."""

    asked: bool
    shown: bool
    recorded: bool
    learned: bool
    credited: bool


TABLE: dict[Mode, Seen] = {
    "learn": Seen(asked=True, shown=True, recorded=True, learned=True, credited=True),
    "frozen": Seen(asked=True, shown=True, recorded=True, learned=False, credited=False),
    "shadow": Seen(asked=True, shown=False, recorded=True, learned=True, credited=False),
    "off": Seen(asked=False, shown=False, recorded=False, learned=False, credited=False),
}
"""Chats; of tasks `off` is recorded as well."""

Door = Callable[[Served, httpx.Client, str | None], dict[str, Any] | None]
"""One failed episode in this mode; None where there is none."""


def first_task(client: httpx.Client) -> dict[str, Any]:
    task: dict[str, Any] = client.get("/v1/worlds/household/tasks", params={"site": SITE, "n": 1}).json()[0]
    return task


def episode_of(client: httpx.Client, task: dict[str, Any]) -> dict[str, Any]:
    episode: dict[str, Any] = client.get(f"/v1/episodes/{task['episode']}").json()
    return episode


def by_task(_served: Served, client: httpx.Client, mode: str | None) -> dict[str, Any] | None:
    body = {"world": "household", "config": first_task(client)["config"], "wait": "finished"}
    return episode_of(client, client.post("/v1/tasks", json={**body, "memory": mode}).json())


def by_cli(served: Served, client: httpx.Client, mode: str | None) -> dict[str, Any] | None:
    words = ["task", "run", "--site", SITE, "--json", *(["--memory", mode] if mode else [])]
    key = client.headers["Authorization"].removeprefix("Bearer ")
    env = {"APPRENTICE_API_KEY": key, "APPRENTICE_URL": served.url}
    done = CliRunner().invoke(app, words, env=env)
    assert done.exit_code == 0, done.output
    return episode_of(client, json.loads(done.output)[0])


def by_chat(_served: Served, client: httpx.Client, mode: str | None) -> dict[str, Any] | None:
    asked = f"{SITE}: {first_task(client)['text']}"
    body = {"model": "talker", "messages": [{"role": "user", "content": asked}]}
    headers = {"X-Apprentice-Memory": mode} if mode else {}
    answer = client.post("/v1/chat/completions", json=body, headers=headers)
    if "X-Apprentice-Episode" not in answer.headers:
        assert client.get("/v1/episodes").json()["data"] == []
        assert "drawer 999" not in answer.text
        return None
    name = answer.headers["X-Apprentice-Episode"]
    said: dict[str, Any] = client.post(
        f"/v1/episodes/{name}/feedback", json={"outcome": "failure", "reward": 0.0}
    ).json()
    return said


DOORS: dict[str, Door] = {"task": by_task, "chat": by_chat, "cli": by_cli}


def remember(client: httpx.Client) -> str:
    """A note that the first task asks for."""
    note = {"kind": "tool_note", "text": f"{SITE}: {first_task(client)['text']} look in drawer 999"}
    item: str = client.post("/v1/memory", json={"items": [note]}).json()["data"][0]["id"]
    return item


def seen(client: httpx.Client, item: str, episode: dict[str, Any] | None) -> Seen:
    deadline = time.monotonic() + WAIT_S
    while (health := client.get("/v1/health/learning").json())["waiting"]:
        assert time.monotonic() < deadline
    recall = (episode or {}).get("recall")
    prompt = [m["content"] for m in (episode or {}).get("messages", ()) if m["kind"] == "memory"]
    return Seen(
        asked=recall is not None and item in [one["item"] for one in recall["items"]],
        shown="drawer 999" in json.dumps(prompt),
        recorded=episode is not None,
        learned=health["last_reflection_at"] is not None,
        credited=client.get(f"/v1/memory/{item}").json()["utility"]["n"] == 1,
    )


def expected(mode: Mode, door: str) -> Seen:
    row = TABLE[mode]
    return row if door == "chat" else Seen(row.asked, row.shown, True, row.learned, row.credited)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("mode", TABLE)
def test_a_mode_does_what_the_table_says(served: Served, mode: Mode, door: str) -> None:
    """And the episode names it."""
    with served.client(f"{mode}-{door}") as client:
        item = remember(client)
        episode = DOORS[door](served, client, mode)
        assert seen(client, item, episode) == expected(mode, door)
        if episode is not None:
            assert episode["mode"] == mode


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("mode", TABLE)
def test_the_dial_of_a_namespace_does_the_same(served: Served, mode: Mode, door: str) -> None:
    """For requests that do not say."""
    with served.client(f"dial-{mode}-{door}") as client:
        item = remember(client)
        turned = client.patch("/v1/dials", json={"mode": mode}).json()
        assert (turned["mode"], turned["effective_mode"]) == (mode, mode)
        episode = DOORS[door](served, client, None)
        assert seen(client, item, episode) == expected(mode, door)


def test_the_table_is_the_one_that_rooms_ask() -> None:
    """Told twice on purpose."""
    for mode, row in TABLE.items():
        use = USES[mode]
        assert row == Seen(use.asks, use.asks and use.shows, use.records, use.learns, use.credits)


@pytest.mark.parametrize(
    ("dial", "asked", "expected"),
    [
        ("frozen", "learn", "learn"),
        ("learn", "read", "frozen"),
        ("off", "on", "off"),
        (None, "shadow", "shadow"),
        (None, None, "learn"),
    ],
)
def test_the_request_goes_before_the_dial_unless_that_is_off(
    served: Served, dial: str | None, asked: str | None, expected: str
) -> None:
    """Aliases are read, modes are answered."""
    with served.client(f"order-{dial}-{asked}") as client:
        client.patch("/v1/dials", json={"mode": dial})
        body = {"world": "household", "site": SITE, "budget": {"max_steps": 1}, "wait": "finished"}
        assert client.post("/v1/tasks", json={**body, "memory": asked}).json()["memory"] == expected


def test_a_retry_finds_its_task_though_the_dial_was_turned(served: Served) -> None:
    """The same request with the same key; another request is a conflict."""
    with served.client("retry") as client:
        body = {"world": "household", "site": SITE, "budget": {"max_steps": 1}}
        headers = {"Idempotency-Key": "k1"}
        first = client.post("/v1/tasks", json=body, headers=headers).json()
        client.patch("/v1/dials", json={"mode": "off"})
        again = client.post("/v1/tasks", json=body, headers=headers).json()
        assert (again["id"], again["memory"]) == (first["id"], "learn")
        other = client.post("/v1/tasks", json={**body, "memory": "frozen"}, headers=headers)
        assert other.status_code == 409


def test_late_word_on_a_frozen_episode_teaches_nothing(served: Served) -> None:
    """Its outcome is corrected; nothing is learned from it and nothing credited."""
    with served.client("late-frozen") as client:
        item = remember(client)
        episode = by_task(served, client, "frozen")
        assert episode is not None
        said = client.post(f"/v1/episodes/{episode['id']}/feedback", json={"outcome": "success"}).json()
        assert said["outcome"] == "success"
        after = seen(client, item, said)
        assert (after.learned, after.credited) == (False, False)


def test_dials_are_for_operators(served: Served) -> None:
    """Others may see them; who turned one is in the log; wrong ones are named."""
    with served.client("dials", "user") as user, served.client("dials") as operator:
        assert user.patch("/v1/dials", json={"mode": "off"}).status_code == 403
        assert operator.patch("/v1/dials", json={"mode": "loud"}).status_code == 422
        assert operator.patch("/v1/dials", json={}).status_code in {400, 422}
        assert user.get("/v1/dials").json() == {
            "namespace": "dials",
            "mode": None,
            "effective_mode": "learn",
            "read": None,
            "advantage_guard": None,
            "verify": None,
            "learning_tokens_day": None,
        }
        operator.patch("/v1/dials", json={"mode": "shadow"})
        assert user.get("/v1/dials").json()["effective_mode"] == "shadow"
        operator.patch("/v1/dials", json={"mode": None})
        assert user.get("/v1/dials").json()["mode"] is None


def test_the_command_line_turns_the_dial(served: Served) -> None:
    """`apprentice mode` shows it, sets it, puts it back; `apprentice learning` tells how learning stands."""
    env = {"APPRENTICE_API_KEY": served.key("turned"), "APPRENTICE_URL": served.url}

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), env=env)
        assert done.exit_code == 0, done.output
        return done.output.strip()

    assert run("mode") == "turned: learn (the server's default)"
    assert run("mode", "read") == "turned: frozen (set here)"
    assert run("mode", "default") == "turned: learn (the server's default)"
    assert "learning_tokens_day" in run("dials")
    for name, value in (("read", "lift"), ("verify", "true"), ("learning_tokens_day", "1000")):
        assert value.title() in run("dials", name, value).title()
    assert "1000" not in run("dials", "learning_tokens_day", "default")
    assert "reflection" in run("learning")
    assert json.loads(run("learning", "--json"))["namespace"] == "turned"
