"""Who may call what: every route of the server has a decision, and each role and scope meets it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

import httpx
import pytest

from memory.errors import Denied
from server.access import ACCESS, UNDECIDED, permit, rule_of
from server.auth import AccessRole, AccessScope, Identity
from tests.server.every_route import API, READS_BY_POST, ROUTES, call
from tests.server.served import Served

ROLES: tuple[AccessRole, ...] = get_args(AccessRole)
NOWHERE = defaultdict(lambda: "nobody", question="1")
"""Ids of nothing, by any name."""
AGENTS = {
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "GET /v1/responses/{response_id}",
    "DELETE /v1/responses/{response_id}",
    "POST /v1/rollout/{rollout}/responses",
    "GET /v1/rollout/{rollout}/responses/{response_id}",
    "DELETE /v1/rollout/{rollout}/responses/{response_id}",
    "POST /v1/rollout/{rollout}/chat/completions",
    "GET /v1/rollout/{rollout}/models",
    "GET /v1/batches/{batch_id}",
    "GET /v1/batches/{batch_id}/results",
    "POST /v1/batches",
    "POST /v1/batches/{batch_id}/cancel",
    "GET /v1/quotas",
    "POST /v1/tasks",
    "GET /v1/tasks/{task_id}",
    "GET /v1/tasks/{task_id}/events",
    "POST /v1/tasks/{task_id}/cancel",
    "POST /v1/tasks/{task_id}/resume",
    "GET /v1/worlds",
    "GET /v1/worlds/{name}/tasks",
    "GET /v1/memory/search",
    "POST /v1/memory/search",
    "GET /v1/constitution",
    "GET /v1/models",
    "GET /v1/models/{model:path}",
    "GET /v1/me",
}


@pytest.fixture(scope="module")
def clients(served: Served) -> Iterator[dict[str, httpx.Client]]:
    found = {role: served.client("owner", role) for role in ROLES}
    yield found
    for client in found.values():
        client.close()


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_has_a_decision(route: str) -> None:
    """A new one needs a row in `server.access`, or only operators may call it."""
    assert rule_of(*route.split(" ", 1)) is not UNDECIDED


def test_the_table_names_no_route_that_is_not_there() -> None:
    """A row that outlived its route would hold for the next of that name."""
    assert set(ACCESS) <= set(ROUTES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", [one for one in API if not one.endswith("canary")])
def test_a_role_meets_what_the_table_says(
    clients: dict[str, httpx.Client], route: str, role: AccessRole
) -> None:
    """403 where it may not, and only there; what is not there is 404 for those who may look."""
    answer = call(clients[role], route, NOWHERE)
    if role in rule_of(*route.split(" ", 1)).roles:
        assert answer.status_code != 403, answer.text
    else:
        assert answer.status_code == 403, answer.text
        assert answer.json()["error"]["code"] == "denied"


@pytest.mark.parametrize("route", API)
def test_what_roles_there_are(route: str) -> None:
    """An operator may do all; a reader nothing that changes; an agent what is listed here, no more."""
    rule = rule_of(*route.split(" ", 1))
    assert "operator" in rule.roles
    assert ("read-only" in rule.roles) <= (route.startswith("GET") or route in READS_BY_POST)
    assert (route in AGENTS) == ("agent" in rule.roles)
    assert "user" in rule.roles or rule.roles == {"operator"}


def test_what_nobody_decided_is_an_operators() -> None:
    """A route that was forgotten is closed, not open."""
    assert rule_of("POST", "/v1/new") is UNDECIDED
    for role in ROLES[1:]:
        with pytest.raises(Denied):
            permit(Identity("x", "key:x", role), UNDECIDED)


@pytest.mark.parametrize("route", [one for one in API if rule_of(*one.split(" ", 1)).scopes])
def test_a_scope_opens_its_routes_alone(route: str) -> None:
    """An operator's key with a scope may use what is of that scope."""
    rule = rule_of(*route.split(" ", 1))
    for scope in get_args(AccessScope):
        caller = Identity("x", "key:x", "operator", frozenset([scope]))
        if scope in rule.scopes:
            permit(caller, rule)
        else:
            with pytest.raises(Denied, match="needs the scope"):
                permit(caller, rule)


def test_scopes_hold_over_http_and_mcp(served: Served) -> None:
    """A key for conversations neither reads memory nor sets tasks; it still says who it is."""
    _, secret = served.services.keys.create("owner", "operator", scopes=["chat"])
    headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json, text/event-stream"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as client:
        assert client.get("/v1/me").json()["scopes"] == ["chat"]
        assert call(client, "POST /v1/chat/completions", {}).status_code == 200
        refused = client.get("/v1/memory")
        assert (refused.status_code, "'memory:read'" in refused.text) == (403, True)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        tools = client.post("/mcp", json=asked).json()["result"]["tools"]
        assert tools == []
