"""Namespaces take turns at places of a kind of job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from server.jobs_turns import Places, Turn


class Line:
    """Jobs that hold their place until they are let go."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.began: list[str] = []

    async def join(self, namespace: str, *names: str) -> None:
        for name in names:
            self._gates[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._work(namespace, name))
            await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._gates[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def _work(self, namespace: str, name: str) -> None:
        async with Turn(self._places, namespace):
            self.began.append(name)
            await self._gates[name].wait()


async def test_one_namespaces_many_do_not_starve_anothers_one() -> None:
    """A place that comes free goes to whoever holds none, though many have waited longer."""
    line = Line(Places(2))
    await line.join("many", *(f"m{n}" for n in range(20)))
    await line.join("few", "f0", "f1")
    assert line.began == ["m0", "m1"]
    await line.end("m0")
    assert line.began[2:] == ["f0"]
    await line.end("m1")
    # Each would hold one: `many` was served longest ago.
    assert line.began[3:] == ["m2"]
    await line.end("f0")
    assert line.began[4:] == ["f1"]


async def test_within_a_namespace_the_first_is_first() -> None:
    line = Line(Places(1))
    await line.join("a", "a0", "a1", "a2")
    for name in ("a0", "a1", "a2"):
        await line.end(name)
    assert line.began == ["a0", "a1", "a2"]


@pytest.mark.parametrize("share", [lambda _: 2, lambda name: 2 if name == "a" else None])
async def test_a_share_bounds_a_namespace_though_places_are_free(share: Callable[[str], int | None]) -> None:
    """What is over it waits; another namespace goes ahead."""
    places = Places(9, share)
    line = Line(places)
    await line.join("a", "a0", "a1", "a2")
    await line.join("b", "b0")
    assert line.began == ["a0", "a1", "b0"]
    assert places.held("a") == 2
    await line.end("b0")
    assert "a2" not in line.began
    await line.end("a0")
    assert line.began[-1] == "a2"


async def test_one_that_is_cancelled_leaves_the_line() -> None:
    """Also in the moment in which it is served: no place is lost."""
    places = Places(1)
    line = Line(places)
    await line.join("a", "a0", "a1")
    await line.join("b", "b0")
    line.tasks["a1"].cancel()
    await asyncio.sleep(0)
    line._gates["a0"].set()
    # It hears of its place and of its end at once.
    await asyncio.sleep(0)
    line.tasks["b0"].cancel()
    await asyncio.gather(*line.tasks.values(), return_exceptions=True)
    await line.join("c", "c0")
    assert line.began[-1] == "c0"
    assert places.held("b") == 0


async def test_a_place_that_is_lent_serves_others() -> None:
    """A job that waits for a human holds nothing up; it goes on when there is a place again."""
    places = Places(1)
    other = Line(places)
    async with Turn(places, "a") as turn:
        async with turn.lent():
            await other.join("b", "b0")
            assert other.began == ["b0"]
            again = asyncio.create_task(other.end("b0"))
        await again
        assert places.held("a") == 1
    assert places.held("a") == 0
