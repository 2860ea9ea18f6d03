"""Memory and the constitution over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server.served import Served


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A namespace of its own for every test."""
    with served.client(request.node.name[:40].replace("[", "-").replace("]", "")) as client:
        yield client


def remember(client: httpx.Client, *texts: str, **more: Any) -> list[dict[str, Any]]:
    items = [{"kind": "tool_note", "text": text, **more} for text in texts]
    response = client.post("/v1/memory", json={"items": items})
    assert response.status_code == 201, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def test_what_is_remembered_is_found_and_explained(client: httpx.Client) -> None:
    """The near one is kept; `explain` names every candidate with its fate and score parts."""
    near, _ = remember(client, "the ladder is in the shed", "the kettle needs new water")
    found = client.post("/v1/memory/search", json={"query": "where is the ladder", "explain": True}).json()
    assert [hit["item"]["id"] for hit in found["hits"]] == [near["id"]]
    fates = {hit["item"]["text"]: hit["fate"] for hit in found["candidates"]}
    assert fates["the ladder is in the shed"] == "kept"
    assert found["candidates"][0]["score"]["dense"] > 0
    short = client.get("/v1/memory/search", params={"query": "where is the ladder"}).json()
    assert [hit["item"]["id"] for hit in short["hits"]] == [near["id"]]
    assert short["candidates"] is None


def test_an_edit_appends_a_version_and_history_keeps_both(client: httpx.Client) -> None:
    """Before and after are in the log with the key that changed it."""
    (item,) = remember(client, "the ladder is in the shed")
    edited = client.patch(f"/v1/memory/{item['id']}", json={"text": "the ladder is in the barn"}).json()
    assert (edited["version"], edited["text"]) == (2, "the ladder is in the barn")
    history = client.get(f"/v1/memory/{item['id']}/history").json()["data"]
    assert [entry["version"] for entry in history] == [1, 2]
    assert history[1]["before"]["text"] == "the ladder is in the shed"
    assert history[1]["principal"].startswith("key:")


def test_an_edit_of_an_older_version_is_refused(client: httpx.Client) -> None:
    """409 when somebody else was faster."""
    (item,) = remember(client, "the ladder is in the shed")
    first = {"text": "the ladder is in the barn", "expect_version": 1}
    assert client.patch(f"/v1/memory/{item['id']}", json=first).status_code == 200
    second = {"text": "the ladder is lost", "expect_version": 1}
    assert client.patch(f"/v1/memory/{item['id']}", json=second).status_code == 409


def test_what_is_forgotten_is_recalled_no_more(client: httpx.Client) -> None:
    """Its history stays."""
    (item,) = remember(client, "the ladder is in the shed")
    assert client.delete(f"/v1/memory/{item['id']}").json()["status"] == "retired"
    found = client.get("/v1/memory/search", params={"query": "where is the ladder"}).json()
    assert found["hits"] == []
    assert len(client.get(f"/v1/memory/{item['id']}/history").json()["data"]) == 2


def test_an_idempotency_key_remembers_once(client: httpx.Client) -> None:
    """A repeated request gives the same item; the same key with other items is refused."""
    body = {"items": [{"kind": "tool_note", "text": "the ladder is in the shed"}]}
    headers = {"Idempotency-Key": "one"}
    first = client.post("/v1/memory", json=body, headers=headers).json()["data"]
    again = client.post("/v1/memory", json=body, headers=headers).json()["data"]
    other = {"items": [{"kind": "tool_note", "text": "quite another thing"}]}
    assert [item["id"] for item in again] == [item["id"] for item in first]
    assert client.post("/v1/memory", json=other, headers=headers).status_code == 409


def test_pages_hold_every_item_once(client: httpx.Client) -> None:
    """Seven items in pages of three."""
    wanted = {
        item["id"] for item in remember(client, *(f"number {n} is a thing of its own {n}" for n in range(7)))
    }
    seen: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": 3, **({"after": after} if after else {})}
        page = client.get("/v1/memory", params=params).json()
        seen += [item["id"] for item in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == 7
    assert set(seen) == wanted


def test_a_page_is_asked_for_by_words_and_scope_newest_first(client: httpx.Client) -> None:
    """Each narrows; a page of the newest goes on with older ones."""
    remember(client, "the ladder is in the shed", "the kettle needs new water")
    (own,) = remember(client, "the ladder of maple is red", scope="family", family="maple 27")

    def asked(**params: Any) -> list[str]:
        return [item["text"] for item in client.get("/v1/memory", params=params).json()["data"]]

    assert asked(words="ladder the") == ["the ladder is in the shed", own["text"]]
    assert asked(words="ladder", scope="family") == [own["text"]]
    assert asked(words="nowhere") == []
    newest = client.get("/v1/memory", params={"newest": True, "limit": 2}).json()
    assert [item["text"] for item in newest["data"]] == [own["text"], "the kettle needs new water"]
    assert asked(newest=True, after=newest["next"]) == ["the ladder is in the shed"]


def test_an_operators_principle_is_in_the_constitution(client: httpx.Client) -> None:
    """As JSON, and as Markdown by `Accept` or `format`."""
    items = [{"kind": "principle", "text": "close what you open"}]
    assert client.post("/v1/memory", json={"items": items}).status_code == 201
    constitution = client.get("/v1/constitution").json()
    assert [p["text"] for p in constitution["principles"]] == ["close what you open"]
    by_format = client.get("/v1/constitution", params={"format": "markdown"})
    by_accept = client.get("/v1/constitution", headers={"Accept": "text/markdown"})
    assert by_format.headers["content-type"].startswith("text/markdown")
    assert "close what you open" in by_format.text
    assert by_accept.text == by_format.text


def test_a_principle_of_a_family_holds_there_alone(client: httpx.Client) -> None:
    """Asked for another family, it is not shown."""
    items = [{"kind": "principle", "text": "wipe your feet", "family": "maple 27", "scope": "family"}]
    client.post("/v1/memory", json={"items": items})
    here = client.get("/v1/constitution", params={"family": "maple 27"}).json()
    there = client.get("/v1/constitution", params={"family": "maple 28"}).json()
    assert [p["text"] for p in here["principles"]] == ["wipe your feet"]
    assert there["principles"] == []


def test_secrets_are_not_remembered(client: httpx.Client) -> None:
    """422, and nothing of the request is kept."""
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    items = [{"kind": "tool_note", "text": "fine"}, {"kind": "tool_note", "text": f"aws key {key}"}]
    assert client.post("/v1/memory", json={"items": items}).status_code == 422
    assert client.get("/v1/memory").json()["data"] == []
