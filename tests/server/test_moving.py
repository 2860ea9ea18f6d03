"""A namespace leaves over HTTP and comes back; what others recorded comes in, believed as far as it may."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memory.moving.importers.formats import FORMATS
from memory.moving.signing import SigningKey
from server.cli import app
from tests.server.served import Served

CHAT = [{"role": "user", "content": "where is the mug"}, {"role": "assistant", "content": "on the shelf"}]


def remembered(served: Served, namespace: str, *texts: str) -> list[dict[str, Any]]:
    with served.client(namespace) as client:
        body = {"items": [{"kind": "tool_note", "text": text} for text in texts]}
        assert client.post("/v1/memory", json=body).status_code == 201
        data: list[dict[str, Any]] = client.get("/v1/memory").json()["data"]
        return data


def bundle_of(served: Served, namespace: str, **params: Any) -> bytes:
    with served.client(namespace) as client:
        answer = client.get("/v1/bundle", params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-tar")
        return answer.content


def test_a_namespace_is_restored_into_another_one(served: Served) -> None:
    """By an operator of the same server: same ids, same trust; a repeat adds nothing."""
    items = remembered(served, "moving-from", "the ladder is in the shed", "the kettle needs new water")
    data = bundle_of(served, "moving-from")
    with served.client("moving-to") as client:
        report = client.post("/v1/bundle", content=data).json()
        assert (report["added"], report["n_refused"]) == (2, 0)
        back = client.get("/v1/memory").json()["data"]
        assert [(one["id"], one["trust"]) for one in back] == [(one["id"], one["trust"]) for one in items]
        assert client.post("/v1/bundle", content=data).json()["present"] == 2


def test_a_users_import_is_trusted_as_a_user(served: Served) -> None:
    """Nobody vouches but operators; readers bring nothing in."""
    remembered(served, "moving-lower", "the ladder is in the shed")
    data = bundle_of(served, "moving-lower", vectors=False)
    with served.client("moving-user", "user") as client:
        assert client.post("/v1/bundle", content=data, params={"vouched": True}).status_code == 403
        assert client.post("/v1/bundle", content=data).status_code == 200
        (item,) = client.get("/v1/memory").json()["data"]
        assert (item["trust"], item["lineage"]["source"][:7]) == (3, "bundle:")
    with served.client("moving-user", "read-only") as client:
        assert client.post("/v1/bundle", content=data).status_code == 403
        assert client.post("/v1/imports", params={"format": "openai"}, content=b"").status_code == 403


def tar_of(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("body", [b"", b"no tar at all", tar_of(), tar_of(**{"../../manifest.json": b"{}"})])
def test_what_is_no_bundle_is_refused(served: Served, body: bytes) -> None:
    """Nothing is written outside, and the answer says what is missing."""
    with served.client("moving-broken") as client:
        answer = client.post("/v1/bundle", content=body)
    assert answer.status_code == 422
    assert "bundle" in answer.json()["error"]["message"]


def test_a_log_comes_in_line_by_line(served: Served) -> None:
    """As episodes; outcomes the caller vouches for become cases that are found."""
    acting = [CHAT[0], {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": ""}}]}]
    data = "\n".join([json.dumps({"messages": acting}), "{"]).encode()
    with served.client("moving-log") as client:
        answer = client.post(
            "/v1/imports", params={"format": "openai", "outcome": "success", "family": "flat"}, content=data
        )
        report = answer.json()
        assert (report["episodes"], report["added"], [one["line"] for one in report["refused"]]) == (
            1,
            1,
            [2],
        )
        (episode,) = client.get("/v1/episodes").json()["data"]
        assert (episode["channel"], episode["source"]) == ("external", report["source"])
        (hit,) = client.post(
            "/v1/memory/search", json={"query": "flat: where is the mug", "family": "flat"}
        ).json()["hits"]
        assert (hit["item"]["body"]["plan"], hit["item"]["trust"]) == (["look()"], 0)
        assert client.post("/v1/imports", params={"format": "word"}, content=b"").status_code == 422


def test_the_server_knows_every_format(served: Served) -> None:
    """The route's list is the importers'."""
    (parameter,) = (
        one
        for one in served.app.openapi()["paths"]["/v1/imports"]["post"]["parameters"]
        if one["name"] == "format"
    )
    assert parameter["schema"]["enum"] == list(FORMATS)


def test_the_command_line_exports_and_imports(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is a bundle, a file needs its format; what was refused is shown."""
    remembered(served, "moving-cli", "the ladder is in the shed")
    monkeypatch.setenv("APPRENTICE_URL", served.url)

    def run(namespace: str, *words: str, status: int = 0) -> str:
        monkeypatch.setenv("APPRENTICE_API_KEY", served.key(namespace))
        result = CliRunner().invoke(app, ["memory", *words])
        assert result.exit_code == status, result.output
        return result.output

    folder = tmp_path / "bundle"
    key = SigningKey.at(served.services.settings.signing_key_path)
    assert f"signed by {key.public}" in run("moving-cli", "export", str(folder))
    assert {path.name for path in folder.iterdir()} >= {"manifest.json", "items.jsonl", "vectors.npy"}
    run("moving-cli", "export", str(folder), status=1)
    assert "1 items and 0 episodes are new" in run("moving-cli-2", "import", str(folder))
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"messages": CHAT}) + "\n{\n", encoding="utf-8")
    assert "--format" in run("moving-cli-2", "import", str(log), status=1)
    shown = run("moving-cli-2", "import", str(log), "--format", "openai")
    assert "1 episodes are new" in shown
    assert "not JSON" in shown
    told = json.loads(run("moving-cli-2", "import", str(log), "--format", "openai", "--json"))
    assert (told["episodes"], told["n_refused"]) == (0, 1)
