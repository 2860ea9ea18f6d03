"""Answers of a form from a model that was never taught one: written, mended, asked again, at last chosen.

What is written is searched for JSON; what does not fit is told to the model once. A form of nothing but
choices is then answered field by field, by likelihood; any other is an error that says why.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from agent.models.schema import Unreadable, checked_json, repair_request
from agent.types import Reply, Request, ToolSpec
from memory.errors import BadInput, ModelError
from memory.types import Json, Message, Usage

Ask = Callable[[Request], Awaitable[Reply]]
"""One answer to a request: of its choices where it has any, else as it comes."""


async def in_form(request: Request, ask: Ask) -> Reply:
    """An answer that satisfies the request's schema. Raises ModelError when none can be had."""
    schema = request.schema or {}
    if options := options_of(schema):
        chosen = await ask(replace(request, schema=None, choices=options))
        return replace(chosen, choice=None)
    free = replace(request, schema=None)
    reply = await ask(free)
    try:
        return _read(reply, schema)
    except Unreadable as error:
        fault, spent = error, reply.usage
    told = Message("user", repair_request(fault, schema, ()))
    try:
        again = await ask(replace(free, messages=(*request.messages, reply.message, told)))
        spent += again.usage
        return replace(_read(again, schema), usage=spent)
    except BadInput:  # the two do not fit into its context
        pass
    except Unreadable as error:
        fault = error
    fields = _fields(schema)
    if fields is None:
        raise ModelError(f"the answer {reply.message.text[:80]!r} does not satisfy the schema: {fault}")
    return await _chosen(free, fields, ask, spent)


def options_of(schema: Mapping[str, Json]) -> tuple[str, ...] | None:
    """The values of a schema that leaves a choice, as JSON; None for any other.

    >>> options_of({"enum": ["mug", 2]}), options_of({"type": "boolean"}), options_of({"type": "string"})
    (('"mug"', '2'), ('true', 'false'), None)
    """
    match schema:
        case {"enum": list(values)}:
            return tuple(json.dumps(value) for value in values)
        case {"const": value}:
            return (json.dumps(value),)
        case {"type": "boolean"}:
            return ("true", "false")
    return None


def acts_of(tools: Sequence[ToolSpec]) -> tuple[str, ...]:
    """What may be done with the only tool, as a model writes it; nothing where it does not list that.

    >>> kinds = {"type": "object", "properties": {"command": {"enum": ["look", "go to desk 1"]}}}
    >>> acts_of([ToolSpec("act", "", {**kinds, "required": ["command"]})])[0]
    'Action: act {"command": "look"}'
    """
    fields = _fields(tools[0].parameters) if len(tools) == 1 else None
    if fields is None or len(fields) != 1:
        return ()
    ((name, values),) = fields.items()
    return tuple(f'Action: {tools[0].name} {{"{name}": {value}}}' for value in values)


def _fields(schema: Mapping[str, Json]) -> dict[str, tuple[str, ...]] | None:
    """The options of every field that an object must have; None where one is to be put into words."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list) or not required:
        return None
    fields: dict[str, tuple[str, ...]] = {}
    for name in required:
        one = properties.get(str(name))
        options = options_of(one) if isinstance(one, dict) else None
        if options is None:
            return None
        fields[str(name)] = options
    return fields


async def _chosen(request: Request, fields: Mapping[str, tuple[str, ...]], ask: Ask, spent: Usage) -> Reply:
    """An object of the most likely values, each field asked for by its name."""
    values: dict[str, Json] = {}
    reply = Reply(Message("assistant"))
    for name, options in fields.items():
        asked = Message("user", f"{name}: {' or '.join(options)}?")
        reply = await ask(replace(request, messages=(*request.messages, asked), choices=options))
        spent += reply.usage
        values[name] = json.loads(reply.message.text)
    said = Message("assistant", json.dumps(values, ensure_ascii=False))
    return replace(reply, message=said, usage=spent, choice=None)


def _read(reply: Reply, schema: Mapping[str, Json]) -> Reply:
    """The reply as JSON alone. Raises Unreadable."""
    value = checked_json(reply.message.text, schema)
    text = json.dumps(value, ensure_ascii=False)
    return replace(reply, message=replace(reply.message, content=text))
