"""Letta agent files (`.af`): one JSON object, in the present form and the one before.

Documented at github.com/letta-ai/agent-file; the present form has `agents`, `blocks`, `tools` (schema
`AgentFileSchema` in letta/schemas/agent_file.py), the one before is one agent with `core_memory` and
`messages`. Blocks of core memory become profile items, the messages of an agent one attempt whose outcome
nobody says. System prompts, tools and environment variables stay behind; archival passages are not in the
format.
"""

from __future__ import annotations

from collections.abc import Iterator

from memory.errors import BadInput
from memory.moving.importers.chat import ROLES, calls_in, message_of, task_of, with_task
from memory.moving.importers.records import (
    Attempt,
    Found,
    Thing,
    as_list,
    as_object,
    as_text,
    document,
    read_each,
)
from memory.moving.intake import Refused
from memory.types import Draft, Json, NoteBody


def read(data: bytes) -> Iterator[Found | Refused]:
    """Blocks and agents, numbered in that order. Raises BadInput when it is no agent file."""
    file = as_object(document(data), "an agent file")
    if "agents" in file:
        blocks, agents = as_list(file.get("blocks") or [], "`blocks`"), as_list(file["agents"], "`agents`")
    elif "core_memory" in file:
        blocks, agents = as_list(file["core_memory"], "`core_memory`"), [file]
    else:
        raise BadInput("there are neither `agents` nor `core_memory`: not an agent file")
    nested = [block for agent in agents if isinstance(agent, dict) for block in _nested(agent)]
    found: list[Json] = [*blocks, *nested]
    yield from read_each(enumerate(found, 1), _block)
    yield from read_each(enumerate(agents, len(found) + 1), _agent)


def _nested(agent: dict[str, Json]) -> list[Json]:
    return as_list(agent.get("memory_blocks") or [], "`memory_blocks`")


def _block(block: dict[str, Json]) -> Iterator[Thing]:
    label, value = as_text(block.get("label"), "`label`"), as_text(block.get("value"), "`value`").strip()
    if value:
        yield Draft("profile", f"{label}: {value}", NoteBody(label, value))


def _agent(agent: dict[str, Json]) -> Iterator[Thing]:
    told = [as_object(one, "a message") for one in as_list(agent.get("messages") or [], "`messages`")]
    messages = with_task(
        message_of(_plain(one), f"call-{index}")
        for index, one in enumerate(told)
        if one.get("role") in ROLES and one.get("role") != "system"
    )
    if any(message.kind == "task" for message in messages):
        model = agent.get("llm_config")
        name = model.get("model") if isinstance(model, dict) else None
        yield Attempt(
            task_of(messages),
            messages,
            calls_in(messages),
            "letta",
            model=name if isinstance(name, str) else "",
        )


def _plain(message: dict[str, Json]) -> dict[str, Json]:
    """The message with the parts of its content that are text; reasoning and signatures stay behind."""
    content = message.get("content")
    if isinstance(content, list):
        content = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return message | {"content": content}
