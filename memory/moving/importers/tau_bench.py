"""tau-bench results: a JSON array of `{task_id, trial, reward, info, traj}`, `traj` in OpenAI's form.

As the program writes them (github.com/sierra-research/tau-bench, `run.py`). A reward of 1 is success, any
other failure. The instruction in `info` is the simulated user's secret: its hash alone is used, to tell
tasks apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from memory.codec import canonical
from memory.errors import BadInput
from memory.moving.importers.chat import calls_in, messages_of, task_of
from memory.moving.importers.records import Attempt, Found, as_number, read_each, rows
from memory.moving.intake import Refused
from memory.types import Json


def read(data: bytes) -> Iterator[Found | Refused]:
    """One attempt an element."""
    return read_each(rows(data), _read)


def _read(record: dict[str, Json]) -> Iterator[Attempt]:
    reward = as_number(record.get("reward"))
    if reward is None:
        raise BadInput("there is no `reward`: not a result of tau-bench")
    messages = messages_of(record.get("traj"))
    yield Attempt(
        task_of(messages),
        messages,
        calls_in(messages),
        "tau-bench",
        task_key=_task_key(record),
        trial=str(record.get("trial", "")),
        outcome="success" if reward == 1.0 else "failure",
        reward=reward,
    )


def _task_key(record: dict[str, Json]) -> str:
    info = record.get("info")
    task = info.get("task") if isinstance(info, dict) else None
    said = task.get("instruction") if isinstance(task, dict) else None
    return sha256(canonical([record.get("task_id"), said]).encode()).hexdigest()[:16]
