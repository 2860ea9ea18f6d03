"""Messages in OpenAI's chat form, which most logs are written in.

Documented at platform.openai.com/docs/api-reference/chat: role, content (text or parts), tool_calls,
tool_call_id; `function_call` is the older form of one call. `weight` (0 or 1) is that of fine-tuning files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from memory.codec import canonical
from memory.errors import BadInput
from memory.moving.importers.records import as_list, as_number, as_object, as_text, plan
from memory.types import Image, Json, Kind, Message, Role, Text, ToolCall

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})


def messages_of(value: Json) -> tuple[Message, ...]:
    """A whole conversation; the first words of the user are the task. Raises BadInput naming the message."""
    found: list[Message] = []
    for index, one in enumerate(as_list(value, "the conversation")):
        try:
            found.append(message_of(as_object(one, "the message"), f"call-{index}"))
        except BadInput as error:
            raise BadInput(f"message {index}: {error}") from error
    if not any(message.role == "assistant" for message in found):
        raise BadInput("nobody answers: there is no assistant message")
    return with_task(found)


def message_of(data: dict[str, Json], call_id: str) -> Message:
    """One message; `call_id` names calls that have no id of their own. Raises BadInput."""
    name = as_text(data.get("role"), "`role`")
    if name not in ROLES:
        raise BadInput(f"the role {name!r} is none of {', '.join(ROLES)}")
    role = ROLES[name]
    calls = _calls(data, call_id)
    answered = data.get("tool_call_id")
    if answered is None and isinstance(ids := data.get("tool_call_ids"), list) and ids:
        answered = ids[0]
    return Message(
        role,
        _content(data.get("content"), data.get("refusal")),
        kind=_kind(role, bool(calls)),
        tool_calls=calls,
        tool_call_id=answered if isinstance(answered, str) else None,
        weight=as_number(data.get("weight")),
    )


def with_task(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages with the user's first one marked as the task."""
    found = list(messages)
    for index, message in enumerate(found):
        if message.role == "user":
            found[index] = _as(message, "task")
            break
    return tuple(found)


def task_of(messages: Iterable[Message]) -> str:
    """The words of the task. Raises BadInput when there are none; a system prompt is not asked."""
    text = next((message.text.strip() for message in messages if message.kind == "task"), "")
    if not text:
        raise BadInput("the user says nothing: there is no task")
    return text


def calls_in(messages: Iterable[Message]) -> tuple[str, ...]:
    """Tool calls in order, as `name(arguments)`.

    >>> calls_in([Message("assistant", tool_calls=(ToolCall("1", "open", {"path": "a.py"}),))])
    ('open({"path":"a.py"})',)
    """
    return plan(
        f"{call.name}({canonical(call.arguments) if call.arguments else ''})"
        for message in messages
        for call in message.tool_calls
    )


def _as(message: Message, kind: Kind) -> Message:
    return Message(message.role, message.content, kind=kind, weight=message.weight)


def _kind(role: Role, has_calls: bool) -> Kind | None:
    if role == "tool":
        return "observe"
    if role == "assistant":
        return "act" if has_calls else "answer"
    return None


def _content(value: Json, refusal: Json) -> str | tuple[Text | Image, ...]:
    if value is None:
        return refusal if isinstance(refusal, str) else ""
    if isinstance(value, str):
        return value
    parts = [_part(as_object(part, "a part")) for part in as_list(value, "`content`")]
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return tuple(parts)


def _part(data: dict[str, Json]) -> Text | Image:
    kind = data.get("type")
    if kind in TEXT_PARTS:
        return Text(as_text(data.get("refusal" if kind == "refusal" else "text"), "the text of a part"))
    if kind == "image_url":
        image = as_object(data.get("image_url"), "`image_url`")
        detail = image.get("detail")
        url = as_text(image.get("url"), "the url of an image")
        return Image(url, "low" if detail == "low" else "high" if detail == "high" else "auto")
    raise BadInput(f"a part of type {kind!r} cannot be kept: only text and images can")


def _calls(data: dict[str, Json], call_id: str) -> tuple[ToolCall, ...]:
    calls = [
        _call(as_object(one, "a tool call"), call_id) for one in as_list(data.get("tool_calls") or [], "")
    ]
    if isinstance(old := data.get("function_call"), dict):
        calls.append(_call({"id": call_id, "function": old}, call_id))
    return tuple(calls)


def _call(data: dict[str, Json], call_id: str) -> ToolCall:
    what = as_object(data.get("function") or data.get("custom"), "the function of a tool call")
    name = as_text(what.get("name"), "the name of a tool call")
    id_ = data.get("id")
    return ToolCall(
        id_ if isinstance(id_, str) else call_id, name, _arguments(what.get("arguments", what.get("input")))
    )


def _arguments(value: Json) -> dict[str, Json]:
    """Arguments as an object; what is none is kept under `input`."""
    if isinstance(value, dict):
        return value
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            return {"input": value}
        return read if isinstance(read, dict) else {"input": value}
    return {"input": value}
