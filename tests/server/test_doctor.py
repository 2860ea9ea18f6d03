"""The doctor finds real damage, names the remedy, and mends what is safe to mend."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memory.core import Memory
from memory.encoder import open_encoder
from memory.store.lock import FileLock
from memory.types import Draft, NoteBody
from server.auth import Keys
from server.cli import app
from server.doctor import Finding, configured, databases, look
from server.settings import Settings
from tests.server.served import Served

runner = CliRunner()
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with some memory, an index on disk and a key."""
    data = tmp_path_factory.mktemp("whole")
    with Memory.open(data / "memory.db", encoder=open_encoder("hash")) as memory:
        texts = [f"lamp {n} hums at {n * 3} volts in the hall" for n in range(60)]
        drafts = [Draft("tool_note", text, NoteBody("lamp", text)) for text in texts]
        memory.remember("default", drafts, principal="p", channel="user")
    Keys(data / "keys.json").create("default", "operator")
    return data


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """One to be damaged."""
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def settings(data: Path) -> Settings:
    return Settings(data_dir=data, encoder="hash")


def wrong(findings: Sequence[Finding]) -> set[str]:
    return {one.check for one in findings if one.mark == "bad"}


def found(data: Path, check: str) -> list[Finding]:
    return [one for one in look(settings(data)) if one.check == check]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(statement)
        raw.commit()


def test_nothing_is_wrong_with_a_whole_folder(data: Path) -> None:
    """Every check speaks; what is wrong always has a remedy."""
    findings = list(look(settings(data)))
    assert wrong(findings) == set()
    checks = {one.check for one in findings}
    assert checks >= {"python", "versions", "sqlite", "disk", "models", "config", "keys", "memory", "encoder"}
    assert checks >= {"clock", "index", "leftovers", "adapters"}


def test_a_changed_row_of_the_log_is_found(data: Path) -> None:
    """By the chain of hashes."""
    execute(data / "memory.db", "UPDATE log SET principal = 'mallory' WHERE seq = 7")
    (finding,) = found(data, "memory")
    assert finding.mark == "bad"
    assert "seq 7" in finding.told
    assert "restore" in finding.remedy


def test_an_item_that_is_not_what_the_log_says_is_found(data: Path) -> None:
    """Somebody wrote to the table."""
    execute(data / "memory.db", "UPDATE item SET status = 'retired' WHERE key = 3")
    assert "memory" in wrong(list(look(settings(data))))


@pytest.mark.parametrize("name", ["memory.db", "jobs.db"])
def test_torn_pages_are_found(data: Path, name: str) -> None:
    """Of both databases."""
    path = data / name
    if name == "jobs.db":
        execute(path, "CREATE TABLE t (a TEXT)")
        execute(path, "INSERT INTO t SELECT hex(randomblob(2000)) FROM (VALUES (1), (2), (3), (4), (5))")
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(64))
    assert name.partition(".")[0] in wrong(list(look(settings(data))))


def test_another_encoder_than_the_vectors_is_found(data: Path) -> None:
    """And with the one before it named it is but a note."""
    execute(data / "memory.db", "UPDATE vector SET encoder = 'other-1'")
    (finding,) = [one for one in databases(settings(data), 0.0) if one.check == "encoder"]
    assert (finding.mark, "PREVIOUS_ENCODER" in finding.remedy) == ("bad", True)
    both = settings(data).model_copy(update={"previous_encoder": "other"})
    (finding,) = [one for one in databases(both, 0.0) if one.check == "encoder"]
    assert finding.mark == "note"


def test_a_clock_that_went_back_is_found(data: Path) -> None:
    """The newest write is then in the future."""
    assert "clock" in wrong(list(look(settings(data), now=1_000_000.0)))


def test_keys_that_cannot_be_read_or_open_nothing_are_found(data: Path) -> None:
    """And a secret that others may read is closed."""
    (data / "keys.json").chmod(0o644)
    (finding,) = [one for one in found(data, "keys") if one.mark == "bad"]
    assert "chmod 600" in finding.remedy
    assert finding.mend is not None
    finding.mend()
    assert wrong(found(data, "keys")) == set()
    keys = Keys(data / "keys.json")
    keys.revoke(keys.all()[0].id)
    assert wrong(found(data, "keys")) == {"keys"}
    (data / "keys.json").write_text("{", "utf-8")
    assert wrong(found(data, "keys")) == {"keys"}


