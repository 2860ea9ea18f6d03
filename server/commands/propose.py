"""`apprentice propose`: tasks that the server looks for itself."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    console,
    fail,
    show_json,
    show_table,
)
from server.commands.waiting import until_ended


def propose(
    source: Annotated[str, typer.Argument(help="`evolve_failed`, `frontier`, `from_document`, ...")],
    place: Annotated[str, typer.Argument(help="A site; for the world `tools` a family.")],
    world: Annotated[str, typer.Option(help="Where the tasks are done.")] = "household",
    n: Annotated[int, typer.Option(help="Most tasks.")] = 4,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be set, and set nothing.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Works the tasks.")] = None,
    proposer: Annotated[str | None, typer.Option(help="Writes and judges them.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let a model propose tasks by what memory holds; set those that pass, say why the others do not."""
    where = {"family" if world == "tools" else "site": place}
    body: dict[str, Any] = {"source": source, "world": world, "n": n, "dry_run": dry_run, **where}
    body |= {"model": model, "proposer": proposer}
    with connect(url, data) as client:
        job = client.post("/v1/proposals", body)
        job = until_ended(client, f"/v1/proposals/{job['id']}", "propose")
    if as_json:
        show_json(job)
        return
    report = job["report"]
    if report is None:
        fail(f"the search {job['state']}: {job['error'] or 'nothing is known of it'}")
    rows = [
        (one["task"] or "-", f"{one['p']:.2f}", f"{one['near']:.1f}", ", ".join(one["items"]), one["text"])
        for one in report["tasks"]
    ]
    show_table("Tasks", ("id", "success", "of", "made of", "text"), rows, "Nothing passed.")
    for one in report["refused"]:
        said = json.dumps(one["proposal"], ensure_ascii=False)
        console.print(f"refused {said}: {one['reason']}", highlight=False, markup=False)
    if report["imagined"]:
        console.print(f"played: {', '.join(report['imagined'])}", highlight=False, markup=False)
