"""What is wrong with the machine or the settings is told; each test has a server of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from memory import errors
from server.settings import Settings
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
