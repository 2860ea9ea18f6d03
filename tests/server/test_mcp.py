"""The server as an MCP server, driven by the official client; and MCP servers that its tasks use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from typer.testing import CliRunner

from server.auth import AccessRole
from server.cli import app
from server.settings import Settings
from tests.server.served import Served

SCRIPT = Path(__file__).parent.parent / "agent" / "mcp_server.py"
Serving = Callable[[Settings], AbstractContextManager[Served]]


@asynccontextmanager
async def client(
    served: Served, namespace: str = "home", role: AccessRole = "operator", mode: str = "auto"
) -> AsyncIterator[Client]:
    """The official one, with a key."""
    headers = {"Authorization": f"Bearer {served.key(namespace, role)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30.0, trust_env=False) as http:
        transport = streamable_http_client(f"{served.url}/mcp", http_client=http)
        async with Client(transport, mode=mode, cache=None) as opened:
            yield opened


def text(result: CallToolResult) -> str:
    return "".join(getattr(block, "text", "") for block in result.content)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_one_remembers_over_mcp_is_recalled_over_mcp_and_rest(served: Served, mode: str) -> None:
    """By the older protocol and the newer one."""
    async with client(served, mode=mode) as home:
        assert {tool.name for tool in (await home.list_tools()).tools} == {
            "recall",
            "remember",
            "constitution",
            "task",
        }
        kept = await home.call_tool("remember", {"text": f"the valve of pump {mode} sticks"})
        assert not kept.is_error, text(kept)
        found = await home.call_tool("recall", {"query": f"valve of pump {mode}"})
        assert f"pump {mode} sticks" in text(found)
        assert found.structured_content is not None
        assert found.structured_content["items"][0]["channel"] == "operator"
        await home.call_tool("remember", {"text": f"never open pump {mode} hot", "kind": "principle"})
        assert f"never open pump {mode} hot" in text(await home.call_tool("constitution", {}))
    with served.client() as rest:
        found_by_rest = rest.get("/v1/memory/search", params={"query": f"valve of pump {mode}"}).json()
    assert f"pump {mode} sticks" in found_by_rest["hits"][0]["item"]["text"]


async def test_a_task_is_done_and_asked_about_by_its_id(served: Served) -> None:
    async with client(served) as home:
        done = await home.call_tool("task", {"text": "say hello", "model": "talker", "wait_s": 30})
        assert not done.is_error, text(done)
        assert done.structured_content is not None
        assert done.structured_content["state"] == "done"
        assert done.structured_content["answer"].startswith("you said: ")
        again = await home.call_tool("task", {"id": done.structured_content["id"]})
        assert again.structured_content == done.structured_content
        neither = await home.call_tool("task", {})
        assert (neither.is_error, "give either text or id" in text(neither)) == (True, True)


async def test_nobody_sees_another_namespace_and_a_reader_changes_nothing(served: Served) -> None:
    async with client(served) as home:
        await home.call_tool("remember", {"text": "the safe opens with 4711"})
        await home.call_tool("remember", {"text": "the safe stays shut", "kind": "principle"})
        mine = await home.call_tool("task", {"text": "say safe", "model": "talker", "wait_s": 30})
    assert mine.structured_content is not None
    async with client(served, "office") as office:
        found = await office.call_tool("recall", {"query": "the safe opens with 4711"})
        assert found.structured_content == {"items": []}
        assert "safe" not in text(await office.call_tool("constitution", {}))
        theirs = await office.call_tool("task", {"id": mine.structured_content["id"]})
        assert theirs.is_error
        assert "say safe" not in text(theirs)
    async with client(served, role="read-only") as reader:
        assert {tool.name for tool in (await reader.list_tools()).tools} == {"recall", "constitution"}
        assert "4711" in text(await reader.call_tool("recall", {"query": "the safe opens with 4711"}))
        for name in ("remember", "task"):
            refused = await reader.call_tool(name, {"text": "mine now"})
            assert (refused.is_error, text(refused)) == (True, "this key may only read")
    async with client(served, role="user") as user:
        said = await user.call_tool("remember", {"text": "shut the door", "kind": "principle"})
        assert not said.is_error
    with served.client() as rest:
        item = rest.get(f"/v1/memory/{text(said).split()[-1]}").json()
    assert (item["status"], item["channel"]) == ("trial", "user")


def test_without_a_key_nothing_is_answered(served: Served) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for headers in ({}, {"Authorization": "Bearer apk_wrong"}):
        answer = httpx.post(f"{served.url}/mcp", json=call, headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    with served.client() as client:
        counted = client.get("/metrics").text
    assert 'apprentice_requests_total{method="POST",route="/mcp",status="401"} 2.0' in counted


async def test_the_command_line_is_the_same_server_over_stdio(served: Served) -> None:
    environment = {"APPRENTICE_API_KEY": served.key("pipe"), "APPRENTICE_URL": served.url}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "server", "mcp", "stdio"], env={**os.environ, **environment}
    )
    async with Client(command) as piped:
        assert len((await piped.list_tools()).tools) == 4
        await piped.call_tool("remember", {"text": "through a pipe"})
        assert "through a pipe" in text(await piped.call_tool("recall", {"query": "through a pipe"}))
    async with client(served, "pipe") as direct:
        assert "through a pipe" in text(await direct.call_tool("recall", {"query": "through a pipe"}))


def test_tasks_use_the_mcp_servers_of_their_namespace_by_name(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, all or none; what one changed is withheld until accepted; none outlives the server."""
    entry = {"command": sys.executable, "args": [str(SCRIPT), "stdio", str(tmp_path)], "allow": ["greet"]}
    file = tmp_path / "servers.json"
    servers = {"hall": {**entry, "connect_s": 30}, "private": {**entry, "namespaces": ["office"]}}
    file.write_text(json.dumps({"mcpServers": servers}), "utf-8")
    settings = Settings(
        data_dir=tmp_path / "data", encoder="hash", model="caller", job_poll_s=0.02, port=0, mcp_servers=file
    )
    with serving(settings) as served, served.client() as home:

        def run(**asked: object) -> dict[str, object]:
            body = {"text": "greet Ann", "wait": "finished", **asked}
            done = home.post("/v1/tasks", json=body)
            assert done.status_code == 200, done.text
            episode: dict[str, object] = home.get(f"/v1/episodes/{done.json()['episode']}").json()
            return episode

        assert "hello Ann, I am" in json.dumps(run(mcp=["hall"]))
        assert "hello Ann, I am" in json.dumps(run())
        assert "there is no tool 'hall__greet'" in json.dumps(run(mcp=[]))
        refused = home.post("/v1/tasks", json={"text": "greet Ann", "mcp": ["private"]})
        assert refused.status_code == 422
        assert "no MCP server is called 'private' here; there are: hall" in refused.text
        (tmp_path / "words").write_text("Greets, and more.", "utf-8")
        assert "there is no tool 'hall__greet'" in json.dumps(run())
        monkeypatch.setenv("APPRENTICE_MCP_SERVERS", str(file))
        where = ["--data", str(tmp_path / "data")]
        listed = CliRunner().invoke(app, ["mcp", "tools", "hall", *where])
        assert "changed" in listed.output, listed.output
        accepted = CliRunner().invoke(app, ["mcp", "accept", "hall", *where])
        assert "changed: greet" in accepted.output, accepted.output
        said = json.dumps(run())
    process = int(said.split("hello Ann, I am ")[1].split('"')[0])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_stdio_client_is_told_when_no_server_answers(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["mcp", "stdio", "--url", "http://127.0.0.1:9", "--data", str(tmp_path)])
    assert told.exit_code == 1
    assert "start one with" in told.output
