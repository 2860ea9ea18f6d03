"""What a namespace may have at once and spend in a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from memory.types import GLOBAL, Usage
from server.errors import QuotaReached
from server.metrics import Metrics
from server.quotas import Quota, Quotas, Spent
from server.settings import Settings
from server.shelf import Shelf
from tests.server.served import Served

TASK = {"world": "household", "site": "maple 27", "memory": "off"}
HANGING = {**TASK, "model": "slow", "budget": {"max_steps": 500}}
DAY_S = 86_400.0


class Clock:
    now = 10 * DAY_S + 3600.0

    def __call__(self) -> float:
        return self.now


def quotas(folder: Path, default: Quota, clock: Clock | None = None) -> Quotas:
    return Quotas(Shelf(folder / "shelf.db"), default, Metrics(), clock=clock or Clock())


async def test_a_day_that_is_spent_refuses_until_midnight(tmp_path: Path) -> None:
    """Tokens of both sorts count; the message names quota, setting and wait. A new day begins at nothing."""
    clock = Clock()
    mine = quotas(tmp_path, Quota(tokens_day=100), clock)
    await mine.spend("home", Usage(60, 39))
    await mine.check_spending("home")
    await mine.spend("home", Usage(1, 0))
    with pytest.raises(QuotaReached, match=r"tokens_day.*APPRENTICE_QUOTA_TOKENS_DAY") as refused:
        await mine.check_spending("home")
    assert refused.value.retry_after_s == 23 * 3600
    await mine.check_spending("work")
    clock.now += 23 * 3600
    await mine.check_spending("home")
    assert await mine.spent("home") == Spent("1970-01-12")


async def test_money_counts_too(tmp_path: Path) -> None:
    mine = quotas(tmp_path, Quota(usd_day=0.5))
    await mine.spend("home", Usage(1, 1, cost_usd=0.5))
    with pytest.raises(QuotaReached, match="usd_day"):
        await mine.check_spending("home")


async def test_an_episode_counts_once_however_often_its_end_is_repeated(tmp_path: Path) -> None:
    """After a crash, past midnight too; one that went on after it was cancelled counts what it used since."""
    clock = Clock()
    mine = quotas(tmp_path, Quota(tokens_day=100), clock)
    await mine.spend("home", Usage(10, 5), episode="ep_1")
    again = quotas(tmp_path, Quota(tokens_day=100), clock)
    await again.spend("home", Usage(10, 5), episode="ep_1")
    assert (await again.spent("home")).tokens == 15
    await again.spend("home", Usage(20, 8), episode="ep_1")
    await again.spend("home", Usage(1, 1), episode="ep_2")
    await again.spend("home", Usage(1, 1))
    await again.spend("home", Usage(1, 1))
    assert (await again.spent("home")).tokens == 34
    clock.now += DAY_S
    await again.spend("home", Usage(1, 1), episode="ep_2")
    assert (await again.spent("home")).tokens == 0


async def test_what_is_spent_outlives_a_restart(tmp_path: Path) -> None:
    await quotas(tmp_path, Quota(tokens_day=10)).spend("home", Usage(10, 0))
    with pytest.raises(QuotaReached):
        await quotas(tmp_path, Quota(tokens_day=10)).check_spending("home")


async def test_what_was_set_for_a_namespace_holds_over_the_settings(tmp_path: Path) -> None:
    """Also after a restart, for shares too; the rest is as the settings say."""
    before = quotas(tmp_path, Quota(running=4, tasks=9))
    await before.set("home", Quota(running=1))
    assert (before.share("home"), before.share("work")) == (1, 4)
    after = quotas(tmp_path, Quota(running=4, tasks=9))
    await after.open()
    assert after.share("home") == 1
    assert await after.of("home") == Quota(running=1, tasks=9)
    assert await after.unset("home") == Quota(running=4, tasks=9)


def end_all(client: httpx.Client) -> None:
    for task in client.get("/v1/tasks").json()["data"]:
        client.post(f"/v1/tasks/{task['id']}/cancel")


def until_spent(client: httpx.Client) -> None:
    for _ in range(500):
        if client.get("/v1/quotas").json()["spent_tokens"]:
            return
        time.sleep(0.02)
    raise AssertionError("nothing is counted")


def test_quotas_over_http(
    tmp_path: Path, serving: Callable[[Settings], AbstractContextManager[Served]]
) -> None:
    """429 with a wait for what is over; the same request again is no new task; `*` alone sets them."""
    settings = Settings(data_dir=tmp_path, encoder="hash", model="looker", job_poll_s=0.02, quota_tasks=1)
    with serving(settings) as served, served.client() as client, served.client(GLOBAL) as master:
        headers = {"Idempotency-Key": "one"}
        first = client.post("/v1/tasks", json=HANGING, headers=headers).json()
        refused = client.post("/v1/tasks", json=HANGING)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert refused.json()["error"]["code"] == "quota_reached"
        assert "APPRENTICE_QUOTA_TASKS" in refused.json()["error"]["message"]
        assert client.post("/v1/tasks", json=HANGING, headers=headers).json()["id"] == first["id"]
        assert 'apprentice_quota_refusals_total{quota="tasks"} 1.0' in client.get("/metrics").text
        assert client.get("/v1/quotas").json()["living_tasks"] == 1
        # Another namespace has its own.
        with served.client("other") as other:
            assert other.post("/v1/tasks", json=HANGING).status_code == 202
            end_all(other)
        assert client.put("/v1/quotas/home", json={"tasks": 3}).status_code == 404
        assert master.put("/v1/quotas/home", json={"tasks": 3, "tokens_day": 1}).json()["tasks"] == 3
        assert client.post("/v1/tasks", json=HANGING).status_code == 202
        with client.stream("GET", f"/v1/tasks/{first['id']}/events") as response:
            assert any(line == "event: step" for line in response.iter_lines())
        end_all(client)
        # What they said before they were stopped counts, once they have stopped.
        until_spent(client)
        spent = client.post("/v1/tasks", json=TASK)
        assert (spent.status_code, "tokens_day" in spent.text) == (429, True)
        assert int(spent.headers["Retry-After"]) <= DAY_S
        assert master.delete("/v1/quotas/home").json()["tokens_day"] is None
        assert client.post("/v1/tasks", json=TASK).status_code == 202


def test_chats_spend_too(
    tmp_path: Path, serving: Callable[[Settings], AbstractContextManager[Served]]
) -> None:
    """A chat is answered until the day's tokens are used up."""
    settings = Settings(data_dir=tmp_path, encoder="hash", model="talker", quota_tokens_day=1)
    said = {"messages": [{"role": "user", "content": "hello"}]}
    with serving(settings) as served, served.client() as client:
        assert client.post("/v1/chat/completions", json=said).status_code == 200
        refused = client.post("/v1/chat/completions", json=said)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_reached")


def test_one_namespaces_many_tasks_do_not_starve_anothers_one(
    tmp_path: Path, serving: Callable[[Settings], AbstractContextManager[Served]]
) -> None:
    """With one place, and many waiting for it, the next to act is the other's."""
    settings = Settings(
        data_dir=tmp_path, encoder="hash", model="looker", job_poll_s=0.02, max_running_tasks=1
    )
    with serving(settings) as served, served.client("many") as many, served.client("few") as few:
        ids = [many.post("/v1/tasks", json={**TASK, "seed": n}).json()["id"] for n in range(12)]
        done = few.post("/v1/tasks", json={**TASK, "wait": "finished"}).json()
        assert done["state"] == "done"
        ended = [many.get(f"/v1/tasks/{one}").json()["ended_at"] for one in ids]
        later = [at for at in ended if at is None or at > done["ended_at"]]
        assert later, "the one waited for all of them"
