"""Messages to OpenAI's chat format and back. Pure; what foreign JSON may hold is checked here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent.models.schema import Unreadable, extract_json
from agent.types import ToolSpec
from memory.types import Image, Json, Message, Text, ToolCall

HOW = 'To call tools write for each a line of its own: Action: tool_name {"argument": "value"}'
"""How a model without native calls makes one."""


def to_wire(messages: Sequence[Message], *, native_tools: bool) -> list[dict[str, Json]]:
    """OpenAI chat messages.

    Without native tools, calls stay in the text that made them and results become user messages, so
    that servers which know no tools can follow. A result that answers no call is a user message too.
    """
    known: set[str] = set()
    wire: list[dict[str, Json]] = []
    seen: list[Json] = []
    for message in messages:
        if seen and message.role != "tool":
            wire.append({"role": "user", "content": seen})
            seen = []
        if message.role == "tool":
            seen += _pictures(message)
        if native_tools:
            known.update(call.id for call in message.tool_calls)
        answers_call = message.role == "tool" and message.tool_call_id in known
        if message.role == "tool" and not answers_call:
            wire.append({"role": "user", "content": f"Observation: {message.text}"})
            continue
        content: Json = message.text if answers_call else _content(message)
        entry: dict[str, Json] = {"role": message.role, "content": content}
        if answers_call:
            entry["tool_call_id"] = message.tool_call_id
        if native_tools and message.tool_calls:
            entry["tool_calls"] = [_call(call) for call in message.tool_calls]
        elif message.tool_calls and not message.text:
            entry["content"] = "\n".join(_spoken(call) for call in message.tool_calls)
        wire.append(entry)
    if seen:
        wire.append({"role": "user", "content": seen})
    return wire


def tools_to_wire(tools: Sequence[ToolSpec]) -> list[dict[str, Json]]:
    """OpenAI tool definitions."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in tools
    ]


def describe_tools(tools: Sequence[ToolSpec]) -> str:
    """The tools in words, for models without native tool calls."""
    lines = [f"- {tool.name}: {tool.description} {json.dumps(dict(tool.parameters))}" for tool in tools]
    return "\n".join(["Tools, each with the JSON Schema of its arguments:", *lines, HOW])


def calls_from_wire(calls: Sequence[Mapping[str, object]]) -> tuple[ToolCall, ...]:
    """Tool calls of an answer. Raises Unreadable when the arguments are no JSON object."""
    return tuple(_parse_call(call, index) for index, call in enumerate(calls))


def _content(message: Message) -> Json:
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _pictures(message: Message) -> list[Json]:
    """Of an answer of a tool: the format has no place for them there, so they follow what is answered."""
    parts = () if isinstance(message.content, str) else message.content
    pictures: list[Json] = [_part(part) for part in parts if isinstance(part, Image)]
    return [{"type": "text", "text": "What the tools above showed:"}, *pictures] if pictures else []


def _part(part: Text | Image) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.is_named:
        return {"type": "text", "text": "[a picture that was shown here and not kept]"}
    return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}


def _call(call: ToolCall) -> Json:
    arguments = json.dumps(call.arguments, sort_keys=True)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _spoken(call: ToolCall) -> str:
    return f"Action: {call.name} {json.dumps(call.arguments, sort_keys=True)}"


def _parse_call(call: Mapping[str, object], index: int) -> ToolCall:
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Unreadable("a tool call names no function")
    name, raw = str(function["name"]), function.get("arguments") or "{}"
    arguments = raw if isinstance(raw, dict) else extract_json(str(raw))
    if not isinstance(arguments, dict):
        raise Unreadable(f"the arguments of {name!r} are not a JSON object: {raw!r}")
    return ToolCall(str(call.get("id") or f"call{index:05d}"), name, arguments)
