"""Answers in OpenAI's responses format, with one field of ours: what memory did."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from agent.types import Reply
from memory.types import Message, ToolCall, Usage
from server.schemas.completion import Recollection
from server.schemas.responses import ResponseRequest

Status = Literal["completed", "in_progress", "incomplete"]


class _Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class TextOut(_Out):
    """Words."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[JsonValue] = []
    logprobs: list[JsonValue] = []


class MessageItemOut(_Out):
    """An answer in words."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Status = "completed"
    content: list[TextOut]


class CallItemOut(_Out):
    """A call the client is asked to make."""

    id: str
    type: Literal["function_call"] = "function_call"
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"


class CachedTokens(_Out):
    """Of what was read."""

    cached_tokens: int = 0


class ReasoningTokens(_Out):
    """Of what was written."""

    reasoning_tokens: int = 0


class ResponseUsage(_Out):
    """Tokens spent."""

    input_tokens: int
    input_tokens_details: CachedTokens = CachedTokens()
    output_tokens: int
    output_tokens_details: ReasoningTokens = ReasoningTokens()
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> ResponseUsage:
        """From our own count."""
        total = usage.prompt_tokens + usage.completion_tokens
        return cls(
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=total
        )


class Incomplete(_Out):
    """Why an answer is not whole."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseOut(_Out):
    """A response."""

    id: str
    object: Literal["response"] = "response"
    created_at: float
    status: Status = "in_progress"
    error: None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[MessageItemOut | CallItemOut] = []
    parallel_tool_calls: bool
    previous_response_id: str | None
    store: bool
    """Whether it can be retrieved; never where memory is `off`."""
    temperature: float
    text: dict[str, JsonValue]
    tool_choice: JsonValue
    tools: list[dict[str, JsonValue]]
    top_p: float = 1.0
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    apprentice: Recollection

    @classmethod
    def begun(
        cls, response: str, body: ResponseRequest, model: str, at: float, recollection: Recollection
    ) -> ResponseOut:
        """A response before its answer."""
        asked = body.model_dump(mode="json", by_alias=True, exclude_none=True)
        return cls(
            id=response,
            created_at=at,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata,
            model=model,
            parallel_tool_calls=body.parallel_tool_calls,
            previous_response_id=body.previous_response_id,
            store=body.store and recollection.episode is not None,
            temperature=body.temperature,
            text=asked["text"],
            tool_choice=asked["tool_choice"],
            tools=[{**tool, "strict": False} for tool in asked["tools"]],
            apprentice=recollection,
        )

    def ended(self, reply: Reply, usage: Usage, recollection: Recollection) -> ResponseOut:
        """The same with its answer."""
        is_cut = reply.finish == "length"
        return self.model_copy(
            update={
                "status": "incomplete" if is_cut else "completed",
                "incomplete_details": Incomplete() if is_cut else None,
                "output": output_of(self.id, reply.message),
                "usage": ResponseUsage.of(usage),
                "apprentice": recollection,
            }
        )


class ResponseDeleted(_Out):
    """It is gone; its episode stays."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


def output_of(response: str, message: Message) -> list[MessageItemOut | CallItemOut]:
    """An answer's words, then its calls."""
    said = [words_of(response, message.text)] if message.text or not message.tool_calls else []
    return [*said, *(call_of(response, n, call) for n, call in enumerate(message.tool_calls))]


def words_of(response: str, text: str) -> MessageItemOut:
    """An answer in words."""
    return MessageItemOut(id=response.replace("resp_", "msg_"), content=[TextOut(text=text)])


def call_of(response: str, number: int, call: ToolCall) -> CallItemOut:
    """A call of an answer."""
    return CallItemOut(
        id=f"{response.replace('resp_', 'fc_')}_{number}",
        call_id=call.id,
        name=call.name,
        arguments=json.dumps(call.arguments),
    )
