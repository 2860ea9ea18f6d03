"""A thousand followers of a task that waits: what they cost meanwhile, and who hears of the end."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace

import aiohttp
import psutil

from notebooks.bench_learning.notes import Notes
from notebooks.bench_server.places import MODEL, Place, ours, upstream
from notebooks.bench_server.plan import Plan

NEVER_S = 3600.0
IDLE_S = 20.0


def measure(plan: Plan) -> None:
    """Follow, look, end."""
    notes = Notes(plan.notes("streams"))
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    slow = replace(plan, think_s=NEVER_S)
    with upstream(slow) as behind, ours(plan, behind) as places:
        notes.add("streams", **asyncio.run(_followed(places[0], plan.streams)))


async def _followed(place: Place, n: int) -> dict[str, object]:
    process = psutil.Process(place.pid)
    connector = aiohttp.TCPConnector(limit=0)
    patience = aiohttp.ClientTimeout(total=None)
    headers = dict(place.headers)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=patience) as session:
        body = {"world": "household", "site": "hazel 47", "model": MODEL}
        async with session.post(f"{place.url}/tasks", json=body) as answer:
            answer.raise_for_status()
            task = f"{place.url}/tasks/{(await answer.json())['id']}"
        before = _state(process)
        heard = [0] * n
        follow = [asyncio.create_task(_follow(session, f"{task}/events", heard, i)) for i in range(n)]
        while sum(one > 0 for one in heard) < n:
            await asyncio.sleep(0.1)
        after = _state(process)
        begun, cpu = time.perf_counter(), process.cpu_times()
        await asyncio.sleep(IDLE_S)
        now = process.cpu_times()
        idle = (now.user + now.system - cpu.user - cpu.system) / (time.perf_counter() - begun)
        begun = time.perf_counter()
        async with session.post(f"{task}/cancel") as answer:
            answer.raise_for_status()
        cancelled_s = time.perf_counter() - begun
        ended = await asyncio.gather(*follow)
        return {
            "streams": n,
            "rss_before": before[0],
            "rss_with": after[0],
            "files_with": after[1],
            "idle_cpu": round(idle, 3),
            "cancel_s": round(cancelled_s, 3),
            "all_heard_s": round(time.perf_counter() - begun, 3),
            "heard_all_in_order": sum(ended),
        }


async def _follow(session: aiohttp.ClientSession, url: str, heard: list[int], place: int) -> bool:
    """Until `done`; were all events there, in order?"""
    expected, name = 0, ""
    async with session.get(url) as stream:
        async for raw in stream.content:
            line = raw.decode().strip()
            if line.startswith("event:"):
                name = line[6:].strip()
                if name == "done":
                    return True
            elif line.startswith("id:"):
                if int(line[3:]) != expected:
                    return False
                expected += 1
                heard[place] = expected
    return False


def _state(process: psutil.Process) -> tuple[float, int]:
    """Resident MiB and open files."""
    return round(process.memory_info().rss / 2**20, 1), process.num_fds()
