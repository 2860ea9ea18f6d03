"""Backups: taken while the server writes, put back elsewhere, with all that was acknowledged before."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from memory.core import Memory
from memory.encoder import open_encoder
from memory.errors import BadInput, Conflict
from memory.store.examined import examined
from memory.store.schema import HEAD
from server.backing import MANIFEST, back_up, checked, put_back
from server.cli import app
from server.settings import Settings
from tests.server.served import Served

runner = CliRunner()
Serving = Callable[[Settings], AbstractContextManager[Served]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that nobody serves, with an adapter's folder beside its memory."""
    data = tmp_path_factory.mktemp("small")
    with Memory.open(data / "memory.db", encoder=open_encoder("hash")):
        pass
    (data / "adapters" / "a1").mkdir(parents=True)
    (data / "adapters" / "a1" / "weights").write_bytes(bytes(1000))
    (data / "keys.json").write_text("[]", "utf-8")
    return data


def said(client_key: str, n: int) -> dict[str, object]:
    return {"items": [{"kind": "tool_note", "text": f"{client_key} note number {n} on lamp {n * 7}"}]}


def test_the_drill(serving: Serving, tmp_path: Path) -> None:
    """Back up while four threads write, restore, start on it: all that was acknowledged before is there."""
    settings = Settings(data_dir=tmp_path / "data", encoder="hash", model="looker", job_poll_s=0.02, port=0)
    before: list[str] = []
    lock, begun, stop = threading.Lock(), threading.Event(), threading.Event()
    with serving(settings) as served:
        key = served.key("drill")
        with served.client("drill") as client:
            body = {"world": "household", "site": "maple 33", "wait": "learned"}
            task = client.post("/v1/tasks", json=body).json()

        def write(name: str) -> None:
            with served.client("drill") as client:
                for n in range(10_000):
                    if stop.is_set():
                        return
                    made = client.post("/v1/memory", json=said(name, n)).json()["data"][0]["id"]
                    with lock:
                        if not begun.is_set():
                            before.append(made)

        threads = [threading.Thread(target=write, args=(f"w{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        while len(before) < 40:
            stop.wait(0.01)
        with lock:
            begun.set()
        backup = back_up(settings, tmp_path / "backup")
        stop.set()
        for thread in threads:
            thread.join()
    assert {"memory.db", "jobs.db", "keys.json"} <= {kept.name for kept in backup.files}
    put_back(tmp_path / "backup", tmp_path / "again")
    found = examined(tmp_path / "again" / "memory.db")
    assert found.problems == ()
    restored = settings.model_copy(update={"data_dir": tmp_path / "again"})
    with serving(restored) as served:
        # The same key opens the same memory.
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as client:
            missing = [one for one in before if client.get(f"/v1/memory/{one}").status_code != 200]
            assert missing == []
            again = client.get(f"/v1/tasks/{task['id']}").json()
            assert (again["state"], again["outcome"]) == ("done", task["outcome"])


def test_a_changed_backup_is_refused(small: Path, tmp_path: Path) -> None:
    """By its checksums; nothing is written then."""
    for name in ("memory.db", "adapters/a1/weights", "keys.json"):
        folder = tmp_path / name.replace("/", "-")
        back_up(Settings(data_dir=small), folder)
        with (folder / name).open("r+b") as file:
            file.seek(1)
            file.write(b"!")
        with pytest.raises(BadInput, match=name):
            put_back(folder, tmp_path / "target")
        assert not (tmp_path / "target").exists()
    (folder / "keys.json").unlink()
    with pytest.raises(BadInput, match="missing"):
        checked(folder)


def test_a_backup_cannot_lead_outside(small: Path, tmp_path: Path) -> None:
    """Whatever its manifest says."""
    folder = tmp_path / "backup"
    back_up(Settings(data_dir=small), folder)
    (tmp_path / "secret").write_text("x", "utf-8")
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    manifest["files"][0]["name"] = "../secret"
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BadInput, match="outside"):
        checked(folder)


def test_what_is_in_use_is_not_written_over(small: Path, tmp_path: Path) -> None:
    """Neither a folder to back up into nor one to restore into."""
    back_up(Settings(data_dir=small), tmp_path / "backup")
    with pytest.raises(Conflict):
        back_up(Settings(data_dir=small), tmp_path / "backup")
    with pytest.raises(Conflict):
        put_back(tmp_path / "backup", small)
    with pytest.raises(BadInput, match="no data folder"):
        back_up(Settings(data_dir=tmp_path / "nowhere"), tmp_path / "other")


def test_commands_tell_what_they_did(small: Path, tmp_path: Path) -> None:
    """As lines, or as JSON."""
    kept, data = str(tmp_path / "kept"), str(tmp_path / "data")
    made = runner.invoke(app, ["backup", kept, "--data", str(small), "--json"])
    assert {one["name"] for one in json.loads(made.output)["files"]} >= {"memory.db", "adapters/a1/weights"}
    assert "as it was at" in runner.invoke(app, ["restore", kept, "--data", data]).output
    refused = runner.invoke(app, ["restore", kept, "--data", data])
    assert refused.exit_code == 1
    assert "not empty" in refused.output


def test_an_old_schema_is_brought_up_and_kept_beside(small: Path, tmp_path: Path) -> None:
    """A second time there is nothing to do."""
    data = tmp_path / "data"
    shutil.copytree(small, data)
    with closing(sqlite3.connect(data / "memory.db")) as raw:
        steps = [row[1] for row in raw.execute("PRAGMA table_info(step)")]
        assert steps
        raw.execute("DROP TABLE step")
        raw.execute("DROP TABLE toolset")
        raw.execute("DROP INDEX ix_episode_tools")
        raw.execute("ALTER TABLE episode DROP COLUMN tools")
        raw.execute("ALTER TABLE episode DROP COLUMN question")
        raw.execute("UPDATE alembic_version SET version_num = '0004'")
        raw.commit()
    told = json.loads(runner.invoke(app, ["migrate", "--data", str(data), "--json"]).output)
    assert (told["from"], told["to"]) == ("0004", HEAD)
    assert Path(told["copy"]).is_file()
    assert examined(data / "memory.db").problems == ()
    assert "nothing to do" in runner.invoke(app, ["migrate", "--data", str(data)]).output
