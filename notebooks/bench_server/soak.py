"""Chats and tasks for half an hour: memory and open files must stay where they are once all is warm."""

from __future__ import annotations

import asyncio
import shutil
import time

import psutil

from notebooks.bench_learning.notes import Notes
from notebooks.bench_server.load import asked
from notebooks.bench_server.places import ours, upstream
from notebooks.bench_server.plan import Plan

CLIENTS, BURST = 8, 200
"""At once, and between two looks."""


def measure(plan: Plan) -> None:
    """A look after each burst of chats with memory on."""
    notes = Notes(plan.notes("soak"))
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    with upstream(plan) as behind, ours(plan, behind) as places:
        place, begun, n = places[0], time.monotonic(), 0
        process = psutil.Process(place.pid)
        while (at := time.monotonic() - begun) < plan.soak_s:
            load = asyncio.run(asked(place, CLIENTS, BURST, n))
            n += BURST
            notes.add(
                "soak",
                at_s=round(at),
                chats=n,
                failures=load.failures,
                rss=round(process.memory_info().rss / 2**20, 1),
                files=process.num_fds(),
                threads=process.num_threads(),
            )
