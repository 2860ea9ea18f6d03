"""Many tasks at once, each with a follower who does not give up, and what must hold of them in the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.server.scripted_server import MARKS

MARKED = {"world": "tools", "model": "marker"}
LEARNED = {"world": "household", "site": "maple 27", "model": "looker", "budget": {"max_steps": 3}}
PAUSE_S = 0.05


@dataclass
class Followed:
    """A task as one follower saw it, through all its reconnects."""

    body: dict[str, Any]
    id: str = ""
    ids: list[int] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)
    reconnects: int = 0


@dataclass(frozen=True)
class Death:
    """What was there when the process was gone."""

    n_marks: int
    recorded: frozenset[tuple[str, int]]
    """Task and number of every call whose answer was recorded."""


@dataclass
class Crowd:
    """Tasks that are set all at once; every fourth is one that is learned from."""

    client: httpx.AsyncClient
    tasks: list[Followed]

    @classmethod
    def of(cls, client: httpx.AsyncClient, n: int) -> Crowd:
        """So many."""
        marked = [{**MARKED, "text": f"mark t{i}"} for i in range(n)]
        return cls(
            client,
            [Followed({**LEARNED, "seed": i} if i % 4 == 3 else body) for i, body in enumerate(marked)],
        )

    async def run(self) -> None:
        """Until every task has ended."""
        await asyncio.gather(*(self._follow(n, task) for n, task in enumerate(self.tasks)))

    async def _follow(self, number: int, task: Followed) -> None:
        task.id = await self._submit(number, task)
        while not task.done:
            headers = {"Last-Event-ID": str(task.ids[-1])} if task.ids else {}
            try:
                await self._read(task, headers)
            except httpx.TransportError:
                task.reconnects += 1
                await asyncio.sleep(PAUSE_S)

    async def _submit(self, number: int, task: Followed) -> str:
        while True:
            try:
                headers = {"Idempotency-Key": f"task {number}"}
                answer = await self.client.post("/v1/tasks", json=task.body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_S)
                continue
            if _is_starting(answer):
                await asyncio.sleep(PAUSE_S)
                continue
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

    async def _read(self, task: Followed, headers: dict[str, str]) -> None:
        async with self.client.stream("GET", f"/v1/tasks/{task.id}/events", headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                # Anything else, a 404 above all, is a task that was acknowledged and is lost.
                assert _is_starting(response), response.text
                await asyncio.sleep(PAUSE_S)
                return
            async for name, number, data in _events(response):
                if name == "done":
                    task.done = data
                    return
                task.ids.append(number)
                task.events.append((name, data))


def _is_starting(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and answer.json()["error"]["code"] == "not_ready"


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, int, Any]]:
    """Whole events alone: what was cut off in its middle has not been seen."""
    block: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            key, _, value = line.partition(": ")
            block[key] = value
        elif "event" in block:
            yield block["event"], int(block.get("id", -1)), json.loads(block["data"])
            block = {}


def marks_in(path: Path) -> list[tuple[str, int]]:
    """Every call of the tool `mark` that was made, in order."""
    return [(name, int(n)) for name, n in (line.split() for line in path.read_text("utf-8").splitlines())]


def client_of(url: str, secret: str) -> httpx.AsyncClient:
    """A client whose every request may be answered by another server."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {secret}"},
        timeout=120.0,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        trust_env=False,
    )


def followed_whole(tasks: Sequence[Followed]) -> None:
    """Every follower saw each event once and in order, whatever died meanwhile."""
    assert len({task.id for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.done["state"] == "done", task.done
        assert task.ids == list(range(len(task.ids)))
        names = [name for name, _ in task.events]
        assert names == ["start", *["step"] * task.done["steps"], "end"]
        calls = [data["call"]["id"] for name, data in task.events if name == "step"]
        assert len(set(calls)) == len(calls)


def calls_made_once(
    tasks: Sequence[Followed], marks: Sequence[tuple[str, int]], deaths: Sequence[Death]
) -> None:
    """Every call of a tool was made, and after a death none whose answer was recorded before it."""
    names = {task.body["text"].split()[1]: task.id for task in tasks if "text" in task.body}
    assert set(marks) == {(name, n) for name in names for n in range(MARKS)}
    for death in deaths:
        after = {(names[name], n + 1) for name, n in marks[death.n_marks :]}
        assert not after & death.recorded


async def ours_done_once(client: httpx.AsyncClient, tasks: Sequence[Followed]) -> None:
    """Episodes, tokens spent, lessons: one of each, as if nobody had died."""
    episodes = await everything(client, "/v1/episodes")
    assert sorted(e["id"] for e in episodes) == sorted(task.done["episode"] for task in tasks)
    for episode in episodes:
        calls = [call["id"] for message in episode["messages"] for call in message["tool_calls"]]
        assert len(set(calls)) == len(calls)
    used = sum(e["usage"]["prompt_tokens"] + e["usage"]["completion_tokens"] for e in episodes)
    assert (await client.get("/v1/quotas")).json()["spent_tokens"] == used
    for task in (task for task in tasks if "site" in task.body):
        while not (await client.get(f"/v1/tasks/{task.id}")).json()["learned"]:
            await asyncio.sleep(PAUSE_S)
    items = await everything(client, "/v1/memory")
    assert items
    assert len({item["text"] for item in items}) == len(items)
    for item in items:
        from_ = [evidence["episode"] for evidence in item["lineage"]["evidence"]]
        assert len(set(from_)) == len(from_)


async def everything(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        params = {"limit": 500, **({"after": after} if after else {})}
        page = (await client.get(path, params=params)).json()
        found += page["data"]
        after = page["next"]
        if after is None:
            return found
