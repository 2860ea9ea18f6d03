"""The log: what happened to whom, by ids; never keys, never what was said."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memory.errors import BadInput
from server import logs
from server.settings import Settings
from tests.server.served import Served

SAID = "the spare key is under the blue pot"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged as JSON; the loggers are put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before, levels = list(root.handlers), {name: logging.getLogger(name).level for name in logs.OURS}
    level = root.level
    logs.install("json", "debug", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_its_caller(log: io.StringIO, served: Served) -> None:
    """Its route is a pattern; an id that the caller gave is kept and returned."""
    with served.client("logs") as client:
        answer = client.get("/v1/tasks/nobody", headers={"X-Request-Id": "build-7"})
        key = client.headers["Authorization"].partition(" ")[2]
    assert answer.headers["X-Request-Id"] == "build-7"
    (line,) = [one for one in lines(log) if one.get("request") == "build-7"]
    shown = {name: line[name] for name in ("method", "route", "status", "namespace", "level")}
    assert shown == {
        "method": "GET",
        "route": "/v1/tasks/{task_id}",
        "status": 404,
        "namespace": "logs",
        "level": "info",
    }
    assert line["principal"].startswith("key:")
    assert line["ms"] > 0
    assert key not in log.getvalue()


@pytest.mark.parametrize("asked", ["two words", "x" * 200, "{}", "-begins-with-a-dash", "ü"])
def test_an_id_that_could_forge_a_line_is_replaced(served: Served, asked: str) -> None:
    """By one of ours."""
    with served.client("logs") as client:
        answer = client.get("/health/live", headers=[(b"X-Request-Id", asked.encode())])
    assert answer.headers["X-Request-Id"].startswith("req_")


def test_a_job_says_its_task_and_its_episode(log: io.StringIO, served: Served) -> None:
    """And so does learning from it."""
    with served.client("logs") as client:
        body = {"world": "household", "site": "maple 31", "wait": "learned"}
        task = client.post("/v1/tasks", json=body).json()
    episode = "ep_" + task["id"].removeprefix("task_")
    told = {one["job"]: one for one in lines(log) if one.get("episode") == episode}
    assert told["task"]["task"] == task["id"]
    for job in ("task", "learn"):
        assert (told[job]["namespace"], told[job]["ended"]) == ("logs", "done")
        assert told[job]["ms"] > 0


def test_neither_keys_nor_what_was_said_are_logged(log: io.StringIO, served: Served) -> None:
    """In chats, tasks, memory, searches, and requests that are refused."""
    with served.client("logs") as client:
        key = client.headers["Authorization"].partition(" ")[2]
        chat = {"model": "talker", "messages": [{"role": "user", "content": SAID}]}
        assert client.post("/v1/chat/completions", json=chat).status_code == 200
        task = {"world": "tools", "text": SAID, "model": "talker", "wait": "finished", "wait_s": 20}
        assert client.post("/v1/tasks", json=task).status_code < 300
        assert client.post("/v1/memory", json={"items": [{"kind": "fact", "text": SAID}]}).status_code
        assert client.get("/v1/memory/search", params={"query": SAID}).status_code == 200
        assert client.post("/v1/chat/completions", json={**chat, "n": SAID}).status_code >= 400
        assert client.get(f"/v1/{SAID}").status_code == 404
        client.get("/v1/tasks", headers={"Authorization": f"Bearer apk_{SAID.replace(' ', '')}"})
        client.post("/v1/chat/completions", json={**chat, "model": f"no/such {SAID}"})
    assert len(lines(log)) > 5
    assert key not in log.getvalue()
    assert "blue pot" not in log.getvalue()
    assert "bluepot" not in log.getvalue()


def _break(error: Exception) -> None:
    raise error


def test_of_a_strange_exception_only_name_and_way_are_told(log: io.StringIO) -> None:
    """Its words may be a caller's; ours are written by us. What looks like a key is cut."""
    ours, theirs = logging.getLogger("apprentice.server"), logging.getLogger("some.library")
    for error in (ValueError(SAID), BadInput("k is 99")):
        with pytest.raises(type(error)) as caught:
            _break(error)
        ours.error("it broke", exc_info=caught.value)
    ours.warning("sent %s", "Bearer apk_0123456789abcdef")
    theirs.info("working on %s", SAID)
    first, second, third = lines(log)
    assert (first["error"], second["error"]) == ("ValueError", "BadInput: k is 99")
    assert any("_break" in frame for frame in first["frames"])
    assert third["message"] in {"sent Bearer …", "sent Bearer apk_…"}
    assert SAID not in log.getvalue()


def test_lines_for_people_say_the_same_ids(log: io.StringIO) -> None:
    """Behind the message."""
    root = logging.getLogger()
    root.handlers[0].setFormatter(logs.TextLines())
    with logs.about(request="r1", namespace=None):
        logging.getLogger("apprentice.server").info("done", extra=logs.told({"ms": 3}))
    assert log.getvalue().rstrip().endswith("INFO apprentice.server done request=r1 ms=3")


def test_what_a_probe_asks_is_not_logged_at_info(log: io.StringIO, served: Served) -> None:
    """It would be most of the log."""
    logs.install("json", "info", log)
    with httpx.Client(base_url=served.url, trust_env=False) as nobody:
        nobody.get("/health/live")
        nobody.get("/v1/models")
    routes = [one["route"] for one in lines(log) if one["message"] == "request"]
    assert routes == ["/v1/models"]


def test_settings_say_how_it_is_logged(tmp_path: Path) -> None:
    """By the environment, as all of them."""
    assert Settings(data_dir=tmp_path).log_format == "text"
    assert Settings(data_dir=tmp_path, log_format="json").log_level == "info"
