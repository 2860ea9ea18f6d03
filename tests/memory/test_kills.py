"""SIGKILL anywhere: what was acknowledged is there whole, what was not is there whole or not at all."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.memory.workloads import STEPS

ROOT = Path(__file__).parents[2]
N_SERVERS = 2
N_RANDOM = 2_000
Order = dict[str, Any]
Report = dict[str, Any]

POINTS = [
    ("first start", "sql CREATE", 0.5),
    ("first start", "sql COMMIT", 0.0),
    ("daily", "sql INSERT", 0.3),
    ("daily", "sql COMMIT", 0.5),
    ("daily", "after commit", 0.5),
    ("daily", "sql RELEASE", 0.7),
    ("daily", "sql UPDATE", 0.5),
    ("daily", "before rename", 1.0),
    ("snapshots", "before fsync", 0.5),
    ("snapshots", "after fsync", 1.0),
    ("snapshots", "before rename", 0.6),
    ("snapshots", "after rename", 0.5),
    ("snapshots", "after rename", 0.9),
    ("snapshots", "after unlink", 0.5),
    ("migration", "sql ALTER", 0.5),
    ("migration", "sql COMMIT", 0.0),
    ("migration", "after commit", 0.0),
    ("import", "sql INSERT", 0.5),
    ("import", "sql COMMIT", 1.0),
    ("restore", "sql UPDATE", 0.3),
    ("restore", "after commit", 0.6),
    ("erase", "sql DELETE", 0.5),
    ("erase", "before rmdir", 0.0),
    ("reencode", "sql INSERT", 0.5),
]
"""Scenario, what happens, and how far through all of its kind; 0 is the first, 1 the last."""


class Killer:
    """A process that forks the victims."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.memory.kill_server"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        self._whole: dict[str, Report] = {}

    def __call__(self, scenario: str, **order: Any) -> Report:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"scenario": scenario, "seed": 1} | order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process that kills has ended at {scenario!r} {order}"
        report: Report = json.loads(line)
        return report

    def whole(self, scenario: str) -> Report:
        """How it goes when nobody is killed."""
        if scenario not in self._whole:
            report = self(scenario)
            assert (report["is_killed"], report["problems"]) == (False, [])
            self._whole[scenario] = report
        return self._whole[scenario]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def killed() -> Iterator[Killer]:
    killer = Killer()
    yield killer
    killer.close()


@pytest.mark.parametrize(("scenario", "name", "share"), POINTS)
def test_a_kill_at_a_named_point_loses_nothing(
    killed: Killer, scenario: str, name: str, share: float
) -> None:
    """The database is, to the byte, what it is after the steps that were acknowledged, or one more."""
    n = killed.whole(scenario)["named"][name]
    report = killed(scenario, name=name, nth=1 + round(share * (n - 1)))
    assert (report["is_killed"], report["problems"]) == (True, [])


def test_kills_in_a_crowd_lose_nothing(killed: Killer) -> None:
    """Three writers, a reader and one who saves the index; killed three times on the same file."""
    chance = random.Random(5)
    rounds = [{"at": chance.randrange(20_000, 40_000)}, {"after_ms": chance.uniform(30, 300)}, {}]
    report = killed("crowd", rounds=rounds)
    assert report["problems"] == []
    assert report["acknowledged"] > 20


def test_a_loss_would_be_seen(killed: Killer) -> None:
    """The proof itself can fail: a commit that is told before it is made is found out."""
    report = killed("liar", name="sql RELEASE", nth=1)
    assert report["is_killed"]
    assert len(report["problems"]) == 1


# The slow suite


def every_named_point(killed: Killer) -> list[Order]:
    """Each of them once."""
    return [
        {"scenario": scenario, "name": name, "nth": nth}
        for scenario in STEPS
        for name, n in killed.whole(scenario)["named"].items()
        for nth in range(1, n + 1)
    ]


def random_points(killed: Killer, n: int, chance: random.Random) -> list[Order]:
    """By count of lines and statements, or by the clock; a third of them in a crowd, three to a file."""
    names = [*STEPS, *["crowd"] * (len(STEPS) // 2)]
    orders: list[Order] = []
    while n > 0:
        scenario = chance.choice(names)
        n_events = killed.whole(scenario)["events"]

        def point(n_events: int = n_events) -> Order:
            if chance.random() < 0.8:
                return {"at": chance.randint(1, n_events)}
            return {"after_ms": chance.uniform(0.0, n_events / 50.0)}

        if scenario == "crowd":
            orders.append({"scenario": scenario, "seed": len(orders), "rounds": [point() for _ in range(3)]})
            n -= 3
        else:
            orders.append({"scenario": scenario, **point()})
            n -= 1
    return orders


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_kills_lose_nothing(killed: Killer, capsys: pytest.CaptureFixture[str]) -> None:
    """Every named point of every scenario once, and as many random ones as it takes."""
    orders = every_named_point(killed) + random_points(killed, N_RANDOM, random.Random(11))
    killers: SimpleQueue[Killer] = SimpleQueue()
    killers.put(killed)
    others = [Killer() for _ in range(N_SERVERS - 1)]
    for other in others:
        killers.put(other)

    def take(order: Order) -> Report:
        killer = killers.get()
        try:
            return killer(**order)
        finally:
            killers.put(killer)

    with ThreadPoolExecutor(N_SERVERS) as pool:
        reports = list(pool.map(take, orders))
    for other in others:
        other.close()
    wrong = [
        (order, found) for order, report in zip(orders, reports, strict=True) if (found := report["problems"])
    ]
    n_kills = sum(report["kills"] for report in reports)
    n_acknowledged = sum(report["acknowledged"] for report in reports)
    with capsys.disabled():
        sys.stdout.write(f"\n{n_kills} kills, {n_acknowledged} acknowledged, {len(wrong)} files not whole\n")
    assert wrong == []
    assert n_kills >= N_RANDOM
