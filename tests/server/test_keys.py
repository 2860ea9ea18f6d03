"""Keys over HTTP and from the command line, and what the log says of them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from server.auth import Keys
from server.cli import app
from tests.server.served import Served


@pytest.fixture(scope="module")
def operator(served: Served) -> Iterator[httpx.Client]:
    with served.client("keeper") as client:
        yield client


def who(served: Served, secret: str) -> httpx.Response:
    return httpx.get(f"{served.url}/v1/me", headers={"Authorization": f"Bearer {secret}"}, trust_env=False)


def test_a_key_is_made_rotated_and_revoked(served: Served, operator: httpx.Client) -> None:
    """Its secret is told once, and once more at each rotation; the list never holds it."""
    made = operator.post("/v1/keys", json={"role": "agent", "scopes": ["chat"], "label": "bot", "days": 1})
    assert made.status_code == 201, made.text
    key = made.json()
    me = operator.get("/v1/me").json()
    assert (key["state"], key["made_by"], key["last_used_at"]) == ("valid", me["principal"], None)
    assert key["expires_at"] == pytest.approx(key["created_at"] + 86_400)
    seen = who(served, key["secret"]).json()
    assert (seen["namespace"], seen["role"], seen["scopes"]) == ("keeper", "agent", ["chat"])
    turned = operator.post(f"/v1/keys/{key['id']}/rotate", json={"overlap_s": 60}).json()
    assert turned["id"] == key["id"]
    assert turned["last_used_at"] == pytest.approx(time.time(), abs=60)
    assert [who(served, one["secret"]).status_code for one in (key, turned)] == [200, 200]
    last = operator.post(f"/v1/keys/{key['id']}/rotate").json()
    answers = [who(served, one["secret"]).status_code for one in (key, turned, last)]
    assert answers == [401, 401, 200]
    assert operator.delete(f"/v1/keys/{key['id']}").json()["state"] == "revoked"
    assert who(served, last["secret"]).status_code == 401
    assert operator.post(f"/v1/keys/{key['id']}/rotate").status_code == 409
    listed = operator.get("/v1/keys").text
    assert not any(one["secret"] in listed for one in (key, turned, last))


def test_keys_are_listed_in_pages(operator: httpx.Client) -> None:
    """Oldest first, each once; no page after a key that is not there."""
    for _ in range(3):
        operator.post("/v1/keys", json={"role": "read-only"})
    whole = [key["id"] for key in operator.get("/v1/keys").json()["data"]]
    paged: list[str] = []
    page = operator.get("/v1/keys", params={"limit": 2}).json()
    while page["next"]:
        paged += [key["id"] for key in page["data"]]
        page = operator.get("/v1/keys", params={"limit": 2, "after": page["next"]}).json()
    assert paged + [key["id"] for key in page["data"]] == whole
    assert operator.get("/v1/keys?after=nobody").status_code == 404


def test_nobody_hands_on_what_they_may_not_do(served: Served) -> None:
    """A key with scopes makes and renews no key with more, and only operators make any."""
    wide, _ = served.services.keys.create("keeper", "operator")
    _, narrow = served.services.keys.create("keeper", "operator", scopes=["admin", "chat"])
    headers = {"Authorization": f"Bearer {narrow}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as client:
        for body in ({"role": "user"}, {"role": "user", "scopes": ["chat", "distill"]}):
            assert client.post("/v1/keys", json=body).status_code == 403
        assert client.post(f"/v1/keys/{wide.id}/rotate").status_code == 403
        assert client.post("/v1/keys", json={"role": "user", "scopes": ["chat"]}).status_code == 201
    with served.client("keeper", "user") as user:
        assert user.post("/v1/keys", json={"role": "user"}).status_code == 403


def test_the_log_says_who_did_it(operator: httpx.Client) -> None:
    """Keys, and what else is done beside memory, with memory's own changes, in one chain."""
    me = operator.get("/v1/me").json()["principal"]
    key = operator.post("/v1/keys", json={"role": "user"}).json()
    operator.delete(f"/v1/keys/{key['id']}")
    suites = {"suites": [{"name": "a", "site": "maple 27", "n": 1}]}
    assert operator.put("/v1/suites", json=suites).is_success
    operator.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "a note"}]})
    assert operator.delete("/v1/keys/nobody").status_code == 404
    acts = operator.get("/v1/audit", params={"op": "act", "principal": me, "limit": 500}).json()["data"]
    assert [act["after"] for act in acts][-3:] == [
        {"act": "POST /v1/keys", "key_id": key["id"], "role": "user"},
        {"act": "DELETE /v1/keys/{key_id}", "key_id": key["id"]},
        {"act": "PUT /v1/suites"},
    ]
    whole = operator.get("/v1/audit", params={"limit": 500}).json()["data"]
    added = next(row for row in whole if row["op"] == "add")
    assert added["after"] is None
    full = operator.get("/v1/audit", params={"limit": 500, "full": True}).json()["data"]
    assert next(row for row in full if row["op"] == "add")["after"]["text"] == "a note"
    first = operator.get("/v1/audit", params={"limit": 2}).json()
    rest = operator.get("/v1/audit", params={"limit": 500, "after": first["next"]}).json()
    assert first["data"] + rest["data"] == whole
    assert operator.get("/v1/audit?after=x").status_code == 422
    assert operator.get("/v1/audit/chain").json() == {"object": "chain", "holds": True, "first_broken": None}


def test_a_broken_chain_is_told(served: Served, operator: httpx.Client) -> None:
    """A row that was changed behind the server's back; put back, it holds again."""
    seq = operator.get("/v1/audit?op=act").json()["data"][0]["seq"]

    def principal(name: str) -> str:
        with closing(sqlite3.connect(served.services.settings.memory_path)) as database, database:
            was = database.execute("select principal from log where seq = ?", (seq,)).fetchone()[0]
            database.execute("update log set principal = ? where seq = ?", (name, seq))
        return str(was)

    was = principal("key:nobody")
    assert operator.get("/v1/audit/chain").json() == {"object": "chain", "holds": False, "first_broken": seq}
    principal(was)
    assert operator.get("/v1/audit/chain").json()["holds"]


def test_the_command_line_does_the_same(tmp_path: Path) -> None:
    """In the data folder, whether a server runs or not."""
    runner, data = CliRunner(), ["--data", str(tmp_path)]
    asked = ["keys", "create", "--role", "agent", "--scope", "chat", "--scope", "tasks", "--json", *data]
    made = json.loads(runner.invoke(app, asked).stdout)
    keys = Keys(tmp_path / "keys.json")
    found = keys.identify(made["secret"])
    assert found is not None
    assert (found.role, found.scopes) == ("agent", {"chat", "tasks"})
    turned = runner.invoke(app, ["keys", "rotate", made["id"], "--overlap", "24h", "--json", *data])
    fresh = json.loads(turned.stdout)["secret"]
    assert keys.identify(fresh) == keys.identify(made["secret"]) == found
    runner.invoke(app, ["keys", "rotate", made["id"], *data])
    assert keys.identify(fresh) is None
    listed = json.loads(runner.invoke(app, ["keys", "list", "--json", *data]).stdout)
    assert (listed[0]["scopes"], listed[0]["used"]) == ("chat, tasks", None)
    wrong = runner.invoke(app, ["keys", "rotate", made["id"], "--overlap", "soon", *data])
    assert (wrong.exit_code, "30m, 24h" in wrong.output) == (1, True)
