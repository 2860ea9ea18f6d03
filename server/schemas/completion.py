"""Answers in OpenAI's chat format, with one field of ours: what memory did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent.types import Reply
from memory.types import Mode, ToolCall, Usage


class _Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class FunctionOut(_Out):
    """A function to call, with JSON text as arguments."""

    name: str
    arguments: str


class ToolCallOut(_Out):
    """A call the client is asked to make."""

    index: int | None = None
    id: str
    type: Literal["function"] = "function"
    function: FunctionOut


class MessageOut(_Out):
    """An answer, or a piece of one in a stream."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallOut] | None = None


class UsageOut(_Out):
    """Tokens spent."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> UsageOut:
        """From our own count."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class Choice(_Out):
    """One of `n` answers."""

    index: int
    message: MessageOut
    finish_reason: Literal["stop", "length", "tool_calls"]
    logprobs: None = None


class Recollection(_Out):
    """What memory did for this answer; a field of ours beside OpenAI's."""

    episode: str | None
    """Id to give feedback on; none where memory is `off`."""
    mode: Mode
    items: list[str]
    """Ids of the memories shown to the model."""
    constitution: str | None
    """Version of the constitution shown."""
    timing: dict[str, float]
    """Milliseconds of each stage: `recall`, `model`, `record`."""


class Completion(_Out):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageOut
    apprentice: Recollection


class ChunkChoice(_Out):
    """A piece of an answer."""

    index: int
    delta: MessageOut
    finish_reason: Literal["stop", "length", "tool_calls"] | None = None
    logprobs: None = None


class Chunk(_Out):
    """One server-sent event of a streamed completion."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageOut | None = None
    apprentice: Recollection | None = None


class ModelOut(_Out):
    """A model that can be named in requests."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str
    loaded: bool
    default: bool


class ModelList(_Out):
    """Every local model and adapter; hosted models need no listing."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


def choices_out(replies: Sequence[Reply]) -> list[Choice]:
    """Replies as OpenAI's choices."""
    return [
        Choice(
            index=index,
            message=MessageOut(
                role="assistant",
                content=reply.message.text or None,
                tool_calls=calls_out(reply.message.tool_calls),
            ),
            finish_reason="tool_calls" if reply.message.tool_calls else reply.finish,
        )
        for index, reply in enumerate(replies)
    ]


def calls_out(calls: Sequence[ToolCall], *, numbered: bool = False) -> list[ToolCallOut] | None:
    """Tool calls for the client; numbered in streams."""
    return [
        ToolCallOut(
            index=index if numbered else None,
            id=call.id,
            function=FunctionOut(name=call.name, arguments=json.dumps(call.arguments)),
        )
        for index, call in enumerate(calls)
    ] or None
