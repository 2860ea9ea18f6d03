"""`apprentice memory`: looking at, searching and changing what is remembered."""

from __future__ import annotations

from typing import Annotated

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    console,
    show_json,
    show_table,
)

memory_app = typer.Typer(help="Look at, search and change what is remembered.", no_args_is_help=True)


@memory_app.command("list")
def list_items(
    kind: Annotated[str | None, typer.Option(help="case, principle, procedure, …")] = None,
    limit: int = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What is remembered."""
    with connect(url, data) as client:
        page = client.get("/v1/memory", kind=kind, limit=limit)
    if as_json:
        show_json(page)
        return
    rows = [(i["id"], i["kind"], i["status"], i["version"], i["text"]) for i in page["data"]]
    show_table("Memory", ("id", "kind", "status", "version", "text"), rows, "Run a task, or `memory add`.")


@memory_app.command("search")
def search(
    query: str,
    k: int = 4,
    explain: Annotated[bool, typer.Option(help="Show every candidate and its fate.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What would be recalled, and why."""
    with connect(url, data) as client:
        found = client.post("/v1/memory/search", {"query": query, "k": k, "explain": explain})
    if as_json:
        show_json(found)
        return
    hits = found["candidates"] if explain else found["hits"]
    rows = [
        (hit["fate"], f"{hit['score']['total']:.3f}", _rounded(hit["score"]["dense"]), hit["item"]["text"])
        for hit in hits
    ]
    show_table("Recall", ("fate", "score", "dense", "text"), rows, "Nothing is near enough.")


@memory_app.command("add")
def add(
    text: str,
    kind: Annotated[str, typer.Option(help="tool_note, principle, procedure, profile, …")] = "tool_note",
    family: Annotated[str | None, typer.Option(help="Only for this site or family.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Remember something yourself."""
    with connect(url, data) as client:
        page = client.post("/v1/memory", {"items": [{"kind": kind, "text": text, "family": family}]})
    if as_json:
        show_json(page["data"][0])
        return
    console.print(f"remembered {page['data'][0]['id']}")


@memory_app.command("show")
def show(item_id: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """One item and its history."""
    with connect(url, data) as client:
        item = client.get(f"/v1/memory/{item_id}")
        history = client.get(f"/v1/memory/{item_id}/history")["data"]
    if as_json:
        show_json({"item": item, "history": history})
        return
    show_json(item)
    rows = [(entry["seq"], entry["op"], entry["principal"], entry["version"]) for entry in history]
    show_table("History", ("seq", "change", "by", "version"), rows, "")


@memory_app.command("edit")
def edit(
    item_id: str, text: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Give an item another text; the old one stays in its history."""
    with connect(url, data) as client:
        item = client.patch(f"/v1/memory/{item_id}", {"text": text})
    if as_json:
        show_json(item)
        return
    console.print(f"{item['id']} is at version {item['version']}")


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
