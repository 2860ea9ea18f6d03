"""The learning curve and what items add, as numbers over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memory.recall.choosing import is_withheld
from memory.types import Episode, Mode, Outcome, Query, RecallRecord
from server.curve import Point, curve
from server.settings import Settings
from tests.server.served import Served

HOLD_OUT = 0.4


def lived(seed: int, outcome: Outcome = "success", mode: Mode = "learn") -> Episode:
    """An episode whose coin has that seed."""
    query = Query("home", "wash the mug", hold_out=HOLD_OUT, seed=seed)
    return Episode(
        id=f"ep{seed}",
        namespace="home",
        task_id="t",
        task="wash the mug",
        world="household",
        family="maple 27",
        group="g",
        messages=(),
        outcome=outcome,
        recall=RecallRecord(query, 0, "hash-1", ()),
        mode=mode,
        steps=4,
    )


def shown(episode: Episode) -> bool:
    assert episode.recall is not None
    return not is_withheld(episode.recall.query)


def test_the_coin_makes_the_control_arm() -> None:
    """Each block has every arm that was there, and every episode of known outcome counts once."""
    told = [lived(seed) for seed in range(60)]
    points = curve(told, 3)
    n_shown = sum(map(shown, told))
    assert 0 < n_shown < 60
    assert {(point.first, point.last) for point in points} == {(1, 20), (21, 40), (41, 60)}
    assert sum(point.n for point in points if point.arm == "memory") == n_shown
    assert sum(point.n for point in points if point.arm == "control") == 60 - n_shown


def test_success_has_an_interval_and_failures_count() -> None:
    """Three of four, by Wilson."""
    told = [lived(seed) for seed in range(60) if shown(lived(seed))][:4]
    told[2] = replace(told[2], outcome="failure", steps=8)
    (point,) = curve(told, 1)
    assert (point.n, point.success, point.reward, point.steps) == (4, 0.75, 0.75, 5.0)
    assert point.low == pytest.approx(0.3006, abs=1e-3)
    assert point.high == pytest.approx(0.9544, abs=1e-3)


def test_who_was_shown_nothing_by_its_mode_is_no_control() -> None:
    """Nobody tossed for it; and what has no known outcome is no point at all."""
    told = [lived(1, mode="shadow"), replace(lived(2), recall=None, mode="off"), lived(3, "unknown")]
    assert [(point.arm, point.n) for point in curve(told, 8)] == [("unshown", 1), ("unshown", 1)]
    assert curve([], 8) == ()


def test_the_server_tells_curve_and_lifts(tmp_path: Path, serving: Any) -> None:
    """Tasks with coins: every one is a point of the arm that its coin drew; one item is asked for alone."""
    settings = Settings(
        data_dir=tmp_path,
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        port=0,
        recall_hold_out=0.5,
        recall_drop_rate=0.5,
    )
    with serving(settings) as served:
        _work(served, 6)
        with served.client() as client:
            told = client.get("/v1/learning/curve", params={"blocks": 2}).json()
            lifts = client.get("/v1/lifts").json()["data"]
            one = client.get("/v1/lifts", params={"item": lifts[0]["item"]}).json()["data"]
            none = client.get("/v1/lifts", params={"kind": "profile"}).json()["data"]
        with served.client("elsewhere") as other:
            assert other.get("/v1/learning/curve").json() == {"object": "curve", "episodes": 0, "data": []}
            assert other.get("/v1/lifts").json()["data"] == []
    points = [Point(**point) for point in told["data"]]
    assert told["episodes"] == sum(point.n for point in points) == 6
    assert {point.arm for point in points} <= {"memory", "control"}
    assert one == lifts[:1]
    assert none == []
    assert all(lift["low"] <= lift["high"] and 0 <= lift["n_held"] <= lift["n"] for lift in lifts)


def _work(served: Served, n: int) -> None:
    with served.client() as client:
        for number in range(n):
            order = {"world": "household", "site": "maple 27", "seed": number, "wait": "learned"}
            assert client.post("/v1/tasks", json={**order, "budget": {"max_steps": 2}}).is_success
