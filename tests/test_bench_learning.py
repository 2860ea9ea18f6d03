"""The learning bench: its statistics are right on numbers made by hand, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from notebooks.bench_learning import cost, lanes
from notebooks.bench_learning.curves import Arms, curve, resampled, site_wins
from notebooks.bench_learning.notes import Notes, Records
from notebooks.bench_learning.plan import Plan

ROOT = Path(__file__).parent.parent


def lane(
    arm: str, site: str, seed: int, wins: dict[int, list[bool]], unseen: list[bool]
) -> dict[str, object]:
    """A record as lanes write it; wins by task, a meeting after the other."""
    lived = [
        [task, turn, won, 3 if won else 14, 10, 5, 1, 2]
        for task, meetings in wins.items()
        for turn, won in enumerate(meetings)
    ]
    lived += [[task, -1, won, 3 if won else 14, 10, 0, 1, 2] for task, won in enumerate(unseen)]
    return {"what": "curve", "arm": arm, "site": site, "seed": seed, "lived": lived}


LANES = [
    lane("ours", "a", 1, {0: [False, True], 1: [True, True]}, [True]),
    lane("ours", "b", 1, {0: [True, True], 1: [True, True]}, [True]),
    lane("off", "a", 1, {0: [False, False], 1: [True, True]}, [False]),
    lane("off", "b", 1, {0: [True, True], 1: [True, True]}, [False]),
]


def test_means_are_by_task_over_the_times_it_was_met() -> None:
    """And apart for first meetings and for what was unseen."""
    arms = Arms(Records(LANES), "curve")
    assert arms.by_task("ours", "success").tolist() == [[[0.5, 1.0]], [[1.0, 1.0]]]
    assert arms.by_task("ours", "success", first=True).tolist() == [[[0.0, 1.0]], [[1.0, 1.0]]]
    assert arms.by_task("off", "success", frozen=True).tolist() == [[[0.0]], [[0.0]]]
    assert arms.by_episode("off", "success").tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    gain = arms.by_task("ours", "success") - arms.by_task("off", "success")
    assert site_wins(arms.by_task("ours", "success"), arms.by_task("off", "success")) == (1, 0)
    assert resampled(gain).mean == pytest.approx(0.125)


def test_a_seed_counts_once_all_arms_were_at_all_sites() -> None:
    """A run that is not over yet compares like with like."""
    arms = Arms(Records([*LANES, lane("ours", "a", 2, {0: [True], 1: [True]}, [True])]), "curve")
    assert (arms.sites, arms.seeds) == (("a", "b"), 1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Sites of different difficulty do not widen them; drawing sites does."""
    rng = np.random.default_rng(5)
    levels = np.array([0.1, 0.5, 0.9])[:, None, None]
    drawn = [(rng.random((3, 5, 16)) < levels).astype(float) for _ in range(60)]
    found = [resampled(values) for values in drawn]
    held = sum(one.low <= 0.5 <= one.high for one in found)
    assert held >= 52
    assert all(
        resampled(values, sites=True).high - resampled(values, sites=True).low > one.high - one.low
        for values, one in zip(drawn[:5], found, strict=False)
    )


def test_a_curve_has_blocks_of_episodes() -> None:
    """Each with its middle."""
    points = curve(np.repeat([[0.0] * 6 + [1.0] * 6], 3, axis=0), n_blocks=2)
    assert [(place, one.mean) for place, one in points] == [(3.5, 0.0), (9.5, 1.0)]


def test_every_pass_meets_every_task_once() -> None:
    """The first as drawn, the later ones in orders of their own."""
    met = list(lanes.order(1, 5, 3))
    assert [sorted(task for task, turn in met if turn == one) for one in range(3)] == [list(range(5))] * 3
    assert [task for task, turn in met if turn == 0] == list(range(5))
    assert len({tuple(task for task, turn in met if turn == one) for one in range(3)}) == 3


def test_what_is_noted_is_not_run_again(tmp_path: Path) -> None:
    """Also after a kill in the middle of a line."""
    notes = Notes(tmp_path / "learning-x.jsonl")
    notes.add("lane", arm="off", seed=1)
    with (tmp_path / "learning-x.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"what": "la')
    again = Notes(tmp_path / "learning-x.jsonl")
    assert again.has("lane", arm="off", seed=1)
    assert not again.has("lane", arm="off", seed=2)
    again.add("lane", arm="off", seed=2)
    assert [one["seed"] for one in Records.of(tmp_path).where("lane")] == [1, 2]


def test_processes_share_the_seeds(tmp_path: Path) -> None:
    """Each has its own, and its own file."""
    parts = [Plan(tmp_path, tmp_path, part=(one, 2)) for one in range(2)]
    assert sorted(seed for plan in parts for seed in plan.own_seeds) == [1, 2, 3, 4, 5]
    assert len({plan.notes("curves") for plan in parts}) == 2


def test_costs_are_told_by_point_gained() -> None:
    """Tokens of learning over points above none."""
    told = "\n".join(cost.tables(Records([*LANES, *COSTS])))
    assert "| ours | 12.5 | 10 | 4 | 0.3 |" in told
    assert "| off | 0.0 | 10 | 4 | – |" in told


COSTS = [
    {"what": "cost", "arm": arm, "site": "a", "n": 2, "act_ms": 1.0, "recall_ms": 2.0, "learn_ms": 3.0}
    | {"read": 4.0, "written": 5.0}
    for arm in cost.ARMS
]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bench_runs(tmp_path: Path) -> None:
    """Two sites, one seed: all phases, the report and its picture."""
    command = [
        sys.executable,
        "-m",
        "notebooks.bench_learning",
        "--quick",
        "--folder",
        str(tmp_path / "disk"),
    ]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    found = [
        json.loads(line)
        for path in (tmp_path / "out" / "raw").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    curves = [one for one in found if one["what"] == "curve"]
    assert {one["arm"] for one in curves} >= {"off", "cosine", "episodic", "per-case Q", "reflexion", "ours"}
    assert all(len(one["lived"]) == 4 * 2 + 2 for one in curves)
    assert "| ours |" in (tmp_path / "out" / "learning.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "learning.png").stat().st_size > 10_000
