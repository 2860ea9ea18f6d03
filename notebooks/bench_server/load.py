"""So many clients that ask as soon as they were answered, and how long each answer took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import count

import aiohttp

from notebooks.bench_server.places import Place
from notebooks.bench_server.upstream import ANSWER


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one load."""

    seconds: tuple[float, ...]
    """Of each answer."""
    wall_s: float
    failures: int
    """Answers that were not the upstream's."""


async def asked(place: Place, clients: int, requests: int, first: int) -> Load:
    """Ask `requests` different questions by `clients` connections; `first` numbers the questions."""
    numbers = count(first)
    last = first + requests
    seconds: list[float] = []
    failures = 0

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal failures
        while (number := next(numbers)) < last:
            begun = time.perf_counter()
            ok = await _ask(session, place, number)
            seconds.append(time.perf_counter() - begun)
            failures += not ok

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, headers=dict(place.headers)) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        return Load(tuple(seconds), time.perf_counter() - begun, failures)


async def _ask(session: aiohttp.ClientSession, place: Place, number: int) -> bool:
    # Another question each time: what was embedded once is not to be found in a cache.
    text = f"Guest {number} asks where the candle of room {number % 977} is kept, and whether it may be lit."
    body = {"model": place.model, "messages": [{"role": "user", "content": text}]}
    async with session.post(f"{place.url}/chat/completions", json=body) as response:
        if response.status != 200:
            return False
        answer = await response.json()
        return bool(answer["choices"][0]["message"]["content"] == ANSWER)
