"""The process of a distillation: its own, found again after a crash, stopped when told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.distilling import Process


@pytest.fixture
def survivor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program at work on this folder that a server started before it was killed."""
    code = "import sys, time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        (tmp_path / "pid").write_text(str(running.pid), "utf-8")
        yield running
        running.kill()


def test_a_process_that_outlived_its_server_is_followed(
    tmp_path: Path, survivor: subprocess.Popen[bytes]
) -> None:
    """No second one is started on the same folder, and it can still be stopped."""
    process = Process.follow_or_start(tmp_path, {})
    assert process.is_alive()
    assert not (tmp_path / "job.json").exists()
    process.stop()
    assert not process.is_alive()
    assert survivor.wait(10.0) != 0


def test_an_id_that_passed_to_another_program_is_not_followed(tmp_path: Path) -> None:
    """This very test has the id that was noted: a new process is started, and says why it refuses."""
    (tmp_path / "pid").write_text(str(os.getpid()), "utf-8")
    process = Process.follow_or_start(tmp_path, {"recipe": "step"})
    assert (tmp_path / "pid").read_text("utf-8") != str(os.getpid())
    while process.is_alive():
        pass
    assert "is not a valid job" in (tmp_path / "report.json").read_text("utf-8")


def test_a_finished_distillation_is_not_started_again(tmp_path: Path) -> None:
    """Its report is there; one that says it was cancelled goes on instead."""
    (tmp_path / "pid").write_text("1", "utf-8")
    (tmp_path / "report.json").write_text('{"adapter": "a"}', "utf-8")
    assert not Process.follow_or_start(tmp_path, {}).is_alive()
    assert not (tmp_path / "job.json").exists()
    (tmp_path / "report.json").write_text('{"error": "stopped", "cancelled": true}', "utf-8")
    again = Process.follow_or_start(tmp_path, {})
    assert (tmp_path / "job.json").exists()
    again.stop()
