"""What operators write for all over HTTP: a key of its own, read by every namespace, written by no other."""

from __future__ import annotations

import httpx

from memory.types import GLOBAL
from tests.server.served import Served

RULE = {"kind": "tool_note", "text": "the ladder is for everybody", "scope": "global"}


def test_a_key_for_all_writes_what_every_namespace_finds(served: Served) -> None:
    """No tenant's operator can; the tenants find it, and cannot change it."""
    with served.client(GLOBAL) as root, served.client("a") as tenant:
        assert tenant.post("/v1/memory", json={"items": [RULE]}).status_code == 422
        made = root.post("/v1/memory", json={"items": [RULE]})
        assert made.status_code == 201, made.text
        (item,) = made.json()["data"]
        found = tenant.get("/v1/memory/search", params={"query": "where is the ladder"}).json()["hits"]
        assert [hit["item"]["id"] for hit in found] == [item["id"]]
        assert tenant.get(f"/v1/memory/{item['id']}").json()["text"] == RULE["text"]
        assert tenant.patch(f"/v1/memory/{item['id']}", json={"text": "mine"}).status_code == 404
        assert root.delete(f"/v1/memory/{item['id']}").json()["status"] == "retired"
        assert tenant.get("/v1/memory/search", params={"query": "ladder"}).json()["hits"] == []


def test_agents_do_not_work_with_a_key_for_all(served: Served) -> None:
    """Their episodes would be everybody's."""
    chat = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
    task = {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}}
    with served.client(GLOBAL) as root:
        answers: list[httpx.Response] = [
            root.post("/v1/chat/completions", json=chat),
            root.post("/v1/tasks", json=task),
        ]
    assert [answer.status_code for answer in answers] == [403, 403]
