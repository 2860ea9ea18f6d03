"""`apprentice memory forget`, `revoke`, `erase`, `restore`, `diff`, `consolidate`."""

from __future__ import annotations

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
    show_json,
    show_table,
)
from server.commands.waiting import until_ended

Kind = Annotated[str, typer.Option(help="item, episode, principal, source or namespace.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be touched.")]


def forget(
    name: Annotated[str, typer.Argument(help="Id of the item or episode; name of the principal, …")],
    kind: Kind = "item",
    cascade: Annotated[
        bool, typer.Option(help="Also what was made of an item; always so for others.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Recall it no more; what rests on it alone goes too."""
    with connect(url, data) as client:
        if kind == "item" and not cascade and not dry_run:
            gone = client.delete(f"/v1/memory/{name}")
            if as_json:
                show_json(gone)
            else:
                console.print(gone["status"])
            return
        body = {"kind": kind, "id": name, "dry_run": dry_run}
        _show(client.post("/v1/memory/forget", body), as_json=as_json)


def revoke(
    source: str,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Take back a source: what came from it, and what was learned under its eyes."""
    with connect(url, data) as client:
        found = client.post("/v1/memory/revoke", {"source": source, "dry_run": dry_run})
    _show(found, as_json=as_json)


def erase(
    name: str,
    kind: Kind = "item",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Remove every word of it, for good."""
    if not yes:
        typer.confirm(
            f"Erase the {kind} {name!r} and all that rests on it alone? This cannot be undone", abort=True
        )
    with connect(url, data) as client:
        found = client.post("/v1/memory/erase", {"kind": kind, "id": name})
    _show(found, as_json=as_json)
    if not as_json:
        gone, left = found["erased"], sum(found["erased"]["remains"].values())
        console.print(
            f"erased {len(gone['items'])} items and {len(gone['episodes'])} episodes; a search finds {left}"
        )


def restore(
    seq: Annotated[int, typer.Argument(help="Log position whose state shall hold again.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Bring all items back to how they stood."""
    with connect(url, data) as client:
        done = client.post("/v1/memory/restore", {"seq": seq})
    if as_json:
        show_json(done)
        return
    console.print(
        f"{len(done['changed'])} items changed, {len(done['retired'])} retired;"
        f" `memory restore {done['undo_seq']}` takes it back"
    )


def diff(
    item_id: str,
    from_version: int,
    to_version: int,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What two versions of an item say differently."""
    with connect(url, data) as client:
        versions = {"from_version": from_version, "to_version": to_version}
        changes = client.get(f"/v1/memory/{item_id}/diff", **versions)["data"]
    if as_json:
        show_json(changes)
        return
    rows = [(one["field"], one["before"], one["after"]) for one in changes]
    show_table("Differences", ("field", "before", "after"), rows, "They say the same.")


def consolidate(
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Merge near-duplicates, draw procedures from cases, archive what is of no use."""
    with connect(url, data) as client:
        job = client.post("/v1/memory/consolidations", {"dry_run": dry_run})
        job = until_ended(client, f"/v1/memory/consolidations/{job['id']}", "put in order")
    if as_json:
        show_json(job)
        return
    if job["report"] is None:
        console.print(f"{job['state']}: {job['error'] or ''}")
        raise typer.Exit(1)
    rows = [(s["action"], len(s["items"]), s["reason"], s["skipped"] or "") for s in job["report"]["steps"]]
    show_table("Consolidation", ("action", "items", "reason", "skipped"), rows, "Nothing to do.")


def _show(found: Any, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    cascade = found["cascade"]
    rows = [(one["fate"], "item", one["item"]) for one in cascade["items"]]
    rows += [("forgotten", "episode", one) for one in cascade["episodes"]]
    rows += [("touched", "dataset", one) for one in found["datasets"]]
    rows += [("blocked", "adapter", one) for one in found["adapters"]]
    rows += [("begun", "distillation", one) for one in found["rebuilds"]]
    show_table("Would be touched" if found["dry_run"] else "Touched", ("fate", "what", "id"), rows, "")
