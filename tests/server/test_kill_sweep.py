"""kill -9 again and again while tasks run: nothing acknowledged is lost, nothing recorded is done twice."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.auth import Keys
from tests.server.crowd import (
    PAUSE_S,
    Crowd,
    Death,
    calls_made_once,
    client_of,
    followed_whole,
    marks_in,
    ours_done_once,
)
from tests.server.test_crash import Victim


@dataclass
class Sweep:
    """A server that is killed, and the tasks it is asked to do."""

    victim: Victim
    crowd: Crowd
    deaths: list[Death] = field(default_factory=list)

    @property
    def marks(self) -> list[tuple[str, int]]:
        """Every call that was made, in order."""
        return marks_in(self.victim.data / "marks.txt")

    async def run(
        self, chance: random.Random, *, kills: int, calls: tuple[int, int], at_start: float = 0.0
    ) -> None:
        """Until every task is done, with at most so many kills, each at a moment of its own.

        A life lasts for some `calls` more, so that a slow machine gets on too; `at_start` is how likely
        another kill comes in the middle of the next start.
        """
        work = asyncio.ensure_future(self.crowd.run())
        for _ in range(kills):
            enough = len(self.marks) + chance.randint(*calls)
            while not work.done() and len(self.marks) < enough:
                await asyncio.wait([work], timeout=PAUSE_S)
            await asyncio.wait([work], timeout=chance.uniform(0.0, 0.3))
            if work.done():
                break
            self._kill()
            if chance.random() < at_start:
                self.victim.spawn()
                await asyncio.sleep(chance.uniform(0.5, 5.0))
                self._kill()
            await asyncio.to_thread(self.victim.start)
        await work

    def _kill(self) -> None:
        self.victim.kill()
        with closing(sqlite3.connect(self.victim.data / "jobs.db")) as connection:
            rows = connection.execute(
                "SELECT workflow_uuid, function_name FROM operation_outputs"
                " WHERE function_name LIKE 'step %' AND error IS NULL"
            ).fetchall()
        recorded = frozenset((key.split("/")[2], int(name.split()[1])) for key, name in rows)
        self.deaths.append(Death(len(self.marks), recorded))


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Victim]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    victim = Victim(tmp_path / "data", port)
    monkeypatch.setenv("MARKS", str(victim.data / "marks.txt"))
    monkeypatch.setenv("APPRENTICE_TOOLS", "tests.server.scripted_server:mark")
    monkeypatch.setenv("APPRENTICE_QUOTA_TOKENS_DAY", "1000000000")
    victim.data.mkdir()
    (victim.data / "marks.txt").touch()
    victim.start()
    yield victim
    victim.kill()


async def swept(victim: Victim, n: int, **how: Any) -> Sweep:
    """Sets and follows so many tasks while the server is killed; checks what is left."""
    _, secret = Keys(victim.data / "keys.json").create("sweep", "operator")
    async with client_of(f"http://127.0.0.1:{victim.port}", secret) as client:
        sweep = Sweep(victim, Crowd.of(client, n))
        await sweep.run(random.Random(7), **how)
        tasks = sweep.crowd.tasks
        followed_whole(tasks)
        calls_made_once(tasks, sweep.marks, sweep.deaths)
        await ours_done_once(client, tasks)
    return sweep


async def test_tasks_outlive_two_kills(victim: Victim) -> None:
    """A few tasks; the slow test below has them in crowds."""
    sweep = await swept(victim, 12, kills=2, calls=(3, 12))
    assert len(sweep.deaths) >= 2
    assert any(task.reconnects for task in sweep.crowd.tasks)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_two_hundred_tasks_outlive_a_sweep_of_kills(
    victim: Victim, capsys: pytest.CaptureFixture[str]
) -> None:
    """All submitted at once; killed also while it starts."""
    sweep = await swept(victim, 200, kills=60, calls=(0, 60), at_start=0.25)
    marks = sweep.marks
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(sweep.deaths)} kills, {len(sweep.crowd.tasks)} tasks, {len(marks)} calls of which"
            f" {len(marks) - len(set(marks))} made again because no answer was recorded,"
            f" {sum(task.reconnects for task in sweep.crowd.tasks)} reconnects,"
            f" {sum(len(task.ids) for task in sweep.crowd.tasks)} events without gap or repeat\n"
        )
    assert len(sweep.deaths) >= 10
