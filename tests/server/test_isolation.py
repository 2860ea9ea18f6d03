"""Nobody sees another namespace, and a stranger gets nothing: over every route, with ids of every kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import get_args

import httpx
import pytest

from server.access import rule_of
from server.auth import AccessRole
from tests.server.belongings import RULE, WORDS, belongings
from tests.server.every_route import API, BODIES, call
from tests.server.served import Served

NOBODYS = {
    "name": "household",
    "question": "1",
    "rollout": "run-1",
    "kind": "task",
    "space": "work",
    "model": "looker",
}
"""Parts of paths that are no ids: everybody may have a rollout of one name and ask the same models."""
ASKABLE = ["after", "family", "query", "namespace", "principal", "id", "version", "episode", "task"]
WITH_ID = [route for route in API if set(re.findall(r"\{(\w+)", route)) - set(NOBODYS)]
WITHOUT = [route for route in API if route not in WITH_ID]
NAMES = sorted({name for route in WITH_ID for name in re.findall(r"\{(\w+)", route)} - set(NOBODYS))
CLOSED = [route for route in API if not rule_of(*route.split(" ")).is_open]


@pytest.fixture(scope="module")
def ids(served: Served) -> dict[str, str]:
    """One of everything, made by the owner."""
    return {**belongings(served, "owner"), **NOBODYS}


@pytest.fixture(scope="module")
def stranger(served: Served) -> Iterator[httpx.Client]:
    with served.client("stranger") as client:
        yield client


@pytest.fixture(scope="module")
def owner(served: Served) -> Iterator[httpx.Client]:
    with served.client("owner") as client:
        yield client


@pytest.fixture(scope="module")
def nobody(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def test_there_is_one_of_everything(ids: dict[str, str]) -> None:
    """A new kind of id needs a thing of that kind in `belongings`."""
    assert set(NAMES) <= set(ids)


@pytest.mark.parametrize("route", [r for r in WITH_ID if r.startswith("GET") and not r.endswith("/events")])
def test_the_owner_finds_it(owner: httpx.Client, ids: dict[str, str], route: str) -> None:
    """Else the next test would prove nothing."""
    found = call(owner, route, ids)
    assert found.status_code == 200 or "has no report" in found.text or "no dataset" in found.text


@pytest.mark.parametrize("route", WITH_ID)
def test_another_namespaces_id_is_not_there(stranger: httpx.Client, ids: dict[str, str], route: str) -> None:
    """404, exactly as for an id that never was."""
    theirs = call(stranger, route, ids)
    nobodys = call(stranger, route, {**{name: f"{value}x" for name, value in ids.items()}, **NOBODYS})
    assert theirs.status_code == nobodys.status_code == 404, theirs.text
    assert theirs.json()["error"]["code"] == nobodys.json()["error"]["code"]


def secrets_of(ids: dict[str, str]) -> list[str]:
    own = [value for name, value in ids.items() if name not in {*NOBODYS, "version_id"}]
    return [*own, WORDS, RULE, '"owner"']


@pytest.mark.parametrize("route", WITHOUT)
def test_no_answer_holds_anything_of_another_namespace(
    stranger: httpx.Client, ids: dict[str, str], route: str
) -> None:
    """Lists, searches and the constitution show a stranger neither ids nor words of the owner."""
    text = call(stranger, route, ids).text
    for secret in secrets_of(ids):
        assert secret not in text


@pytest.mark.parametrize("route", CLOSED)
def test_without_a_key_nothing_is_answered(nobody: httpx.Client, ids: dict[str, str], route: str) -> None:
    """401 in OpenAI's shape, also for a wrong key and another scheme."""
    for headers in ({}, {"Authorization": "Bearer apk_wrong"}, {"Authorization": "Basic YTpi"}):
        nobody.headers.pop("Authorization", None)
        nobody.headers.update(headers)
        response = call(nobody, route, ids)
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "authentication_error"


def test_identity_never_comes_from_the_body(served: Served) -> None:
    """A namespace in a body is refused or ignored: what is written lands with the key's owner."""
    with served.client("writer") as writer:
        note = {"kind": "tool_note", "text": "a note", "namespace": "owner"}
        assert writer.post("/v1/memory", json={"items": [note]}).status_code == 422
        task = {"world": "household", "site": "maple 27", "namespace": "owner"}
        assert writer.post("/v1/tasks", json=task).status_code == 422


@pytest.mark.parametrize("role", get_args(AccessRole))
def test_no_request_with_another_namespaces_ids_tells_anything(
    served: Served, ids: dict[str, str], owner: httpx.Client, role: AccessRole
) -> None:
    """Any id at any place of any route's path, query and body, by any role; and the owner's things stay."""
    drawn = Random(role)
    owned = [ids[name] for name in sorted(set(ids) - set(NOBODYS))]
    said = ""
    with served.client(f"prowler-{role}", role) as prowler:
        for route in API:
            method, path = route.split(" ", 1)
            if path.endswith("/events"):
                continue
            places = {**{name: drawn.choice(owned) for name in NAMES}, **NOBODYS}
            filled = re.sub(r"\{(\w+)\}", lambda found, places=places: places[found[1]], path)
            query = {name: drawn.choice(owned) for name in drawn.sample(ASKABLE, 2)}
            body = _swapped(BODIES.get(route), drawn, owned)
            answer = prowler.request(method, filled, params=query, json=body)
            asked = f"{filled} {query} {body}"
            said += asked
            assert answer.status_code < 500, (asked, answer.text)
            for secret in secrets_of(ids):
                # What one said oneself may come back, also later.
                assert secret not in answer.text or secret in said, (asked, answer.text)
    assert owner.get(f"/v1/memory/{ids['item_id']}").json()["text"] == WORDS
    assert owner.get(f"/v1/keys/{ids['key_id']}").json()["state"] == "valid"


def _swapped(value: object, drawn: Random, owned: list[str]) -> object:
    """The same, with somebody else's ids in the place of some texts."""
    if isinstance(value, str):
        return drawn.choice([value, drawn.choice(owned)])
    if isinstance(value, dict):
        return {name: _swapped(one, drawn, owned) for name, one in value.items()}
    return [_swapped(one, drawn, owned) for one in value] if isinstance(value, list) else value
