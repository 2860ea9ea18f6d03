"""The demonstration: its arithmetic, its picture, and one small run of the whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memory.errors import BadInput
from server.demo.curve import blocks, difference, draw, estimate
from server.demo.host import Host
from server.demo.trial import ARMS, Arm, Result, lanes
from tests.distill.tiny import make_folder


def result(site: str, arm: Arm, number: int, *, success: bool) -> Result:
    return Result(site, arm, number, success, 4 if success else 14, "a task", "ep")


@pytest.fixture
def results() -> list[Result]:
    """With memory every task after the fourth succeeds, without it none does."""
    return [
        result(site, arm, number, success=arm == "on" and number >= 4)
        for site in ("a", "b")
        for arm in ARMS
        for number in range(8)
    ]


def test_the_curve_has_a_block_for_every_quarter_of_both_arms(results: list[Result]) -> None:
    """Consecutive, without gap or overlap, with the right means."""
    curve = blocks(results, 8)
    assert [(b.arm, b.first, b.last) for b in curve if b.arm == "on"] == [
        ("on", 1, 2),
        ("on", 3, 4),
        ("on", 5, 6),
        ("on", 7, 8),
    ]
    assert [b.success.mean for b in curve if b.arm == "on"] == [0.0, 0.0, 1.0, 1.0]
    assert [b.steps.mean for b in curve if b.arm == "on"] == [14.0, 14.0, 4.0, 4.0]
    assert {b.success.mean for b in curve if b.arm == "off"} == {0.0}


def test_the_difference_is_paired_by_task(results: list[Result]) -> None:
    """Half of the tasks differ by one."""
    assert difference(results, 0, 8).mean == 0.5
    assert difference(results, 4, 8).mean == 1.0
    gain = difference(results, 0, 8)
    assert 0.0 < gain.low < 0.5 < gain.high < 1.0


def test_an_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    """A percentile bootstrap with a fixed seed; of nothing it knows nothing."""
    values = [("a", v) for v in (0.0, 1.0, 1.0, 0.0, 1.0)]
    assert estimate(values) == estimate(values)
    assert estimate(values).low <= 0.6 <= estimate(values).high
    assert estimate([("a", 2.0), ("a", 2.0)]) == estimate([("a", 2.0)])
    assert estimate([]).mean != estimate([]).mean


def test_tasks_of_one_site_are_not_taken_for_independent() -> None:
    """Two sites that differ give a wider interval than the same values spread over many sites."""
    values = [0.0] * 20 + [1.0] * 20
    two = estimate([("a" if v else "b", v) for v in values])
    many = estimate([(str(n), v) for n, v in enumerate(values)])
    assert two.high - two.low > 1.5 * (many.high - many.low)


def test_the_curve_is_drawn(results: list[Result], tmp_path: Path) -> None:
    """As a PNG."""
    draw(blocks(results, 8), tmp_path / "curve.png", "a title")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_every_lane_has_a_namespace_of_its_own() -> None:
    """Nothing leaks from one arm to the other."""
    namespaces = [lane.namespace for lane in lanes(["maple 27", "birch 30"])]
    assert len(set(namespaces)) == len(namespaces) == 4


def test_a_folder_that_no_server_wrote_is_not_emptied(tmp_path: Path) -> None:
    """Somebody may have named the wrong one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(BadInput, match="--out"):
        Host.start(tmp_path, model="local:tiny")
    assert (tmp_path / "data" / "thesis.txt").exists()


def test_the_whole_is_told_from_start_to_files(tmp_path: Path) -> None:
    """With a model that has learned nothing: no success, a refused distillation, and everything is said."""
    make_folder(tmp_path / "models" / "small", context=4096)
    out = tmp_path / "out"
    environment = {
        **os.environ,
        "APPRENTICE_MODELS_DIR": str(tmp_path / "models"),
        "APPRENTICE_ENCODER": "hash",
    }
    command = [
        sys.executable,
        "-m",
        "server",
        "demo",
        "--seeds",
        "1",
        "--tasks",
        "4",
        "--model",
        "local:small",
    ]
    done = subprocess.run(
        [*command, "--out", str(out)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for told in ("Learning over 1 sites", "What it learned", "Distilling", "Where things are", "done in"):
        assert told in done.stdout
    saved = json.loads((out / "results.json").read_text("utf-8"))
    assert len(saved["tasks"]) == 8
    assert len(saved["curve"]) == 8
    for name in ("learning_curve.png", "constitution.md", "server.log"):
        assert (out / name).exists()
