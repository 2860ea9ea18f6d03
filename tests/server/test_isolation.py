"""Nobody sees another namespace, a reader changes nothing, a stranger gets nothing: over every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from server.app import create_app
from server.settings import Settings
from server.wiring import build
from tests.server.served import Served

OPEN = {"/health/live", "/health/ready"}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/chat/completions"): {"model": "talker", "messages": [{"role": "user", "content": "hello"}]},
    ("POST", "/v1/tasks"): {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}},
    ("POST", "/v1/tasks/{task_id}/feedback"): {"outcome": "success"},
    ("POST", "/v1/tasks/{task_id}/approvals/{question}"): {"approve": True},
    ("POST", "/v1/episodes/{episode_id}/feedback"): {"outcome": "success"},
    ("POST", "/v1/memory"): {"items": [{"kind": "tool_note", "text": "a note"}]},
    ("POST", "/v1/memory/search"): {"query": "private"},
    ("PATCH", "/v1/memory/{item_id}"): {"text": "mine now"},
    ("POST", "/v1/memory/merge"): {
        "items": ["a", "b"],
        "into": {"kind": "tool_note", "text": "a note of two"},
    },
    ("POST", "/v1/memory/restore"): {"seq": 0},
    ("POST", "/v1/memory/undo"): {"seq": 1},
    ("POST", "/v1/memory/forget"): {"kind": "episode", "id": "nobody"},
    ("POST", "/v1/memory/revoke"): {"source": "nowhere"},
    ("POST", "/v1/memory/erase"): {"kind": "episode", "id": "nobody"},
    ("POST", "/v1/memory/consolidations"): {},
    ("POST", "/v1/constitution/freeze"): {},
    ("POST", "/v1/constitution/builds"): {"sites": ["maple 27"], "tasks": 1},
    ("POST", "/v1/constitution/rollback"): {"version": "1-a"},
    ("POST", "/v1/distillations"): {"suites": [{"name": "a", "site": "maple 27", "n": 1}]},
    ("POST", "/v1/flows/improvements"): {"site": "maple 27"},
    ("POST", "/v1/proposals"): {"source": "frontier", "world": "household", "site": "maple 27"},
    ("PUT", "/v1/suites"): {"suites": [{"name": "a", "site": "maple 27", "n": 1}]},
    ("POST", "/v1/adapters/{adapter_id}/canary"): {"share": 0.5},
}
PARAMETERS = {
    "/v1/worlds/{name}/tasks": "?site=maple%2027&n=1",
    "/v1/memory/search": "?query=private",
    "/v1/memory/{item_id}/diff": "?from_version=1&to_version=1",
}
READS_BY_POST = {"/v1/memory/search"}
OPERATORS = {
    "/v1/memory/restore",
    "/v1/memory/forget",
    "/v1/memory/revoke",
    "/v1/memory/erase",
    "/v1/memory/consolidations",
    "/v1/constitution/rollback",
    "/v1/constitution/review",
    "/v1/constitution/builds",
    "/v1/constitution/builds/{build_id}/cancel",
    "/v1/memory/consolidations/{consolidation_id}/cancel",
    "/v1/distillations",
    "/v1/distillations/{distillation_id}/cancel",
    "/v1/suites",
    "/v1/flows/improvements",
    "/v1/flows/improvements/{improvement_id}/cancel",
    "/v1/adapters/{adapter_id}/promote",
    "/v1/adapters/{adapter_id}/canary",
    "/v1/adapters/rollback",
}


def all_routes() -> list[tuple[str, str]]:
    """Method and path of everything the API answers; nothing is opened for it."""
    app = create_app(build(Settings()))
    found: list[tuple[str, str]] = []
    stack: list[Any] = list(app.routes)
    while stack:
        route = stack.pop()
        if isinstance(route, APIRoute):
            found += [(method, route.path) for method in route.methods or ()]
        elif hasattr(route, "original_router"):
            stack += route.original_router.routes
    return sorted(set(found))


ROUTES = all_routes()
WITH_ID = [(method, path) for method, path in ROUTES if "_id}" in path]
WRITES = [(m, p) for m, p in ROUTES if m != "GET" and p not in READS_BY_POST]


@pytest.fixture(scope="module")
def ids(served: Served) -> dict[str, str]:
    """One of everything, made by the owner."""
    with served.client("owner") as client:
        body = {"world": "household", "site": "maple 27", "wait": "learned"}
        task = client.post("/v1/tasks", json=body).json()
        note = {"items": [{"kind": "tool_note", "text": "the owner's private words"}]}
        item = client.post("/v1/memory", json=note).json()["data"][0]
        rule = {"items": [{"kind": "principle", "text": "the owner's private rule"}]}
        assert client.post("/v1/memory", json=rule).status_code == 201
        version = client.post("/v1/constitution/freeze", json={}).json()
        return {
            "version_id": version["id"],
            "task_id": task["id"],
            "episode_id": task["episode"],
            "item_id": item["id"],
            "distillation_id": "distill_0",
            "consolidation_id": "consolidation_0",
            "build_id": "build_0",
            "improvement_id": "flow_0",
            "proposal_id": "prop_0",
            "adapter_id": "step-0",
            "name": "household",
            "question": "1",
        }


@pytest.fixture(scope="module")
def stranger(served: Served) -> Iterator[httpx.Client]:
    with served.client("stranger") as client:
        yield client


def call(client: httpx.Client, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    filled = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path) + PARAMETERS.get(path, "")
    return client.request(method, filled, json=BODIES.get((method, path)))


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_another_namespaces_id_is_not_there(
    stranger: httpx.Client, ids: dict[str, str], method: str, path: str
) -> None:
    """404, exactly as for an id that never was."""
    theirs = call(stranger, method, path, ids)
    unknown = {name: f"{value}x" for name, value in ids.items() if name != "question"}
    nobodys = call(stranger, method, path, {**ids, **unknown})
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["error"]["code"] == nobodys.json()["error"]["code"]


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r not in WITH_ID])
def test_no_answer_holds_anything_of_another_namespace(
    stranger: httpx.Client, ids: dict[str, str], method: str, path: str
) -> None:
    """Lists, searches and the constitution show a stranger neither ids nor words of the owner."""
    text = call(stranger, method, path, ids).text
    for secret in (ids["task_id"], ids["episode_id"], ids["item_id"], "the owner's private", '"owner"'):
        assert secret not in text


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[1] not in OPEN])
def test_without_a_key_nothing_is_answered(
    served: Served, ids: dict[str, str], method: str, path: str
) -> None:
    """401 in OpenAI's shape, also for a wrong key and another scheme."""
    for headers in ({}, {"Authorization": "Bearer apk_wrong"}, {"Authorization": "Basic YTpi"}):
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as nobody:
            response = call(nobody, method, path, ids)
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_read_only_key_changes_nothing(served: Served, ids: dict[str, str], method: str, path: str) -> None:
    """403 on every route that writes, before anything else is looked at."""
    with served.client("owner", "read-only") as reader:
        assert call(reader, method, path, ids).status_code == 403


@pytest.mark.parametrize(("method", "path"), [r for r in WRITES if r[1] in OPERATORS])
def test_what_is_served_is_an_operators_to_change(
    served: Served, ids: dict[str, str], method: str, path: str
) -> None:
    """403 for a user's key."""
    with served.client("owner", "user") as user:
        assert call(user, method, path, ids).status_code == 403


def test_identity_never_comes_from_the_body(served: Served) -> None:
    """A namespace in a body is refused or ignored: what is written lands with the key's owner."""
    with served.client("writer") as writer:
        note = {"kind": "tool_note", "text": "a note", "namespace": "owner"}
        assert writer.post("/v1/memory", json={"items": [note]}).status_code == 422
        task = {"world": "household", "site": "maple 27", "namespace": "owner"}
        assert writer.post("/v1/tasks", json=task).status_code == 422
