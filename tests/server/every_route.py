"""Every route of the server, with a request that is well formed for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi.routing import iter_route_contexts

from server.app import create_app
from server.settings import Settings
from server.wiring import build

HOUSE = {"site": "maple 27"}
HELLO = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
BODIES: Mapping[str, dict[str, Any]] = {
    "POST /v1/chat/completions": HELLO,
    "POST /v1/rollout/{rollout}/chat/completions": HELLO,
    "POST /v1/rollout/{rollout}/feedback": {"outcome": "success"},
    "POST /v1/tasks": {"world": "household", **HOUSE, "budget": {"max_steps": 1}},
    "POST /v1/tasks/{task_id}/feedback": {"outcome": "success"},
    "POST /v1/tasks/{task_id}/approvals/{question}": {"approve": True},
    "POST /v1/episodes/{episode_id}/feedback": {"outcome": "success"},
    "POST /v1/memory": {"items": [{"kind": "tool_note", "text": "a note"}]},
    "POST /v1/memory/search": {"query": "private"},
    "PATCH /v1/memory/{item_id}": {"text": "mine now"},
    "POST /v1/memory/merge": {"items": ["a", "b"], "into": {"kind": "tool_note", "text": "a note of two"}},
    "POST /v1/memory/restore": {"seq": 0},
    "POST /v1/memory/undo": {"seq": 1},
    "POST /v1/memory/forget": {"kind": "episode", "id": "nobody"},
    "POST /v1/memory/revoke": {"source": "nowhere"},
    "POST /v1/memory/erase": {"kind": "episode", "id": "nobody"},
    "POST /v1/memory/consolidations": {},
    "POST /v1/constitution/freeze": {},
    "POST /v1/constitution/builds": {"sites": ["maple 27"], "tasks": 1, "model": "looker"},
    "POST /v1/constitution/rollback": {"version": "1-a"},
    "POST /v1/distillations": {"suites": [{"name": "a", **HOUSE, "n": 1}]},
    "POST /v1/flows/improvements": {**HOUSE, "goal": "keep house", "model": "looker"},
    "POST /v1/proposals": {"source": "frontier", "world": "household", **HOUSE},
    "PUT /v1/suites": {"suites": [{"name": "a", **HOUSE, "n": 1}]},
    "POST /v1/adapters/{adapter_id}/canary": {"share": 0.5},
    "POST /v1/keys": {"role": "user"},
    "POST /v1/batches": {"tasks": [{"world": "household", **HOUSE, "budget": {"max_steps": 1}}]},
    "POST /v1/schedules": {"cron": "0 4 29 2 *", "task": {"world": "household", **HOUSE}},
    "POST /v1/webhooks": {"url": "https://example.com/", "events": ["task.asks"]},
    "PUT /v1/quotas/{space}": {"tasks": 1},
}
QUERIES: Mapping[str, str] = {
    "/v1/worlds/{name}/tasks": "?site=maple%2027&n=1",
    "/v1/memory/search": "?query=private",
    "/v1/memory/{item_id}/diff": "?from_version=1&to_version=1",
}
READS_BY_POST = {"POST /v1/memory/search"}


def every_route() -> list[str]:
    """`METHOD /path` of all that is answered, `* /path` where any method is; nothing is opened for it."""
    app = create_app(build(Settings()))
    found = {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or {"*"}) - {"HEAD"}
    }
    return sorted(found)


ROUTES = every_route()
API = [route for route in ROUTES if " /v1/" in route or route == "GET /metrics"]
"""Those that are about somebody's namespace."""


def call(client: httpx.Client, route: str, ids: Mapping[str, str]) -> httpx.Response:
    """Send the well-formed request of a route."""
    method, path = route.split(" ", 1)
    filled = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: ids[found[1]], path) + QUERIES.get(path, "")
    return client.request(method, filled, json=BODIES.get(route))
