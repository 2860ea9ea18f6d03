"""Trajectories of mini-swe-agent (`.traj.json`) and SWE-agent (`.traj`): an object a file, or JSON Lines.

Documented at mini-swe-agent.com and swe-agent.com (output files): `messages` (mini-swe-agent) or `history`
(SWE-agent), and `info` with `exit_status`, `submission` and `model_stats`. Having submitted says nothing
about being right: the outcome is unknown. Leaving at a limit is failure; any other way out, an exception's
name, is `infra`. Demonstrations that were put before the task are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from memory.errors import BadInput
from memory.moving.importers.chat import calls_in, message_of, task_of, with_task
from memory.moving.importers.records import (
    Attempt,
    Found,
    as_list,
    as_number,
    as_object,
    document,
    plan,
    read_each,
    rows,
)
from memory.moving.intake import Refused
from memory.types import Json, Message, Outcome, Usage

_TASK = re.compile(r"(?s)<pr_description>\s*(.+?)\s*</pr_description>")
_SHELL = re.compile(r"(?s)```(?:\w+)?[ \t]*\n(.*?)\n?```")
_LIMITS = re.compile(r"(?i)limit|exit_cost|exit_context|exit_format|max_?steps")


def read(data: bytes) -> Iterator[Found | Refused]:
    """One attempt a file, or a line."""
    try:
        return read_each([(1, document(data))], _read)
    except BadInput:
        return read_each(rows(data), _read)


def _read(record: dict[str, Json]) -> Iterator[Attempt]:
    told = record.get("messages", record.get("history"))
    found = [as_object(one, "a message") for one in as_list(told, "`messages` or `history`")]
    kept = [one for one in found if one.get("role") != "exit" and not one.get("is_demo")]
    messages = with_task(
        replace(message_of(one, f"call-{index}"), agent="agent") for index, one in enumerate(kept)
    )
    task = task_of(messages)
    described = _TASK.search(task)
    info = record.get("info")
    info = info if isinstance(info, dict) else {}
    status = info.get("exit_status")
    status = status if isinstance(status, str) else ""
    name = record.get("instance_id", record.get("environment"))
    outcome = _outcome(status)
    yield Attempt(
        described.group(1) if described else task,
        tuple(_marked(message) for message in messages),
        calls_in(messages) or plan(_commands(kept)),
        "swe",
        task_key=name if isinstance(name, str) and name != "swe_main" else "",
        outcome=outcome,
        error=status if outcome == "infra" else None,
        usage=_usage(info.get("model_stats")),
    )


def _commands(messages: list[dict[str, Json]]) -> Iterator[str]:
    """The command of every turn: the field SWE-agent keeps it in, or the block of code in its text."""
    for message in messages:
        if message.get("role") != "assistant":
            continue
        action, content = message.get("action"), message.get("content")
        if isinstance(action, str):
            yield action
        elif isinstance(content, str) and (block := _SHELL.search(content)):
            yield block.group(1)


def _marked(message: Message) -> Message:
    if message.role == "assistant":
        return replace(message, kind="act")
    return message if message.role == "system" or message.kind == "task" else replace(message, kind="observe")


def _outcome(status: str) -> Outcome:
    if status in {"", "Submitted"} or status.lower().startswith("submitted"):
        return "unknown"
    return "failure" if _LIMITS.search(status) else "infra"


def _usage(stats: Json) -> Usage:
    if not isinstance(stats, dict):
        return Usage()
    sent, received, calls = (
        int(as_number(stats.get(name)) or 0) for name in ("tokens_sent", "tokens_received", "api_calls")
    )
    return Usage(sent, received, as_number(stats.get("instance_cost")) or 0.0, calls)
