"""Tool calls from any model: read from what it wrote, checked, mended by telling it, forced where needed.

Models with native calls answer with them; the others write `Action: name {json}`, once or several times, or
what they were trained on (`<tool_call>` marks, a bare JSON object). What looks like a call and is none is
told to the model once. Where a call must be made and none comes, its tool is a forced choice, its arguments
an answer of their schema, which a local model decodes under constraint.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from agent.models.schema import Unreadable, call_fault, extract_json
from agent.models.wire import HOW
from agent.prompt import parse_action
from agent.types import Delta, Model, Reply, Request, ToolSpec
from memory.errors import ModelError
from memory.types import Json, Message, ToolCall, Usage

REPAIRS = 1
"""Times that a model is told what is wrong with its call."""
_ACTION = re.compile(r"^[ \t]*Action:[ \t]*([\w.-]+)[ \t]*", re.MULTILINE)
_MARKED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_BEGINS = ("Action:", "<tool_call>")


async def complete(model: Model, request: Request) -> tuple[Reply, ...]:
    """As the model's own `complete`, with calls in `message.tool_calls`.

    Raises what the model raises, and ModelError when a call must be made and none can be had.
    """
    if not request.tools:
        return await model.complete(request)
    replies = await model.complete(request)
    return tuple([await _mended(model, request, reply) for reply in replies])


async def stream(model: Model, request: Request) -> AsyncGenerator[Delta, None]:
    """As the model's own `stream`; a call in words is held back, and comes with the last piece.

    An answer that must be a call comes whole, since only a whole one can be checked.
    """
    if not request.tools:
        async for delta in model.stream(request):
            yield delta
        return
    if request.must_call:
        (reply,) = await complete(model, replace(request, n=1))
        yield Delta(reply=reply)
        return
    seen = sent = ""
    async for delta in model.stream(request):
        seen += delta.text
        if delta.reply is None:
            text = seen[: _safe(seen)]
            if len(text) > len(sent):
                yield Delta(text[len(sent) :])
                sent = text
            continue
        reply = await _mended(model, request, delta.reply)
        text = reply.message.text
        yield Delta(text[len(sent) :] if text.startswith(sent) else "", reply)


def read_calls(text: str, tools: Sequence[ToolSpec]) -> tuple[str, tuple[ToolCall, ...]]:
    r"""What a text says, and the calls in it. Raises Unreadable when something in it was meant as one.

    >>> add = ToolSpec("add", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
    >>> said, calls = read_calls('Two sums.\nAction: add {"a": 1}\nAction: add {"a": 2}', [add])
    >>> said, [call.arguments for call in calls]
    ('Two sums.', [{'a': 1}, {'a': 2}])
    """
    said, found = _in_actions(text)
    if not found:
        said, found = _in_json(text, tools)
    calls = tuple(
        ToolCall(f"call{index:05d}", name, _checked(name, arguments, tools))
        for index, (name, arguments) in enumerate(found)
    )
    return said.strip(), calls


async def _mended(model: Model, request: Request, reply: Reply) -> Reply:
    """The reply with its calls, after the model was told what is wrong with them."""
    spent, latest = reply.usage, reply
    for left in range(REPAIRS, -1, -1):
        try:
            message = _called(latest.message, request)
        except Unreadable as error:
            if not left or model.style == "plain":
                break
            told = f"That answer cannot be used: {error}. {HOW}"
            turns = (latest.message, Message("user", told))
            again = replace(request, messages=(*request.messages, *turns), n=1)
            (latest,) = await model.complete(again)
            spent += latest.usage
            continue
        return replace(latest, message=message, usage=spent)
    if not request.must_call:
        return replace(latest, usage=spent)
    forced = await _forced(model, request)
    return replace(forced, usage=spent + forced.usage)


def _called(message: Message, request: Request) -> Message:
    """The message with its calls read and checked. Raises Unreadable."""
    calls, said = message.tool_calls, message.text
    if not calls:
        said, calls = read_calls(said, request.tools)
    elif request.must_call:
        for call in calls:
            _checked(call.name, call.arguments, request.tools)
    if not calls:
        said, one = parse_action(message.text, request.tools)
        calls = (one,) if one is not None else ()
    if request.must_call and not calls:
        names = ", ".join(tool.name for tool in request.tools)
        raise Unreadable(f"one of these tools has to be called: {names}")
    kept = calls if request.parallel else calls[:1]
    return replace(message, content=said, tool_calls=kept) if kept else message


async def _forced(model: Model, request: Request) -> Reply:
    """A call by choice and schema. Raises ModelError when the model cannot even do that."""
    bare = replace(request, tools=(), n=1, must_call=False, schema=None)
    spent, tool = Usage(), request.tools[0]
    if len(request.tools) > 1:
        names = tuple(one.name for one in request.tools)
        (chosen,) = await model.complete(replace(bare, choices=names))
        tool, spent = request.tools[chosen.choice or 0], chosen.usage
    arguments: Json = {}
    name = model.name
    if tool.parameters.get("properties"):
        asked = Message("user", f"Answer with the arguments of {tool.name} as JSON alone.")
        form = replace(bare, messages=(*request.messages, asked), schema=tool.parameters)
        (written,) = await model.complete(form)
        spent += written.usage
        try:
            arguments = _checked(tool.name, extract_json(written.message.text), request.tools)
        except Unreadable as error:
            raise ModelError(f"{name!r} made no call that can be used: {error}") from error
    assert isinstance(arguments, dict)
    message = Message("assistant", tool_calls=(ToolCall("call00000", tool.name, arguments),))
    return Reply(message, spent, "tool_calls", name)


def _in_actions(text: str) -> tuple[str, list[tuple[str, Json]]]:
    """Lines `Action: name {json}`; the JSON may go over several lines."""
    found: list[tuple[str, Json]] = []
    said, at = "", 0
    for match in _ACTION.finditer(text):
        if match.start() < at:
            continue  # inside the arguments of the call before
        if not found:
            said = text[: match.start()]
        try:
            arguments, at = json.JSONDecoder().raw_decode(text, _next(text, match.end()))
        except ValueError as error:
            raise Unreadable(f"the arguments of {match[1]!r} are not JSON: {error}") from error
        found.append((match[1], arguments))
    return said if found else text, found


def _in_json(text: str, tools: Sequence[ToolSpec]) -> tuple[str, list[tuple[str, Json]]]:
    """Calls in `<tool_call>` marks, or a text that is one call, or a list of them, as JSON."""
    marked = _MARKED.findall(text)
    found: list[tuple[str, Json]] = []
    for one in marked or [text.strip().removeprefix("```json").strip("`").strip()]:
        try:
            value = json.loads(one)
        except ValueError as error:
            if marked:
                raise Unreadable(f"{one[:200]!r} is not JSON: {error}") from error
            return text, []
        for row in value if isinstance(value, list) else [value]:
            name = row.get("name") if isinstance(row, dict) else None
            if not marked and name not in {tool.name for tool in tools}:
                return text, []
            found.append((str(name), row.get("arguments", row.get("parameters", {})) if name else row))
    return (text[: text.find("<tool_call>")] if marked else ""), found


def _checked(name: str, arguments: Json, tools: Sequence[ToolSpec]) -> dict[str, Json]:
    fault = call_fault(name, arguments, tools)
    if fault is not None or not isinstance(arguments, dict):
        raise Unreadable(fault)
    return arguments


def _safe(text: str) -> int:
    """How much may be shown: nothing from where a call begins, or might."""
    found = [at for at in (_begin(text, mark) for mark in _BEGINS) if at >= 0]
    if text.lstrip()[:1] in {"{", "[", "`"}:
        return 0
    line = text.rfind("\n") + 1
    last = text[line:].lstrip()
    if any(mark.startswith(last) for mark in _BEGINS):
        found.append(line)
    return min(found, default=len(text))


def _next(text: str, at: int) -> int:
    """Where the next word begins."""
    return len(text) - len(text[at:].lstrip())


def _begin(text: str, mark: str) -> int:
    match = re.search(rf"^[ \t]*{re.escape(mark)}", text, re.MULTILINE)
    return match.start() if match else -1
