"""Bad input is told in one shape, and nothing a client sends breaks the server."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from memory import errors
from server.errors import SHAPES, shape_of
from tests.server.served import Served

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
HOUSE = {"world": "household", "site": "maple 27"}
BAD: list[tuple[str, str, Any, int]] = [
    ("POST", "/v1/chat/completions", b"{not json", 400),
    ("POST", "/v1/chat/completions", b"", 400),
    ("POST", "/v1/chat/completions", b"[]", 400),
    ("POST", "/v1/chat/completions", {"messages": []}, 400),
    ("POST", "/v1/chat/completions", {"messages": [{"role": "robot", "content": "x"}]}, 400),
    ("POST", "/v1/chat/completions", {**HELLO, "model": "nobody"}, 404),
    ("POST", "/v1/chat/completions", {**HELLO, "model": "local:../../etc"}, 404),
    ("POST", "/v1/chat/completions", {**HELLO, "n": 0}, 400),
    ("POST", "/v1/chat/completions", {**HELLO, "n": 2, "stream": True}, 400),
    ("POST", "/v1/chat/completions", {**HELLO, "temperature": 9}, 400),
    ("POST", "/v1/chat/completions", {**HELLO, "response_format": {"type": "json_schema"}}, 400),
    ("POST", "/v1/tasks", {"world": "household"}, 422),
    ("POST", "/v1/tasks", {**HOUSE, "text": "both"}, 422),
    ("POST", "/v1/tasks", {**HOUSE, "world": "atlantis"}, 404),
    ("POST", "/v1/tasks", {**HOUSE, "site": "nowhere 1"}, 422),
    ("POST", "/v1/tasks", {**HOUSE, "unheard": 1}, 422),
    ("POST", "/v1/tasks", {**HOUSE, "budget": {"max_steps": 0}}, 422),
    ("POST", "/v1/tasks", {"world": "household", "config": {"site": "maple 27"}}, 422),
    ("POST", "/v1/tasks", {**HOUSE, "model": "local:none+adapter"}, 404),
    ("GET", "/v1/tasks/task_nobody", None, 404),
    ("GET", "/v1/tasks/task_nobody/events", None, 404),
    ("POST", "/v1/tasks/task_nobody/cancel", None, 404),
    ("GET", "/v1/tasks?limit=0", None, 422),
    ("GET", "/v1/tasks?after=task_nobody", None, 404),
    ("GET", "/v1/episodes?after=ep_nobody", None, 404),
    ("GET", "/v1/memory?after=nobody", None, 404),
    ("GET", "/v1/memory?kind=dream", None, 422),
    ("POST", "/v1/memory", {"items": []}, 422),
    ("POST", "/v1/memory", {"items": [{"kind": "tool_note", "text": ""}]}, 422),
    ("POST", "/v1/memory", {"items": [{"kind": "tool_note", "text": "x" * 30_000}]}, 422),
    ("POST", "/v1/memory/search", {"query": "x", "k": 0}, 422),
    ("POST", "/v1/distillations", {"suites": []}, 422),
    ("POST", "/v1/distillations", {"suites": [{"name": "a", "site": "maple 27"}], "base": "looker"}, 404),
    ("POST", "/v1/adapters/nobody/promote", None, 404),
    ("POST", "/v1/adapters/rollback", None, 409),
    ("GET", "/v1/worlds/atlantis/tasks?site=maple%2027", None, 404),
    ("GET", "/v1/worlds/household/tasks?site=maple%2027&split=all", None, 422),
    ("GET", "/v1/nothing/here", None, 404),
    ("DELETE", "/v1/tasks", None, 405),
]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client("clumsy") as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
def test_bad_input_is_told_in_openais_shape(
    client: httpx.Client, method: str, path: str, body: Any, status: int
) -> None:
    """A status, a message in words, a fixed code."""
    if isinstance(body, bytes):
        response = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    else:
        response = client.request(method, path, json=body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["code"]


def test_a_body_over_the_limit_is_refused(client: httpx.Client, served: Served) -> None:
    """413 by its length, and by counting when no length is told."""
    limit = served.services.settings.max_body_bytes
    whole = client.post("/v1/memory", content=b" " * (limit + 1))
    pieces = client.post("/v1/memory", content=(b" " * 65536 for _ in range(limit // 65536 + 2)))
    for response in (whole, pieces):
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"


def test_every_error_of_ours_has_a_row_of_its_own() -> None:
    """Only index repair and world faults never reach a client by name."""
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    unnamed = {kind.__name__ for kind in ours if kind not in SHAPES}
    assert unnamed == {"IndexCorrupt", "WorldError"}
    assert shape_of(errors.IndexCorrupt("x")).status == 500
    assert shape_of(OSError(errno.EIO, "x")).status == 500
