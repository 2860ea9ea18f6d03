"""What `docs/upgrade.md` promises of `/v1`: routes and fields are added; none goes away.

`promised.json` is what clients may count on, by route. It only grows: add what a release brings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.server.test_docs_of_api import DOCUMENT

PROMISED: Mapping[str, Mapping[str, list[str]]] = json.loads(
    Path(__file__).with_name("promised.json").read_text("utf-8")
)


def told(route: str) -> dict[str, set[str]]:
    """Names of a route's parameters, fields of its body and of its answer, and what has to be given."""
    method, path = route.split(" ", 1)
    operation = DOCUMENT["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return {}
    parameters = operation.get("parameters", [])
    body = _fields(operation.get("requestBody", {}))
    answers = [_fields(one) for status, one in operation["responses"].items() if status.startswith("2")]
    return {
        "parameters": {one["name"] for one in parameters},
        "body": set(body.get("properties", {})),
        "answer": {name for one in answers for name in one.get("properties", {})},
        "needed": {one["name"] for one in parameters if one["required"]} | set(body.get("required", [])),
    }


def _fields(content: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = content.get("content", {}).get("application/json", {}).get("schema", {})
    # A body that may be left out is one of itself and null.
    for one in (schema, *schema.get("anyOf", [])):
        if "$ref" in one:
            found: dict[str, Any] = DOCUMENT["components"]["schemas"][one["$ref"].rpartition("/")[2]]
            return found
    return schema


def test_nothing_that_was_promised_is_gone() -> None:
    """Routes, parameters, fields of bodies and of answers."""
    gone = {
        route: {
            part: left
            for part in ("parameters", "body", "answer")
            if (left := set(was[part]) - now.get(part, set()))
        }
        for route, was in PROMISED.items()
        for now in [told(route)]
    }
    assert {route: parts for route, parts in gone.items() if parts or not told(route)} == {}


def test_nothing_more_is_asked_of_clients() -> None:
    """A request that was whole is whole."""
    more = {route: told(route).get("needed", set()) - set(was["needed"]) for route, was in PROMISED.items()}
    assert {route: names for route, names in more.items() if names} == {}
