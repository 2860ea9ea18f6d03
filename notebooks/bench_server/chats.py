"""What a chat costs more by way of LiteLLM's proxy, and of us, than at the model itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import urllib.request
from itertools import count
from random import Random

from notebooks.bench_learning.notes import Notes
from notebooks.bench_server.load import asked
from notebooks.bench_server.places import Place, everybody
from notebooks.bench_server.plan import Plan

_NOUNS = ("candle", "lantern", "kettle", "ledger", "ladder", "bucket", "needle", "anvil", "basket", "compass")
_SPOTS = ("shelf", "drawer", "cellar", "attic", "bench", "crate", "hook", "stove", "window", "corner")


def measure(plan: Plan) -> None:
    """Every contender under every load, in turns."""
    notes = Notes(plan.notes("chats"))
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    numbers = count(0)
    with everybody(plan) as places:
        _remember(places[-1], plan.items)
        for place in places:
            asyncio.run(asked(place, 4, plan.warm, _next(numbers, plan.warm)))
        for turn in range(plan.rounds):
            for clients, requests in zip(plan.levels, plan.requests, strict=True):
                order = list(places)
                Random(f"{turn}/{clients}").shuffle(order)
                for place in order:
                    _measured(notes, place, turn, clients, requests, numbers)
        notes.add("stages", **_stages(places[-1]))


def _measured(
    notes: Notes, place: Place, turn: int, clients: int, requests: int, numbers: count[int]
) -> None:
    load = asyncio.run(asked(place, clients, requests, _next(numbers, requests)))
    ms = [1000 * one for one in load.seconds]
    notes.add(
        "chats",
        place=place.name,
        round=turn,
        clients=clients,
        failures=load.failures,
        p50=round(statistics.median(ms), 3),
        p95=round(statistics.quantiles(ms, n=20)[-1], 3),
        per_s=round(len(ms) / load.wall_s, 1),
    )


def _next(numbers: count[int], n: int) -> int:
    first = next(numbers)
    for _ in range(n - 1):
        next(numbers)
    return first


def _remember(place: Place, n: int) -> None:
    """Principles and cases of a house; chats go on from there."""
    random = Random("bench-server")
    while n > 0:
        some = [_case(random) for _ in range(min(n, 100))]
        _post(place, "memory", {"items": some})
        n -= len(some)


def _case(random: Random) -> dict[str, object]:
    task = f"where is the {random.choice(_NOUNS)} of room {random.randrange(10_000)}"
    lesson = f"it is at {random.choice(_SPOTS)} {random.randrange(100)}"
    body = {"task": task, "plan": ["look"], "lesson": lesson}
    return {"kind": "case", "text": task, "outcome": "success", "body": body}


def _stages(place: Place) -> dict[str, object]:
    """Milliseconds a chat spent in each stage, from the server's own metrics."""
    asking = urllib.request.Request(place.url.removesuffix("/v1") + "/metrics", headers=dict(place.headers))
    with urllib.request.urlopen(asking, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        if line.startswith("apprentice_chat_stage_seconds_") and 'stage="' in line:
            stage = line.partition('stage="')[2].partition('"')[0]
            for part in ("sum", "count"):
                if line.startswith(f"apprentice_chat_stage_seconds_{part}"):
                    found.setdefault(stage, {})[part] = float(line.rpartition(" ")[2])
    return {stage: round(1000 * one["sum"] / one["count"], 3) for stage, one in found.items()}


def _post(place: Place, path: str, body: object) -> None:
    request = urllib.request.Request(
        f"{place.url}/{path}",
        json.dumps(body).encode(),
        {**place.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120):
        pass
