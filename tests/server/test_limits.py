"""Budgets of a namespace, as an operator sets them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from server.settings import Settings
from tests.server.served import Served

Serving = Callable[[Settings], AbstractContextManager[Served]]


def say(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": text}]})


def test_a_full_namespace_and_a_hasty_writer_get_429(serving: Serving, tmp_path: Path) -> None:
    """The answer names the budget and the remedy; the metrics show both sizes."""
    settings = Settings(
        data_dir=tmp_path,
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        memory_max_living=2,
        memory_writes_per_minute=4,
    )
    with serving(settings) as served, served.client() as client:
        assert say(client, "the lamp answers slowly").status_code == 201
        assert say(client, "the door is to the left").status_code == 201
        full = say(client, "the sink has two taps")
        assert (full.status_code, full.json()["error"]["code"]) == (429, "over_quota")
        assert "2 are allowed: consolidate it or forget" in full.json()["error"]["message"]
        shown = client.get("/metrics").text
        assert 'apprentice_memory_living_items{namespace="home"} 2.0' in shown
        assert 'apprentice_memory_living_budget{namespace="home"} 2.0' in shown
        say(client, "the sink has two taps")
        hasty = say(client, "the sink has two taps")
        assert (hasty.status_code, hasty.json()["error"]["type"]) == (429, "rate_limit_error")
        assert "a minute" in hasty.json()["error"]["message"]
