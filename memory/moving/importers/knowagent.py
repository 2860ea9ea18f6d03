"""KnowAgent's recorded ALFWorld runs: JSON Lines of `{name, result, traj}`.

As published with KnowAgent (github.com/zjunlp/KnowAgent). `traj` is one text with `> ` before
what the agent says; `result` says whether the task was done.
"""

from __future__ import annotations

from collections.abc import Iterator

from memory.errors import BadInput
from memory.moving.importers.records import Attempt, Found, as_number, as_text, plan, read_each, rows
from memory.moving.intake import Refused
from memory.types import Json, Message

_WORDS_ONLY = ("think:", "actionpath")
"""What begins a turn that only thinks; the world answers nothing."""


def read(data: bytes) -> Iterator[Found | Refused]:
    """One attempt a line."""
    return read_each(rows(data), _read)


def _read(record: dict[str, Json]) -> Iterator[Attempt]:
    result = as_number(record.get("result"))
    if result not in {0.0, 1.0}:
        raise BadInput("`result` is neither true nor false: not a run of ALFWorld")
    opening, *turns = as_text(record.get("traj"), "`traj`").split("\n> ")
    task = opening.rpartition("Your task is to:")[2].strip()
    messages = [Message("user", opening.strip(), kind="task")]
    thoughts: list[str] = []
    actions: list[str] = []
    for turn in turns:
        said, _, seen = turn.partition("\n")
        if said.lower().startswith(_WORDS_ONLY):
            thoughts.append(said)
            continue
        messages.append(Message("assistant", "\n".join([*thoughts, f"> {said}"]), kind="act"))
        messages.append(Message("user", seen.strip(), kind="observe"))
        actions.append(said)
        thoughts.clear()
    if not task or not actions:
        raise BadInput("there is no task, or nothing was done")
    yield Attempt(
        task,
        tuple(messages),
        plan(actions),
        "alfworld",
        task_key=as_text(record.get("name"), "`name`"),
        outcome="success" if result else "failure",
        reward=result,
    )
