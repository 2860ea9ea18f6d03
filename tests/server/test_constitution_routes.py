"""The constitution over HTTP: forms, versions, rolling back, freezing, moving it elsewhere."""

from __future__ import annotations

import io
import json
import tarfile

import httpx

from tests.server.served import Served


def rule(client: httpx.Client, text: str, **rest: object) -> str:
    item = {"kind": "principle", "text": text, **rest}
    answer = client.post("/v1/memory", json={"items": [item]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"][0]["id"])


def versions(client: httpx.Client) -> list[str]:
    return [one["id"] for one in client.get("/v1/constitution/versions").json()["data"]]


def texts(client: httpx.Client) -> list[str]:
    return sorted(one["text"] for one in client.get("/v1/constitution").json()["principles"])


def test_it_is_written_in_several_forms(served: Served) -> None:
    """Each holds the principle; an unknown form is refused."""
    with served.client("forms") as client:
        rule(client, "close what you open")
        named = ("markdown", "agents", "system", "json", "rhyme")
        found = {name: client.get("/v1/constitution", params={"format": name}) for name in named}
    assert found["markdown"].text.startswith("# Constitution ")
    assert found["agents"].text.startswith("# Instructions for agents")
    assert found["system"].text == "Principles learned from experience:\n- close what you open\n"
    assert found["json"].json()["principles"][0]["text"] == "close what you open"
    assert found["rhyme"].status_code == 422


def test_a_users_principle_is_on_trial(served: Served) -> None:
    """An operator's is in force at once, and an operator alone may promote by hand."""
    with served.client("tried", "user") as user, served.client("tried") as operator:
        item = rule(user, "close what you open")
        assert user.get(f"/v1/memory/{item}").json()["status"] == "trial"
        assert user.patch(f"/v1/memory/{item}", json={"status": "active"}).status_code == 403
        assert operator.patch(f"/v1/memory/{item}", json={"status": "active"}).status_code == 200
        other = rule(operator, "look first")
        assert operator.get(f"/v1/memory/{other}").json()["status"] == "active"
        assert operator.post("/v1/constitution/review").json()["data"] == []
        assert user.post("/v1/constitution/review").status_code == 403


def test_versions_are_listed_compared_and_rolled_back_to(served: Served) -> None:
    """By operators; a contradiction of the log is 404, nonsense 422."""
    with served.client("versioned", "user") as user, served.client("versioned") as client:
        item = rule(client, "close what you open")
        client.patch(f"/v1/memory/{item}", json={"text": "close all you open"})
        new, old = versions(client)
        change = client.get("/v1/constitution/diff", params={"from_version": old, "to_version": new})
        (one,) = change.json()["data"]
        assert (one["before"], one["after"]) == ("close what you open", "close all you open")
        assert user.post("/v1/constitution/rollback", json={"version": old}).status_code == 403
        done = client.post("/v1/constitution/rollback", json={"version": old})
        assert done.json()["changed"] == [item]
        assert texts(client) == ["close what you open"]
        assert client.post("/v1/constitution/rollback", json={"version": "9999999-a"}).status_code == 404
        assert client.post("/v1/constitution/rollback", json={"version": "x"}).status_code == 422


def test_a_frozen_version_stays_and_is_served_to_tasks(served: Served) -> None:
    """409 for one that is not frozen; 404 in another namespace."""
    with served.client("freezer") as client, served.client("stranger") as stranger:
        rule(client, "close what you open")
        kept = client.post("/v1/constitution/freeze", json={}).json()
        rule(client, "look first")
        frozen = client.get(f"/v1/constitution/versions/{kept['id']}").json()
        assert (frozen["version"], len(frozen["principles"])) == (kept["id"], 1)
        as_text = client.get(f"/v1/constitution/versions/{kept['id']}", params={"format": "system"})
        assert "look first" not in as_text.text
        assert client.get(f"/v1/constitution/versions/{versions(client)[0]}").status_code == 409
        assert stranger.get(f"/v1/constitution/versions/{kept['id']}").status_code == 404
        body = {"text": "say hello", "model": "talker", "wait": "finished", "constitution": kept["id"]}
        refused = client.post("/v1/tasks", json={**body, "constitution": "9999999-a"})
        assert refused.status_code == 404
        task = client.post("/v1/tasks", json=body).json()
        episode = client.get(f"/v1/episodes/{task['episode']}").json()
        assert episode["constitution_version"] == kept["id"]
        assert [name.rpartition("@")[0] for name in episode["recall"]["constitution"]] == [
            frozen["principles"][0]["id"]
        ]


def test_it_moves_to_another_namespace_on_trial(served: Served) -> None:
    """As JSON; trusted as external unless an operator vouches."""
    with served.client("giver") as giver, served.client("taker") as taker:
        rule(giver, "close what you open")
        sent = giver.get("/v1/constitution").json()
        (taken,) = taker.post("/v1/constitution/import", json=sent).json()["data"]
        assert (taken["status"], taken["trust"], taken["channel"]) == ("trial", 0, "external")
        assert taken["lineage"]["source"] == f"constitution:{sent['version']}"
        with served.client("taker", "user") as user:
            refused = user.post("/v1/constitution/import", json=sent, params={"vouched": True})
            assert refused.status_code == 403
    with served.client("truster") as truster:
        (taken,) = truster.post("/v1/constitution/import", json=sent, params={"vouched": True}).json()["data"]
        assert (taken["status"], taken["channel"]) == ("trial", "operator")


def test_its_signed_bundle_holds_the_principles_alone(served: Served) -> None:
    """As a tar that `POST /v1/bundle` takes in elsewhere."""
    with served.client("packer") as client, served.client("unpacker", "user") as other:
        rule(client, "close what you open")
        client.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "the tap is stuck"}]})
        tar = client.get("/v1/constitution/bundle").content
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            manifest = archive.extractfile("manifest.json")
            assert manifest is not None
            assert json.load(manifest)["signature"]
        report = other.post("/v1/bundle", content=tar, headers={"Content-Type": "application/x-tar"})
        assert report.json()["added"] == 1
        assert other.get("/v1/constitution").json()["principles"][0]["status"] == "trial"
