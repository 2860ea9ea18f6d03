"""Tasks by the clock: each time once, whoever looks and however often; what is missed as was wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memory.types import GLOBAL
from server.schedules import Schedules
from server.services import Core
from server.settings import Settings
from server.shelf import Shelf
from server.wiring import Parts, build
from tests.server import scripted_server
from tests.server.served import Served, serve

HOUR_S = 3600.0
TASK = {"world": "household", "site": "maple 27", "memory": "off", "budget": {"max_steps": 1}}
HOURLY = {"cron": "0 * * * *", "task": TASK}


class Clock:
    """Ten past midnight, until it is set."""

    now = 100 * 24 * HOUR_S + 600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Served]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        max_schedules=3,
    )
    models = scripted_server.models()
    with serve(build(settings, Parts(models=models, clock=clock)), models) as served:
        yield served


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of a namespace of the test's own."""
    with served.client(request.node.originalname[:60]) as client:
        yield client


Fire = Callable[[], None]


@pytest.fixture
def fire(served: Served) -> Fire:
    """What the server's own loop does, once, and again by a second server that shares its documents."""
    settings = served.services.settings

    def fire() -> None:
        async def both() -> None:
            core: Core = await served.services.core()
            other = Schedules(Shelf(settings.shelf_path), most=9, clock=core.schedules._clock)
            await asyncio.gather(core.schedules.fire(core, settings), other.fire(core, settings))

        loop = served.services._opening.get_loop()
        asyncio.run_coroutine_threadsafe(both(), loop).result(60.0)

    return fire


def create(client: httpx.Client, **more: object) -> dict[str, Any]:
    made = client.post("/v1/schedules", json={**HOURLY, **more})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def tasks(client: httpx.Client) -> int:
    return len(client.get("/v1/tasks").json()["data"])


def test_each_time_sets_one_task(client: httpx.Client, clock: Clock, fire: Fire) -> None:
    """Though two look, again and again, and though the clock is put back meanwhile."""
    made = create(client)
    assert made["next_at"] == clock.now + 3000.0
    fire()
    assert tasks(client) == 0
    clock.now += 3001.0
    for _ in range(3):
        fire()
    assert tasks(client) == 1
    clock.now -= 2000.0
    fire()
    clock.now += 2000.0
    fire()
    assert tasks(client) == 1
    shown = client.get(f"/v1/schedules/{made['id']}").json()
    assert shown["last_task"] == client.get("/v1/tasks").json()["data"][0]["id"]
    assert (shown["last_error"], shown["next_at"]) == (None, made["next_at"] + HOUR_S)


@pytest.mark.parametrize(("missed", "expected"), [("skip", 0), ("last", 1), ("all", 3)])
def test_what_was_missed(client: httpx.Client, clock: Clock, fire: Fire, missed: str, expected: int) -> None:
    """No server ran for three firings: none, the newest or all of them; then it goes on as before."""
    before = tasks(client)
    clock.now += HOUR_S - clock.now % HOUR_S + 600.0
    made = create(client, missed=missed)
    clock.now += 3 * HOUR_S
    fire()
    assert tasks(client) == before + expected
    shown = client.get(f"/v1/schedules/{made['id']}").json()
    clock.now = shown["next_at"] + 1.0
    fire()
    assert tasks(client) == before + expected + 1
    client.delete(f"/v1/schedules/{made['id']}")
    clock.now += 24 * HOUR_S
    fire()
    assert tasks(client) == before + expected + 1


def test_a_pause_is_no_miss(client: httpx.Client, clock: Clock, fire: Fire) -> None:
    made = create(client, missed="all")
    path = f"/v1/schedules/{made['id']}"
    assert client.post(f"{path}/pause").json()["next_at"] is None
    clock.now += 3 * HOUR_S
    fire()
    assert client.post(f"{path}/resume").json()["paused"] is False
    fire()
    assert tasks(client) == 0
    clock.now = client.get(path).json()["next_at"] + 1.0
    fire()
    assert tasks(client) == 1


def test_a_firing_that_is_refused_says_why(
    served: Served, client: httpx.Client, clock: Clock, fire: Fire
) -> None:
    """And the next one is set."""
    made = create(client)
    quota = "/v1/quotas/test_a_firing_that_is_refused_says_why"
    with served.client(GLOBAL) as master:
        master.put(quota, json={"tokens_day": 0})
        clock.now = made["next_at"] + 1.0
        fire()
        shown = client.get(f"/v1/schedules/{made['id']}").json()
        assert (shown["last_at"], shown["last_task"]) == (made["next_at"], None)
        assert "tokens_day" in shown["last_error"]
        master.delete(quota)
    clock.now = shown["next_at"] + 1.0
    fire()
    shown = client.get(f"/v1/schedules/{made['id']}").json()
    assert (shown["last_error"], tasks(client)) == (None, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"cron": "every day"},
        {"time_zone": "Mars/Olympus"},
        {"task": {"world": "nowhere", "config": {}}},
        {"task": {"world": "household"}},
        {"missed": "perhaps"},
    ],
)
def test_what_cannot_fire_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post("/v1/schedules", json={**HOURLY, **body}).status_code in {404, 422}
    assert client.get("/v1/schedules").json()["data"] == []


def test_there_is_a_bound(client: httpx.Client) -> None:
    for _ in range(3):
        create(client)
    assert client.post("/v1/schedules", json=HOURLY).status_code == 429


async def test_a_schedule_outlives_its_server(tmp_path: Path, clock: Clock) -> None:
    """What it is done with too."""
    first = Schedules(Shelf(tmp_path / "shelf.db"), most=9, clock=clock)
    made = await first.create(
        "home",
        cron="0 * * * *",
        zone="Europe/Oslo",
        task={},
        missed="all",
        label="tidy",
        principal="p",
        channel="user",
    )
    later = Schedules(Shelf(tmp_path / "shelf.db"), most=9, clock=clock)
    assert await later.all("home") == [made]
    assert await later.all("work") == []
