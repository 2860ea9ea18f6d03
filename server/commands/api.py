"""`apprentice api`: whatever the server can do, also what no command of its own does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    fail,
    show_json,
    show_table,
)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def api(
    method: Annotated[str | None, typer.Argument(help="GET, POST, PUT, PATCH or DELETE.")] = None,
    path: Annotated[str | None, typer.Argument(help="From /v1 on; the version may be left out.")] = None,
    body: Annotated[
        str | None, typer.Option("--body", "-b", help="JSON, @FILE that holds it, or - for standard input.")
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option("--query", "-q", help="NAME=VALUE; several times.")
    ] = None,
    find: Annotated[str, typer.Option(help="Only operations with this in their path or summary.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Call any operation; without a path list them. Events are printed as they come."""
    with connect(url, data) as client:
        if method is None or path is None:
            if method is not None:
                fail(f"{method} of what? Give a path; `apprentice api` lists them")
            _list(client.get("/openapi.json"), find.lower(), as_json=as_json)
            return
        if method.upper() not in METHODS:
            fail(f"there is no method {method!r}: one of {', '.join(METHODS)}")
        for line in client.ask(method.upper(), _whole(path), _content(body), _pairs(query or [])):
            typer.echo(line)


def _list(document: dict[str, dict[str, dict[str, dict[str, str]]]], find: str, *, as_json: bool) -> None:
    rows = [
        (method.upper(), path, operation.get("summary", ""))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if find in f"{path} {operation.get('summary', '')}".lower()
    ]
    if as_json:
        show_json([dict(zip(("method", "path", "summary"), row, strict=True)) for row in rows])
        return
    show_table("Operations", ("method", "path", "what"), rows, "No path or summary has that in it.")


def _whole(path: str) -> str:
    path = f"/{path.lstrip('/')}"
    return (
        path
        if path.startswith(("/v1/", "/health/")) or path in {"/metrics", "/openapi.json"}
        else f"/v1{path}"
    )


def _content(body: str | None) -> bytes | None:
    if body is None:
        return None
    if body == "-":
        text = sys.stdin.read()
    elif body.startswith("@"):
        try:
            text = Path(body[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{body[1:]!r} cannot be read: {error}")
    else:
        text = body
    try:
        json.loads(text)
    except ValueError as error:
        fail(f"the body is not JSON: {error}")
    return text.encode()


def _pairs(given: list[str]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            fail(f"--query {one!r} has no value: NAME=VALUE")
    return dict(one.split("=", 1) for one in given)
