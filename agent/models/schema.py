"""Answers that must have a form: JSON of a schema, or one of several choices. Pure.

Mending is local first (code fences, words around the JSON, a missing end); what cannot be mended is
told to the model with the error, at most a few times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.types import ToolSpec
from memory.errors import BadInput
from memory.types import Json

_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_CLOSES = {"{": "}", "[": "]"}


class Unreadable(ValueError):  # control flow inside this room: it becomes a repair turn or a ModelError
    """A text that has not the form that was asked for; the message says why."""


def extract_json(text: str) -> Json:
    """The first JSON value in a text: whole, fenced, behind words, or cut off before its last brackets.

    >>> extract_json('Sure! {"a": 1} Anything else?')
    {'a': 1}

    Raises Unreadable when there is none.
    """
    fenced = _FENCE.search(text)
    for candidate in (text, fenced[1]) if fenced else (text,):
        found, value = _first_value(candidate.strip())
        if found:
            return value
    raise Unreadable(f"there is no JSON in {text[:200]!r}")


def checked_json(text: str, schema: Mapping[str, Json]) -> Json:
    """The JSON value in a text, valid against the schema. Raises Unreadable with the first violation."""
    value = extract_json(text)
    violation = first_violation(value, schema)
    if violation:
        raise Unreadable(violation)
    return value


def first_violation(value: Json, schema: Mapping[str, Json]) -> str | None:
    """What is wrong with a value, in words, or None."""
    # An empty registry: without one, a reference to the outside would be fetched.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        errors = sorted(validator.iter_errors(value), key=lambda e: list(map(str, e.path)))
    except Unresolvable as error:
        return f"the schema refers to what is not there: {error}"
    if not errors:
        return None
    where = "".join(f"[{part!r}]" for part in errors[0].absolute_path) or "the value"
    return f"{where}: {errors[0].message}"


def call_fault(name: str, arguments: Json, tools: Sequence[ToolSpec]) -> str | None:
    """Why a call of these tools cannot be made, in words, or None."""
    tool = next((one for one in tools if one.name == name), None)
    if tool is None:
        return f"there is no tool {name!r}; there are: {', '.join(one.name for one in tools)}"
    if not isinstance(arguments, dict):
        return f"the arguments of {name!r} are not a JSON object"
    violation = first_violation(arguments, tool.parameters)
    return f"bad arguments for {name!r}: {violation}" if violation else None


def check_schema(schema: Mapping[str, Json]) -> None:
    """Raises BadInput when this is no JSON Schema."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise BadInput(f"not a JSON Schema: {error.message}") from error


def choice_schema(choices: Sequence[str]) -> dict[str, Json]:
    """The JSON form of a forced choice."""
    return {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(choices)}},
        "required": ["choice"],
        "additionalProperties": False,
    }


def read_choice(text: str, choices: Sequence[str]) -> int:
    """Index of the choice a text names, as JSON `{"choice": …}` or as the bare words.

    >>> read_choice('"No."', ["yes", "no"])
    1

    Raises Unreadable when it names none.
    """
    said = text
    try:
        value = extract_json(text)
    except Unreadable:
        value = None
    match value:
        case {"choice": str(named)}:
            said = named
        case str(named):
            said = named
    wanted = [_plain(choice) for choice in choices]
    if _plain(said) in wanted:
        return wanted.index(_plain(said))
    raise Unreadable(f"{said[:200]!r} is none of {list(choices)!r}")


def repair_request(error: Unreadable, schema: Mapping[str, Json] | None, choices: Sequence[str]) -> str:
    """What a model is told after an answer of the wrong form."""
    if choices:
        wanted = "Answer with exactly one of: " + " | ".join(choices)
    elif schema is not None:
        wanted = f"Answer with JSON alone that fits this schema: {json.dumps(dict(schema))}"
    else:
        wanted = "Send the tool call again with a JSON object as its arguments."
    return f"That answer cannot be used: {error}. {wanted}"


def _first_value(text: str) -> tuple[bool, Json]:
    decoder = json.JSONDecoder()
    try:
        return True, json.loads(text)
    except json.JSONDecodeError:
        pass
    begins = [i for i in (text.find("{"), text.find("[")) if i >= 0]
    if not begins:
        return False, None
    rest = text[min(begins) :]
    for candidate in (rest, rest + _missing_end(rest)):
        try:
            value, _ = decoder.raw_decode(candidate)
        except json.JSONDecodeError:
            continue
        return True, value
    return False, None


def _missing_end(text: str) -> str:
    """The quote and brackets that a cut-off JSON text lacks."""
    stack: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in _CLOSES:
            stack.append(_CLOSES[character])
        elif not quoted and stack and character == stack[-1]:
            stack.pop()
    return ('"' if quoted else "") + "".join(reversed(stack))


def _plain(text: str) -> str:
    return text.strip().strip("\"'`*. \n").casefold()
