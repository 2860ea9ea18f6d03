"""The command line has a command for every route, and every command has a form for other programs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from server.cli import app
from server.commands.wired import WIRED
from tests.server.every_route import ROUTES
from tests.server.served import Served

runner = CliRunner()
COMMANDS = Path(__file__).parents[2] / "server" / "commands"
METHODS: Mapping[str, str] = {
    "get": "GET",
    "text": "GET",
    "download": "GET",
    "events": "GET",
    "until_ended": "GET",
    "post": "POST",
    "upload": "POST",
    "put": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
NO_COMMAND: Mapping[str, str] = {
    "* /mcp": "`mcp stdio` speaks it",
    "GET /": "the web app",
    "GET /web/{}": "the web app",
    "GET /docs": "a page",
    "GET /redoc": "a page",
    "GET /docs/oauth2-redirect": "a page",
    "GET /openapi.json": "for programs that write clients",
    "GET /v1/memory/search": "`memory search` asks the same with a body",
    "POST /v1/rollout/{}/chat/completions": "a base URL for clients of others",
    "POST /v1/rollout/{}/responses": "a base URL for clients of others",
    "GET /v1/rollout/{}/models": "a base URL for clients of others",
    "GET /v1/rollout/{}/responses/{}": "a base URL for clients of others",
    "DELETE /v1/rollout/{}/responses/{}": "a base URL for clients of others",
}
"""Routes that need none, and why."""
NO_JSON: Mapping[str, str] = {
    "init": "writes a file",
    "serve": "runs until it is stopped",
    "gym": "runs until it is stopped",
    "mcp stdio": "runs until it is stopped",
    "demo": "a show for people",
    "completion": "a script for a shell",
    "metrics": "Prometheus' own format",
    "batches results": "lines of JSON as it is",
}


def plain(route: str) -> str:
    """A route without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", route)


def requested() -> set[str]:
    """Routes that the commands' functions ask for, as their source names them."""
    found = {plain(wired.route) for wired in WIRED}
    for file in COMMANDS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                paths = [path for path in map(written, node.args) if path.startswith("/")]
                if name in METHODS and paths:
                    # What is filled in after a whole name is a query.
                    found.add(f"{METHODS[name]} {re.sub(r'(?<!/){}$', '', paths[0])}")
    # The one path that a variable holds.
    return found | {"GET /v1/constitution", "GET /v1/constitution/versions/{}"}


def written(node: ast.expr) -> str:
    """A text of the source, `{}` for what is filled in; empty where it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return ""


def leaves(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(words), {name for one in command.params for name in one.opts}  # type: ignore[attr-defined]  # a click command
        return
    for name, one in below.items():
        yield from leaves(one, (*words, name))


def run(*words: str, status: int = 0) -> str:
    """The output of a command."""
    result = runner.invoke(app, list(words))
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def home(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A server that the commands find."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key("wired"))
    monkeypatch.setenv("APPRENTICE_URL", served.url)
    return served


def test_every_route_has_a_command() -> None:
    """Or a reason to have none; a reason for a route that is gone is refused too."""
    routes = {plain(route) for route in ROUTES}
    assert routes - requested() - set(NO_COMMAND) == set()
    assert set(NO_COMMAND) <= routes
    assert {plain(wired.route) for wired in WIRED} <= routes


def test_every_command_that_prints_prints_json_on_request() -> None:
    """With the few that do not listed."""
    found = dict(leaves(get_command(app)))
    assert {name for name, options in found.items() if "--json" not in options} == set(NO_JSON)


def test_every_command_stands_in_the_docs() -> None:
    """By its name or its group's."""
    page = (COMMANDS.parents[1] / "docs" / "cli.md").read_text("utf-8")
    named = {name.split()[0] for name in re.findall(r"`([^`]+)`", page)}
    assert {words.split()[0] for words, _ in leaves(get_command(app))} - named == set()


@pytest.mark.usefixtures("home")
def test_a_batch_is_set_followed_and_read(tmp_path: Path) -> None:
    """From a file, with a field beside it."""
    body = {"tasks": [{"world": "tools", "text": "say hello", "model": "talker"}] * 2}
    (tmp_path / "b.json").write_text(json.dumps(body), "utf-8")
    batch = json.loads(run("batches", "set", "label=two", "--body", str(tmp_path / "b.json"), "--json"))
    assert (batch["label"], batch["total"]) == ("two", 2)
    assert "2 done" in run("batches", "follow", batch["id"])
    lines = run("batches", "results", batch["id"]).splitlines()
    assert [json.loads(line)["task"]["state"] for line in lines] == ["done", "done"]
    assert batch["id"][:8] in run("batches", "list")


@pytest.mark.usefixtures("home")
def test_a_schedule_is_set_paused_and_deleted() -> None:
    """An answer without a body is an answer too."""
    task = json.dumps({"world": "tools", "text": "say hello", "model": "talker"})
    made = json.loads(run("schedules", "set", "cron=0 4 29 2 *", f"task:={task}", "--json"))
    assert json.loads(run("schedules", "pause", made["id"], "--json"))["id"] == made["id"]
    assert made["cron"] in run("schedules", "show", made["id"])
    run("schedules", "delete", made["id"])
    assert "404" in run("schedules", "show", made["id"], status=1)


def test_keys_quotas_and_feedback_go_over_http(home: Served) -> None:
    """As `curl` would have it."""
    assert "namespace: wired" in run("me")
    made = json.loads(run("access", "create", "role=user", "label=from afar", "--json"))
    assert made["secret"].startswith("apk_")
    assert "from afar" in run("access", "list")
    run("access", "revoke", made["id"])
    assert "tasks" in run("quotas", "show")
    hello = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
    with home.client("wired") as client:
        assert client.post("/v1/rollout/r1/chat/completions", json=hello).is_success
    assert "success" in run("rollouts", "feedback", "r1", "outcome=success")
    assert run("audit", "chain")


def test_quotas_are_set_and_reset_for_a_namespace(home: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an operator of all."""
    monkeypatch.setenv("APPRENTICE_API_KEY", home.key("*"))
    run("quotas", "set", "wired", "tasks:=7")
    assert "7" in run("quotas", "of", "wired")
    run("quotas", "reset", "wired")


def test_what_is_no_field_is_told_with_the_form() -> None:
    """Nothing is sent."""
    assert "NAME=VALUE" in run("lifts", "kind", status=2)
    assert "no JSON" in run("quotas", "set", "wired", "tasks:=x", status=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(shell: str) -> None:
    """That calls this program."""
    script = run("completion", shell)
    assert "_APPRENTICE_COMPLETE=complete_" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
