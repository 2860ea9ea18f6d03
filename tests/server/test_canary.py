"""A lesson through the whole path; where the path is broken, the report names the place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.models.scripted import FunctionModel
from agent.opening import AgentSettings
from agent.types import Model
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import OverQuota
from memory.types import Item, Json, Recall
from server.canary import CANARY, CANARY_TICK, NAMESPACE, Canary, Stage
from server.jobs import JobAddress
from server.settings import Settings
from tests.server.served import Served

STAGES = ("task", "reflect", "remember", "index", "recall", "reinforce")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def living(memory: Memory) -> list[Item]:
    return [item for item in memory.items(NAMESPACE) if item.status in {"active", "trial"}]


async def test_a_lesson_comes_through(memory: Memory) -> None:
    """Every stage takes its time, nothing stays in recall, and the next lesson comes through too."""
    canary = Canary(memory, AgentSettings(drop_rate=0.9))
    for name in ("c1", "c2"):
        report = await canary.send(name)
        assert (report.ok, report.failed, report.reason) == (True, None, "")
        assert report.seconds is not None
        assert tuple(report.seconds) == STAGES
        assert living(memory) == []
    assert len(memory.episodes(NAMESPACE)) == 4
    assert memory.check() == ()


def mute() -> Model:
    """Acts, and has nothing to say of it."""
    return FunctionModel(lambda m: "" if m[-1].text.startswith("reflect") else "> pull rope", style="plain")


def idle() -> Model:
    """Never acts."""
    return FunctionModel(lambda _: "hm.", style="plain")


def broken(memory: Memory, stage: Stage) -> Canary:
    """A canary on a path that is broken at this stage."""
    settings, model = AgentSettings(), None
    if stage == "task":
        model = idle()
    elif stage == "reflect":
        model = mute()
    elif stage == "remember":
        memory.remember = refused  # type: ignore[method-assign]
    elif stage == "index":
        real = memory.recall
        memory.recall = lambda query, **how: without_candidates(real(query, **how))  # type: ignore[method-assign]
    elif stage == "recall":
        settings = replace(settings, token_budget=0)
    else:
        memory.reinforce = lambda episode, principal: None  # type: ignore[method-assign]
    return Canary(memory, settings, model=model)


def refused(namespace: str, *_: object, **__: object) -> tuple[Item, ...]:
    raise OverQuota(f"namespace {namespace!r} is full")


def without_candidates(recall: Recall) -> Recall:
    return replace(recall, candidates=())


@pytest.mark.parametrize("stage", STAGES)
async def test_the_stage_that_is_broken_is_named(memory: Memory, stage: Stage) -> None:
    """With a reason."""
    report = await broken(memory, stage).send("c1")
    assert (report.ok, report.failed) == (False, stage)
    assert report.reason
    assert report.seconds is not None
    assert stage in report.seconds
    assert living(memory) == []


async def test_what_a_lost_run_left_is_cleared_away_by_a_later_one(tmp_path: Path) -> None:
    """Not at once: another server's run may be under way."""
    now = [1_000_000.0]
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(), clock=lambda: now[0]) as memory:
        canary = Canary(memory, AgentSettings(), clock=lambda: now[0])
        left = Canary(memory, AgentSettings(), clock=lambda: now[0])
        left._clear = lambda name: None  # type: ignore[method-assign]
        await left.send("c1")
        assert living(memory) != []
        await canary.send("c2")
        assert living(memory) != []
        now[0] += 7200.0
        await canary.send("c3")
        assert living(memory) == []


def test_a_server_tells_how_its_canary_fared(
    serving: Callable[[Settings], AbstractContextManager[Served]], tmp_path: Path
) -> None:
    """An operator sends it; every key and Prometheus are told; its namespace is nobody's."""
    settings = Settings(data_dir=tmp_path, encoder="hash", model="looker", job_poll_s=0.02, port=0)
    with serving(settings) as served, served.client() as operator, served.client("home", "user") as user:
        assert user.get("/v1/health/learning").json()["canary"] is None
        assert user.post("/v1/health/learning/canary").status_code == 403
        report = operator.post("/v1/health/learning/canary").json()
        assert (report["ok"], report["failed"], list(report["seconds"])) == (True, None, list(STAGES))
        assert user.get("/v1/health/learning").json()["canary"] == report
        shown = user.get("/metrics").text
        assert 'apprentice_canary_ok{failed=""} 1.0' in shown
        assert 'apprentice_canary_seconds{stage="recall"}' in shown
        with pytest.raises(Exception, match="none of canary, system"):
            served.key("canary")


class Ticked:
    """What the schedule hands to its handler."""

    def __init__(self) -> None:
        self.address = JobAddress("system", CANARY_TICK, "2026-11-22T04:30:00+00:00")
        self.queued: list[JobAddress] = []

    async def step(self, name: str, do: Callable[[], Awaitable[Json]]) -> Json:
        return await do()

    async def event(self, name: str, data: Json) -> None:
        raise NotImplementedError

    async def receive(self, topic: str, *, timeout_s: float) -> Json:
        raise NotImplementedError

    async def enqueue(self, address: JobAddress, arguments: Mapping[str, Json]) -> None:
        self.queued.append(address)


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_schedule_sends_a_lesson_where_it_is_wanted(memory: Memory, wanted: bool) -> None:
    """In a namespace of its own, under a name that its episodes can bear."""
    canary, ticked = Canary(memory, AgentSettings(), is_wanted=wanted), Ticked()
    await canary.tick(ticked, {})
    assert [(one.namespace, one.kind) for one in ticked.queued] == [(NAMESPACE, CANARY)] * wanted
    for address in ticked.queued:
        assert (await canary.send(address.id)).ok
