"""`apprentice constitution`: the principles in force, their versions, forms for other agents."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from server.commands.moving import unpack
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
from server.commands.waiting import counting_bytes, until_ended

constitution_app = typer.Typer(help="The principles in force, as Markdown; their versions.")
Family = Annotated[str | None, typer.Option(help="Only what holds for this site or family.")]
SHORT = 16


@constitution_app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    family: Annotated[str | None, typer.Option(help="Add what holds for this site or family.")] = None,
    version: Annotated[str | None, typer.Option(help="A frozen version instead.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="markdown, agents (an AGENTS.md) or system (a system prompt).")
    ] = "markdown",
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """The principles in force, as Markdown."""
    if context.invoked_subcommand is not None:
        return
    path = "/v1/constitution" if version is None else f"/v1/constitution/versions/{version}"
    with connect(url, data) as client:
        text = client.text(path, family=family, format="json" if as_json else form)
    if as_json:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text, "utf-8")
        console.print(f"wrote {out}")


@constitution_app.command()
def versions(
    limit: int = 20, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Every change of what is in force, newest first, and what was frozen."""
    with connect(url, data) as client:
        page = client.get("/v1/constitution/versions", limit=limit)
    if as_json:
        show_json(page)
        return
    rows = [
        (one["id"], one["change"], one["principal"], len(one["principles"]), one["family"] or "")
        for one in page["data"]
    ]
    columns = ("version", "change", "by", "principles", "frozen for")
    show_table("Versions", columns, rows, "Nothing has been in force.")


@constitution_app.command()
def diff(
    from_version: str,
    to_version: str,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What two versions have differently."""
    with connect(url, data) as client:
        named = {"from_version": from_version, "to_version": to_version}
        page = client.get("/v1/constitution/diff", **named)
    if as_json:
        show_json(page)
        return
    rows = [
        (one["item"][:SHORT], one["before"], one["after"], ", ".join(f["field"] for f in one["fields"]))
        for one in page["data"]
    ]
    show_table("Differences", ("principle", "before", "after", "fields"), rows, "They hold the same.")


@constitution_app.command()
def rollback(
    version: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Bring all principles back to how they stood at a version."""
    with connect(url, data) as client:
        done = client.post("/v1/constitution/rollback", {"version": version})
    if as_json:
        show_json(done)
        return
    console.print(
        f"{len(done['changed'])} principles changed, {len(done['retired'])} retired;"
        f" `memory restore {done['undo_seq']}` takes it back"
    )


@constitution_app.command()
def freeze(
    family: Family = None, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Keep it as it is, to be served to other agents by its version."""
    with connect(url, data) as client:
        kept = client.post("/v1/constitution/freeze", {"family": family})
    if as_json:
        show_json(kept)
        return
    console.print(f"froze {len(kept['principles'])} principles as {kept['id']}", highlight=False)


@constitution_app.command()
def build(
    sites: Annotated[
        list[str], typer.Option("--site", help="Where tasks are worked; give it several times.")
    ],
    world: Annotated[str, typer.Option(help="Where the sites are.")] = "household",
    tasks: Annotated[int, typer.Option(help="How many at each site.")] = 8,
    builder: Annotated[str, typer.Option(help="symbolic, neural or neuro-symbolic.")] = "symbolic",
    patterns: Annotated[
        list[str] | None, typer.Option("--pattern", help="What counters look for: rule, order, loop, …")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Works the tasks.")] = None,
    builder_model: Annotated[str | None, typer.Option(help="Reads what happened.")] = None,
    shared_only: Annotated[
        bool | None, typer.Option(help="Freeze only what several sites show; else by their number.")
    ] = None,
    seed: int = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let an agent work a calibration set without memory, build a constitution of it and freeze that."""
    asked = {"sites": sites, "world": world, "tasks": tasks, "builder": builder, "seed": seed}
    read = {"model": model, "builder_model": builder_model, "shared_only": shared_only}
    body = asked | read | ({"patterns": patterns} if patterns else {})
    with connect(url, data) as client:
        job = client.post("/v1/constitution/builds", body)
        job = until_ended(client, f"/v1/constitution/builds/{job['id']}", "build")
    if as_json:
        show_json(job)
        return
    _show_build(job)


def _show_build(job: dict[str, Any]) -> None:
    report = job["report"]
    if report is None:
        fail(f"the build {job['state']}: {job['error'] or 'nothing is known of it'}")
    console.print(f"{report['successes']} of {len(report['episodes'])} tasks succeeded", highlight=False)
    for reason in (*report["rejected"], *report["refused"], *filter(None, [report["error"]])):
        console.print(f"not taken: {reason}", highlight=False, markup=False)
    kept = report["version"]
    if kept is None:
        console.print("nothing was found, nothing is frozen")
    else:
        console.print(f"froze {len(kept['principles'])} principles as {kept['id']}", highlight=False)


@constitution_app.command()
def review(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Promote and demote what is due."""
    with connect(url, data) as client:
        page = client.post("/v1/constitution/review")
    if as_json:
        show_json(page)
        return
    rows = [(one["item"], one["status"], one["reason"]) for one in page["data"]]
    show_table("Review", ("principle", "now", "why"), rows, "Nothing is due.")


@constitution_app.command("export")
def export(
    folder: Path,
    family: Family = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write it as a signed bundle, for `memory import` elsewhere."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{str(folder)!r} exists and is not empty: export into a new folder")
    with TemporaryFile() as file:
        with connect(url, data) as client, counting_bytes("export") as add:
            client.download("/v1/constitution/bundle", file, add, family=family)
        signer = unpack(file, folder)
    if as_json:
        show_json({"folder": str(folder), "signer": signer})
        return
    console.print(f"wrote {folder}, signed by {signer}", highlight=False, soft_wrap=True)


@constitution_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A constitution as JSON.")],
    vouch: Annotated[bool, typer.Option(help="Stand for it: trust it as if you had written it.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Take in another memory's constitution, on trial; its signed bundle goes through `memory import`."""
    try:
        body = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        fail(f"{str(path)!r} is no JSON ({error}): write one with `constitution --json --out FILE`")
    with connect(url, data) as client:
        query = "?vouched=true" if vouch else ""
        page = client.post(f"/v1/constitution/import{query}", body)
    if as_json:
        show_json(page)
        return
    rows = [(one["id"], one["status"], one["text"]) for one in page["data"]]
    show_table("Taken in", ("id", "status", "text"), rows, "")
