"""Two servers on one PostgreSQL memory: what one was told the other knows, also when the first is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from memory.errors import BadInput
from server.auth import Keys
from server.settings import Settings
from server.wiring import build
from tests.postgres import Postgres

PROGRAM = Path(__file__).with_name("scripted_server.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def replicas(
    postgres: Postgres, tmp_path: Path
) -> Iterator[list[tuple[subprocess.Popen[bytes], httpx.Client]]]:
    """Each with a data folder of its own, as on two machines."""
    url = postgres.take()
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "APPRENTICE_MEMORY_URL": url}
    with ExitStack() as stack:
        started = []
        for name in ("one", "two"):
            data, port = tmp_path / name, free_port()
            _, secret = Keys(data / "keys.json").create("home", "operator")
            command = [sys.executable, str(PROGRAM), "--data", str(data), "--port", str(port)]
            process = subprocess.Popen([*command, "--trace", str(data / "trace.txt")], env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            client = httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {secret}"},
                timeout=60.0,
                trust_env=False,
            )
            started.append((process, stack.enter_context(client)))
        for process, client in started:
            _await(process, client)
        yield started
    postgres.give_back(url)


def _await(process: subprocess.Popen[bytes], client: httpx.Client) -> None:
    while process.poll() is None:
        try:
            client.get("/health/live")
        except httpx.TransportError:
            continue
        return
    raise AssertionError("the server ended at its start")


def test_two_servers_share_one_memory(
    replicas: list[tuple[subprocess.Popen[bytes], httpx.Client]], tmp_path: Path
) -> None:
    (first, one), (_, two) = replicas
    body = {"items": [{"kind": "tool_note", "text": "the ladder is in the shed"}]}
    (item,) = one.post("/v1/memory", json=body).json()["data"]
    found = two.post("/v1/memory/search", json={"query": "where is the ladder"}).json()
    assert [hit["item"]["id"] for hit in found["hits"]] == [item["id"]]

    first.kill()
    first.wait()
    edited = two.patch(f"/v1/memory/{item['id']}", json={"text": "the ladder is in the barn"}).json()
    assert edited["version"] == 2
    assert not (tmp_path / "two" / "memory.db").exists()


def test_pgvector_without_postgresql_is_refused(tmp_path: Path) -> None:
    """At the start, and with what to do."""
    with pytest.raises(BadInput, match="memory_url"):
        build(Settings(data_dir=tmp_path, memory_index="pgvector"))


def test_the_password_of_the_database_is_not_shown() -> None:
    settings = Settings(memory_url=SecretStr("postgresql://ada:hunter2@host/name"))
    assert "hunter2" not in repr(settings)
