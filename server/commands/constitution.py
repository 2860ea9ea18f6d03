"""`apprentice constitution`: the principles in force, their versions, forms for other agents."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

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
def rollback(version: str, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Bring all principles back to how they stood at a version."""
    with connect(url, data) as client:
        done = client.post("/v1/constitution/rollback", {"version": version})
    console.print(
        f"{len(done['changed'])} principles changed, {len(done['retired'])} retired;"
        f" `memory restore {done['undo_seq']}` takes it back"
    )


@constitution_app.command()
def freeze(family: Family = None, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Keep it as it is, to be served to other agents by its version."""
    with connect(url, data) as client:
        kept = client.post("/v1/constitution/freeze", {"family": family})
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
def export(folder: Path, family: Family = None, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Write it as a signed bundle, for `memory import` elsewhere."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{str(folder)!r} exists and is not empty: export into a new folder")
    with TemporaryFile() as file:
        with connect(url, data) as client:
            client.download("/v1/constitution/bundle", file, family=family)
        signer = unpack(file, folder)
    console.print(f"wrote {folder}, signed by {signer}", highlight=False, soft_wrap=True)


@constitution_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A constitution as JSON.")],
    vouch: Annotated[bool, typer.Option(help="Stand for it: trust it as if you had written it.")] = False,
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
    rows = [(one["id"], one["status"], one["text"]) for one in page["data"]]
    show_table("Taken in", ("id", "status", "text"), rows, "")