def torn_index(data: Path) -> Path:
    place = data / "index" / "memory.db" / "n" / "g"
    place.mkdir(parents=True)
    (place / "segment-00000001").mkdir()
    (place / "segment-00000001" / "manifest.json").write_text("{}", "utf-8")
    (place / "CURRENT").write_text("segment-00000001", "utf-8")
    return place


def test_a_torn_snapshot_is_dropped_unless_a_server_has_it(data: Path) -> None:
    """It is derived."""
    place = torn_index(data)
    lock = FileLock.take(data / "memory.db")
    command = ["doctor", "--repair", "--data", str(data), "--url", NOBODY]
    refused = runner.invoke(app, command, env={"APPRENTICE_ENCODER": "hash"})
    lock.release()
    assert refused.exit_code == 1
    assert "not while a server runs" in " ".join(refused.output.split())
    assert place.exists()
    mended = runner.invoke(app, command, env={"APPRENTICE_ENCODER": "hash"})
    assert not place.exists()
    assert mended.exit_code == 0, mended.output


def test_what_a_killed_process_left_is_deleted(data: Path) -> None:
    """What a living one is writing is not."""
    gone, living = data / ".keys.json.999999999", data / f".keys.json.{os.getpid()}"
    folder = data / "index" / ".building-00000003-999999998"
    for path in (gone, living):
        path.write_text("x", "utf-8")
    folder.mkdir(parents=True)
    left = [one for one in found(data, "leftovers") if one.mend is not None]
    assert len(left) == 2
    for one in left:
        assert one.mend is not None
        one.mend()
    assert (gone.exists(), folder.exists(), living.exists()) == (False, False, True)


def test_a_misspelt_setting_is_named() -> None:
    """It would be ignored without a word."""
    (finding,) = configured({"APPRENTICE_MODLE": "x", "APPRENTICE_URL": "y", "HOME": "z"})
    assert finding.told.startswith("APPRENTICE_MODLE:")


def test_it_speaks_json_and_ends_with_1_when_something_is_wrong(data: Path) -> None:
    """For other programs."""
    command = ["doctor", "--json", "--data", str(data), "--url", NOBODY]
    told = runner.invoke(app, command, env={"APPRENTICE_ENCODER": "hash"})
    assert told.exit_code == 0
    rows = json.loads(told.output)["findings"]
    assert {"mark": "note", "check": "server"}.items() <= rows[-1].items()
    (data / "keys.json").write_text("{", "utf-8")
    assert runner.invoke(app, command, env={"APPRENTICE_ENCODER": "hash"}).exit_code == 1
    odd = runner.invoke(app, command, env={"APPRENTICE_PORT": "high"})
    assert odd.exit_code == 1
    assert "port" in json.loads(odd.output)["findings"][0]["told"]


def test_it_looks_over_a_running_server(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its databases as they are written to, and what only it knows."""
    monkeypatch.setenv("APPRENTICE_API_KEY", served.key("doctor"))
    with served.client("doctor") as client:
        body = {"world": "household", "site": "maple 35", "wait": "learned"}
        client.post("/v1/tasks", json=body).raise_for_status()
    data = str(served.services.settings.data_dir)
    command = ["doctor", "--json", "--data", data, "--url", served.url]
    told = runner.invoke(app, command, env={"APPRENTICE_ENCODER": "hash"})
    rows = {row["check"]: row for row in json.loads(told.output)["findings"]}
    assert rows["server"]["mark"] == rows["memory"]["mark"] == rows["jobs"]["mark"] == "ok"
    assert rows["queue"]["mark"] == "ok"
    assert {"index lag", "canary"} <= rows.keys()


def test_a_finding_that_is_wrong_names_its_remedy(data: Path) -> None:
    """All of them at once."""
    torn_index(data)
    (data / "keys.json").write_text("{", "utf-8")
    execute(data / "memory.db", "UPDATE log SET principal = 'mallory' WHERE seq = 7")
    low = replace(next(look(settings(data))), mark="bad", remedy="x")
    assert all(one.remedy for one in (*look(settings(data)), low) if one.mark == "bad")
