"""Many follow one job: all hear everything, one looks."""

from __future__ import annotations

import asyncio

import pytest

from memory.errors import NotFound
from server.jobs import JobEvent
from server.jobs_feed import KEPT, Feeds, Told
from server.jobs_signals import Signals

KEY = "home/task/one"


class Job:
    """What is in the file of one job, and how often it was looked at."""

    def __init__(self, n: int = 0) -> None:
        self.events = [JobEvent(seq, "step", {}) for seq in range(n)]
        self.is_ended = False
        self.looks = 0
        self.is_gone = False
        self.signals = Signals()
        self.feeds = Feeds(self.look, self.signals)

    async def look(self, key: str, start: int) -> Told:
        assert key == KEY
        self.looks += 1
        if self.is_gone:
            raise NotFound("there is no such job")
        return Told(tuple(self.events[start:]), self.is_ended)

    def tell(self, n: int = 1) -> None:
        self.events += [JobEvent(len(self.events) + more, "step", {}) for more in range(n)]
        self.signals.notify(KEY)

    def end(self) -> None:
        self.is_ended = True
        self.signals.notify(KEY)


async def heard(job: Job, start: int = 0) -> list[int]:
    return [event.seq async for event in job.feeds.follow(KEY, start)]


async def until_quiet() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_crowd_hears_everything_and_one_looks() -> None:
    """Whoever joins later begins where it asks to."""
    job = Job(n=3)
    crowd = [asyncio.create_task(heard(job)) for _ in range(100)]
    await until_quiet()
    assert job.looks == 101
    late = asyncio.create_task(heard(job, start=2))
    for _ in range(4):
        job.tell()
        await until_quiet()
    job.end()
    assert await asyncio.gather(*crowd) == [list(range(7))] * 100
    assert await late == list(range(2, 7))
    # Each on joining, one for all at each piece of news, and a few looks that found nothing yet.
    assert job.looks < 100 + 30


async def test_when_the_one_who_looks_leaves_another_does() -> None:
    job = Job(n=1)
    crowd = [asyncio.create_task(heard(job)) for _ in range(5)]
    await until_quiet()
    for gone in crowd[:3]:
        gone.cancel()
        await until_quiet()
        job.tell()
        await until_quiet()
    job.end()
    assert await asyncio.gather(*crowd[3:]) == [list(range(4))] * 2


async def test_who_is_far_behind_reads_the_file() -> None:
    """A reader that does not take its events while hundreds come."""
    job = Job(n=1)
    slow = job.feeds.follow(KEY, 0)
    assert (await anext(slow)).seq == 0
    quick = asyncio.create_task(heard(job))
    await until_quiet()
    for _ in range(3):
        job.tell(KEPT)
        await until_quiet()
    job.end()
    assert await quick == [0, *[event.seq async for event in slow]]


async def test_a_job_that_goes_away_is_told_to_all() -> None:
    job = Job(n=1)
    crowd = [asyncio.create_task(heard(job)) for _ in range(3)]
    await until_quiet()
    job.is_gone = True
    job.tell()
    for each in await asyncio.gather(*crowd, return_exceptions=True):
        assert isinstance(each, NotFound)
    with pytest.raises(NotFound):
        await heard(job)
