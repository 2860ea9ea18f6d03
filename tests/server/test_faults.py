"""What is wrong with the machine or the settings is told; each test has a server of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
import pytest

from memory import errors
from server.settings import Settings
from tests.agent.openai_server import Service, fails, says, streams
from tests.server import scripted_server
from tests.server.served import Served

Serving = Callable[[Settings], AbstractContextManager[Served]]


def test_an_unsafe_server_is_not_built(tmp_path: Path) -> None:
    """Without keys only a loopback address may be served."""
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", auth_required=False)
    with pytest.raises(errors.BadInput, match="loopback"):
        scripted_server.make(settings, {})


def test_a_missing_encoder_is_told_and_mended_by_a_setting(serving: Serving, tmp_path: Path) -> None:
    """The server lives, is not ready, and answers with the reason."""
    settings = Settings(data_dir=tmp_path / "data", encoder=str(tmp_path / "no-such-model"), model="talker")
    with serving(settings) as served:
        with served.client() as client:
            assert client.get("/health/live").status_code == 200
            answer = client.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "a note"}]})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "encoder_error"
        assert "no-such-model" in answer.json()["error"]["message"]


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(serving: Serving, tmp_path: Path) -> None:
    """507; reading goes on; what was answered with 201 is there."""
    settings = Settings(
        data_dir=tmp_path / "data",
        encoder="hash",
        model="talker",
        memory_max_pages=160,
        max_body_bytes=1 << 20,
    )
    with serving(settings) as served:
        with served.client() as client:
            kept: list[str] = []
            status = 201
            for number in range(400):
                words = " ".join(f"word{number}x{n}" for n in range(200))
                note = {"items": [{"kind": "tool_note", "text": f"note {number} {words}"}]}
                answer = client.post("/v1/memory", json=note)
                status = answer.status_code
                if status != 201:
                    break
                kept.append(answer.json()["data"][0]["id"])
            assert (status, answer.json()["error"]["code"]) == (507, "disk_full")
            assert kept
            there = {item["id"] for item in client.get("/v1/memory", params={"limit": 500}).json()["data"]}
        assert there == set(kept)


def test_a_namespace_that_learns_too_slowly_is_asked_to_wait(serving: Serving, tmp_path: Path) -> None:
    """429 with the time to come back, for tasks that would be learned from; nothing is dropped."""
    settings = Settings(data_dir=tmp_path / "data", encoder="hash", model="ponderer", max_learning_backlog=1)
    task = {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}}
    with serving(settings) as served, served.client() as client:
        first = client.post("/v1/tasks", json={**task, "wait": "finished"}).json()
        busy = client.post("/v1/tasks", json=task)
        unlearned = client.post("/v1/tasks", json={**task, "memory": "read"})
        assert (busy.status_code, busy.json()["error"]["code"]) == (429, "learning_backlog")
        assert busy.headers["Retry-After"]
        assert unlearned.status_code == 202
        elsewhere = served.client("elsewhere")
        assert elsewhere.post("/v1/tasks", json=task).status_code == 202
        elsewhere.close()
        scripted_server.pondered.set()
        again = client.post("/v1/tasks", json={**task, "wait": "learned", "memory": "read"})
        assert again.status_code == 200
        while not client.get(f"/v1/tasks/{first['id']}").json()["learned"]:
            pass
        assert client.post("/v1/tasks", json={**task, "wait": "learned"}).json()["learned"] is True


def test_a_hosted_model_is_reached_through_its_endpoint(serving: Serving, tmp_path: Path) -> None:
    """Another server that speaks OpenAI's format answers, streams and fails; its failure is a 502."""
    with closing(Service()) as hosted:
        hosted.script += [says("it is mild"), streams({"content": "it "}, {"content": "rains"}), fails(401)]
        settings = Settings(
            data_dir=tmp_path / "data",
            encoder="hash",
            model="talker",
            hosted_models=("openai/*",),
            endpoints={"openai/far": hosted.url},
        )
        chat = {"model": "openai/far", "messages": [{"role": "user", "content": "the weather?"}]}
        with serving(settings) as served, served.client() as client:
            answer = client.post("/v1/chat/completions", json=chat).json()
            streamed = client.post("/v1/chat/completions", json={**chat, "stream": True}).text
            failed = client.post("/v1/chat/completions", json=chat)
            forbidden = client.post("/v1/chat/completions", json={**chat, "model": "anthropic/far"})
    assert answer["choices"][0]["message"]["content"] == "it is mild"
    assert answer["usage"]["total_tokens"] == 10
    assert '"content":"rains"' in streamed
    assert (failed.status_code, failed.json()["error"]["code"]) == (502, "model_error")
    assert (forbidden.status_code, forbidden.json()["error"]["code"]) == (404, "model_not_found")


def test_without_keys_any_will_do_and_a_real_one_opens_its_own_namespace(
    serving: Serving, tmp_path: Path
) -> None:
    """Clients that insist on a key send whatever they like; with keys required, theirs opens nothing."""
    open_to_all = Settings(data_dir=tmp_path, encoder="hash", model="looker", auth_required=False)
    asked = {"Authorization": "Bearer whatever"}
    with serving(open_to_all) as served, served.client("home") as home:
        for headers in ({}, asked):
            told = httpx.get(f"{served.url}/v1/dials", headers=headers, trust_env=False)
            assert (told.status_code, told.json()["namespace"]) == (200, "default")
        assert home.get("/v1/dials").json()["namespace"] == "home"
    with serving(Settings(data_dir=tmp_path, encoder="hash", model="looker")) as served:
        assert httpx.get(f"{served.url}/v1/dials", headers=asked, trust_env=False).status_code == 401
