"""The command line: quick to start, and everything over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.settings import Settings
from tests.server.served import Served

runner = CliRunner()


class Run(Protocol):
    """Run a command against the server; its output."""

    def __call__(self, *words: str, status: int = 0) -> str: ...


@pytest.fixture
def run(served: Served, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the server; its output."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key("cli"))
    monkeypatch.setenv("APPRENTICE_URL", served.url)
    monkeypatch.setenv("APPRENTICE_ENCODER", "hash")

    def run(*words: str, status: int = 0) -> str:
        result = runner.invoke(app, list(words))
        assert result.exit_code == status, result.output
        return result.output

    return run


def test_help_imports_nothing_heavy() -> None:
    """No web framework, no HTTP client, no numerics."""
    heavy = ("fastapi", "httpx", "torch", "numpy", "sqlalchemy", "dbos", "litellm", "openai")
    code = f"import sys, server.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_task_is_run_and_shown_step_by_step(run: Run) -> None:
    """And listed afterwards."""
    shown = run("task", "run", "--site", "maple 27", "--model", "looker")
    assert shown.count("look") >= 14
    assert "failure in 14 steps" in shown
    assert "0 of 1 tasks succeeded" in shown
    listed = json.loads(run("task", "list", "--json"))["data"]
    assert listed[0]["outcome"] == "failure"
    assert "failure" in run("task", "show", listed[0]["id"])
    assert "failure" in run("task", "feedback", listed[0]["id"], "failure")
    assert run("task", "cancel", listed[0]["id"]).strip() == "done"


def test_whatever_the_server_can_do_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    """Listed from its own document; bodies from words or a file; events line by line."""
    listed = json.loads(run("api", "--json"))
    assert {"method": "POST", "path": "/v1/schedules", "summary": "Set a task again and again"} in listed
    assert {row["path"] for row in listed} == set(json.loads(run("api", "GET", "/openapi.json"))["paths"])
    assert "/v1/webhooks" in run("api", "--find", "webhook")
    task = {"world": "household", "site": "maple 27", "model": "looker"}
    (tmp_path / "schedule.json").write_text(json.dumps({"cron": "0 3 * * *", "task": task}))
    made = json.loads(run("api", "post", "schedules", "--body", f"@{tmp_path / 'schedule.json'}"))
    shown = json.loads(run("api", "GET", "/v1/schedules", "-q", "limit=1"))
    assert [one["id"] for one in shown["data"]] == [made["id"]]
    run("api", "DELETE", f"/v1/schedules/{made['id']}")
    told = json.loads(run("api", "POST", "tasks", "--body", json.dumps(task)))
    assert run("api", "GET", f"tasks/{told['id']}/events").rstrip().splitlines()[-2] == "event: done"


def test_bad_words_for_the_api_are_told_with_the_remedy(run: Run) -> None:
    for words, said in (
        (("api", "FETCH", "tasks"), "there is no method 'FETCH'"),
        (("api", "GET"), "`apprentice api` lists them"),
        (("api", "POST", "tasks", "--body", "{oops"), "the body is not JSON"),
        (("api", "POST", "tasks", "--body", "@nowhere.json"), "'nowhere.json' cannot be read"),
        (("api", "GET", "tasks", "-q", "limit"), "NAME=VALUE"),
        (("api", "GET", "tasks/task_nobody"), "404"),
    ):
        assert said in run(*words, status=1)


def test_free_text_is_a_task_too(run: Run) -> None:
    """In the world of tools."""
    done = json.loads(run("task", "run", "say hello", "--model", "talker", "--json"))
    assert (done[0]["world"], done[0]["outcome"]) == ("tools", "unknown")


def test_memory_is_added_found_changed_and_forgotten(run: Run) -> None:
    """With its history."""
    item = run("memory", "add", "the ladder is in the shed").split()[-1]
    assert "ladder" in run("memory", "list")
    assert "kept" in run("memory", "search", "where is the ladder", "--explain")
    assert "version 2" in run("memory", "edit", item, "the ladder is in the barn")
    assert "add" in run("memory", "show", item)
    assert "retired" in run("memory", "forget", item)
    assert json.loads(run("memory", "search", "ladder", "--json"))["hits"] == []


def test_the_constitution_is_written_to_a_file(run: Run, tmp_path: Path) -> None:
    """As Markdown."""
    run("memory", "add", "close what you open", "--kind", "principle")
    assert "close what you open" in run("constitution")
    run("constitution", "--out", str(tmp_path / "c.md"))
    assert "close what you open" in (tmp_path / "c.md").read_text("utf-8")
    assert json.loads(run("constitution", "--json"))["principles"]


def test_the_constitution_has_versions_and_forms(run: Run, tmp_path: Path) -> None:
    """Listed, compared, frozen, rolled back to, sent out and taken in."""
    item = run("memory", "add", "mind the step", "--kind", "principle").split()[-1]
    run("memory", "edit", item, "mind the stairs")
    listed = json.loads(run("constitution", "versions", "--json"))["data"]
    assert listed[0]["id"] in run("constitution", "versions")
    assert "mind the stairs" in run("constitution", "diff", listed[1]["id"], listed[0]["id"])
    assert run("constitution", "--format", "agents").startswith("# Instructions for agents")
    kept = run("constitution", "freeze").split()[-1]
    assert "takes it back" in run("constitution", "rollback", listed[1]["id"])
    assert "mind the step" in run("constitution")
    assert "mind the stairs" in run("constitution", "--version", kept, "--format", "system")
    assert "Nothing is due" in run("constitution", "review")
    assert "signed by" in run("constitution", "export", str(tmp_path / "bundle"))
    assert "0 items" in run("memory", "import", str(tmp_path / "bundle"))
    run("constitution", "--json", "--out", str(tmp_path / "c.json"))
    assert "mind the step" in run("constitution", "import", str(tmp_path / "c.json"))
    (tmp_path / "c.json").write_text("no json", "utf-8")
    assert "is no JSON" in run("constitution", "import", str(tmp_path / "c.json"), status=1)


def test_a_chat_answers_one_question(run: Run) -> None:
    """And says how many memories it used."""
    assert "one two three" in run("chat", "count", "--model", "talker")


def test_what_the_server_refuses_is_told_in_one_line(run: Run) -> None:
    """Status 1 and the server's own words."""
    assert "404: there is no task 'nobody'" in run("task", "cancel", "nobody", status=1)
    assert run("adapters", "promote", "nobody", status=1)
    assert run("adapters", "rollback", status=1)
    assert "none yet" in run("adapters", "list")


