"""What an operator sets about recall reaches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from server.settings import Settings
from tests.server.served import Served

Serving = Callable[[Settings], AbstractContextManager[Served]]


def settings(folder: Path, **more: object) -> Settings:
    fixed = {"data_dir": folder, "encoder": "hash", "model": "looker", "job_poll_s": 0.02, "port": 0}
    return Settings(**fixed | more)  # type: ignore[arg-type]


def test_a_new_encoder_takes_over_while_the_old_serves(serving: Serving, tmp_path: Path) -> None:
    """Found before, meanwhile and after."""
    note = {"kind": "tool_note", "text": "the ladder is in the shed"}
    with serving(settings(tmp_path, encoder="hash-256")) as served, served.client() as client:
        assert client.post("/v1/memory", json={"items": [note]}).status_code == 201
    with (
        serving(settings(tmp_path, previous_encoder="hash-256")) as served,
        served.client() as client,
    ):
        encoders = []
        while "hash-1024-1" not in encoders:
            found = client.get("/v1/memory/search", params={"query": "where is the ladder"}).json()
            assert [hit["item"]["text"] for hit in found["hits"]] == [note["text"]]
            encoders.append(found["encoder"])
            time.sleep(0.01)
        assert set(encoders) <= {"hash-256-1", "hash-1024-1"}


def test_one_principal_can_be_bounded(serving: Serving, tmp_path: Path) -> None:
    """The surplus is out, and says so."""
    notes = [{"kind": "tool_note", "text": f"the ladder is in shed {n}"} for n in range(4)]
    with (
        serving(settings(tmp_path, recall_principal_share=0.5)) as served,
        served.client() as client,
    ):
        assert client.post("/v1/memory", json={"items": notes}).status_code == 201
        asked = {"query": "where is the ladder", "k": 4, "explain": True}
        found = client.post("/v1/memory/search", json=asked).json()
    assert len(found["hits"]) == 2
    assert [hit["fate"] for hit in found["candidates"]].count("principal") == 2
