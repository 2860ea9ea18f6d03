"""AgentGym and AgentInstruct trajectories: `conversations` of `{from, value, loss}`.

A JSON array or JSON Lines, documented at huggingface.co/datasets: AgentGym/AgentTraj-L (`item_id`) and
THUDM/AgentInstruct (`id`). `loss` says whether a turn trains: true is weight 1, false 0, null nobody knows.
The data sets hold what was good enough to train on but do not say so per record: the outcome is unknown
unless a record brings `reward` or `success`, as AgentGym's evaluation writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from memory.errors import BadInput
from memory.moving.importers.records import (
    Attempt,
    Found,
    as_list,
    as_number,
    as_object,
    as_text,
    plan,
    read_each,
    rows,
)
from memory.moving.intake import Refused
from memory.types import Json, Message, Outcome, Role

SPEAKERS: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
_ACTION = re.compile(r"(?ims)^\s*act(?:ion)?\s*:\s*(.+?)\s*\Z")


def read(data: bytes) -> Iterator[Found | Refused]:
    """One attempt a record."""
    return read_each(rows(data), _read)


def action_in(text: str) -> str:
    r"""What a turn does: the words after `Action:`, or its last line.

    >>> action_in("Thought: the fridge is near.\nAction:\nopen fridge 1")
    'open fridge 1'
    """
    found = _ACTION.search(text)
    return found.group(1) if found else text.strip().rpartition("\n")[2]


def _read(record: dict[str, Json]) -> Iterator[Attempt]:
    turns = [
        _turn(one, index) for index, one in enumerate(as_list(record.get("conversations"), "`conversations`"))
    ]
    opening = _opening(turns)
    task = turns[opening].text.strip()
    if not task:
        raise BadInput("the task is empty")
    messages = _marked(turns, opening)
    name = record.get("item_id", record.get("id"))
    name = str(name) if isinstance(name, (str, int)) else ""
    reward = as_number(record.get("reward"))
    yield Attempt(
        task,
        messages,
        plan(action_in(message.text) for message in messages if message.kind == "act"),
        name.rpartition("_")[0] or "agentgym",
        task_key=name,
        outcome=_outcome(record, reward),
        reward=reward,
    )


def _turn(value: Json, index: int) -> Message:
    turn = as_object(value, f"turn {index}")
    speaker = as_text(turn.get("from"), f"`from` of turn {index}")
    if speaker not in SPEAKERS:
        raise BadInput(f"turn {index} is from {speaker!r}, none of {', '.join(SPEAKERS)}")
    text = as_text(turn.get("value"), f"`value` of turn {index}")
    return Message(SPEAKERS[speaker], text, weight=as_number(turn.get("loss")))


def _opening(turns: Sequence[Message]) -> int:
    """Index of the turn that says the task: the user's last before the first answer that trains.

    Both data sets open with instructions and an "OK" that does not train; the task comes after them.
    """
    last = -1
    for index, turn in enumerate(turns):
        if turn.role == "user":
            last = index
        elif turn.role == "assistant" and turn.weight != 0.0 and last >= 0:
            return last
    if last < 0 or not any(turn.role == "assistant" for turn in turns):
        raise BadInput("nobody asks or nobody answers: there is no attempt in it")
    return next(index for index, turn in enumerate(turns) if turn.role == "user")


def _marked(turns: Sequence[Message], opening: int) -> tuple[Message, ...]:
    marked = []
    for index, turn in enumerate(turns):
        if index == opening:
            marked.append(replace(turn, kind="task"))
        elif index > opening and turn.role != "system":
            marked.append(replace(turn, kind="act" if turn.role == "assistant" else "observe"))
        else:
            marked.append(turn)
    return tuple(marked)


def _outcome(record: dict[str, Json], reward: float | None) -> Outcome:
    success = as_number(record.get("success"))
    if success is None:
        success = reward
    if success is None:
        return "unknown"
    return "success" if success >= 1.0 else "failure"