def test_no_server_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a stack trace."""
    result = runner.invoke(app, ["task", "list", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "apprentice serve" in result.output


def test_keys_are_made_listed_and_revoked_without_a_server(tmp_path: Path) -> None:
    """In the data folder."""
    data = ["--data", str(tmp_path)]
    made = json.loads(runner.invoke(app, ["keys", "create", "--namespace", "n1", "--json", *data]).output)
    assert made["secret"].startswith("apk_")
    listed = json.loads(runner.invoke(app, ["keys", "list", "--json", *data]).output)
    assert [(key["id"], key["namespace"], key["state"]) for key in listed] == [(made["id"], "n1", "valid")]
    assert runner.invoke(app, ["keys", "revoke", made["id"], *data]).exit_code == 0
    listed = json.loads(runner.invoke(app, ["keys", "list", "--json", *data]).output)
    assert listed[0]["state"] == "revoked"
    assert runner.invoke(app, ["keys", "revoke", "nobody", *data]).exit_code == 1


def test_the_doctor_looks_at_everything(run: Run, served: Served) -> None:
    """Machine, models, adapters and the server; a served one is well."""
    report = run("doctor", "--data", str(served.services.settings.data_dir), "--url", served.url)
    for check in ("python", "sqlite", "disk", "models", "adapters", "keys", "server", "index"):
        assert check in report


def test_every_setting_is_listed_with_its_variable(run: Run) -> None:
    """And a sentence on what it means."""
    listed = run("settings")
    for name in Settings.model_fields:
        assert f"APPRENTICE_{name.upper()}"[:20] in re.sub(r"\s+", " ", listed)
