"""OpenAI chat logs and fine-tuning files: JSON Lines of `{"messages": […]}`, tool calls included.

Documented at platform.openai.com/docs/guides/fine-tuning. A message's `weight` of 0 or 1 is kept; `tools` are
not, for they are not the conversation's. How it ended the file does not say: the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

from memory.errors import BadInput
from memory.moving.importers.chat import calls_in, messages_of, task_of
from memory.moving.importers.records import Attempt, Found, read_each, rows
from memory.moving.intake import Refused
from memory.types import Json


def read(data: bytes) -> Iterator[Found | Refused]:
    """One attempt a line."""
    return read_each(rows(data), _read)


def _read(record: dict[str, Json]) -> Iterator[Attempt]:
    if "messages" not in record:
        raise BadInput("there are no `messages`: preference and completion files are not conversations")
    messages = messages_of(record["messages"])
    model = record.get("model")
    yield Attempt(
        task_of(messages),
        messages,
        calls_in(messages),
        "chat",
        model=model if isinstance(model, str) else "",
    )
