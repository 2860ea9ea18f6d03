"""`apprentice memory export` and `apprentice memory import`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any

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
from server.commands.waiting import bar, counting_bytes

SHOWN = 20
"""Refused lines that are printed; `--json` has them all."""


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the bundle.")],
    vectors: Annotated[bool, typer.Option(help="With vectors; else they are made at the import.")] = True,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write the namespace as a signed bundle."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{str(folder)!r} exists and is not empty: export into a new folder")
    with TemporaryFile() as file:
        with connect(url, data) as client, counting_bytes("export") as add:
            client.download("/v1/bundle", file, add, vectors=vectors)
        signer = unpack(file, folder)
    if as_json:
        show_json({"folder": str(folder), "signer": signer})
        return
    console.print(f"wrote {folder}, signed by {signer}", highlight=False, soft_wrap=True)


def import_(
    path: Annotated[
        Path, typer.Argument(exists=True, help="A bundle's folder, or a file of another system.")
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of a file: openai, agentgym, swe-agent, tau-bench, knowagent, letta, langgraph, voyager.",
        ),
    ] = None,
    family: Annotated[str | None, typer.Option(help="The only site or family it holds for.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Of attempts the log says nothing about.")] = None,
    vouch: Annotated[bool, typer.Option(help="Stand for it: trust it as if you had written it.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Take in a bundle, or what another system recorded."""
    if path.is_file() and format_ is None:
        fail(f"{str(path)!r} is a file: say how it is written with --format")
    with connect(url, data) as client, bar("import"):
        if path.is_dir():
            with TemporaryFile() as file:
                _pack(path, file)
                report = client.upload("/v1/bundle", file, "application/x-tar", vouched=vouch)
        else:
            report = client.upload(
                "/v1/imports",
                path.read_bytes(),
                "application/jsonl",
                format=format_,
                family=family,
                outcome=outcome,
                vouched=vouch,
            )
    if as_json:
        show_json(report)
    else:
        _show(report)


def unpack(file: IO[bytes], folder: Path) -> str:
    """A bundle's tar into a folder; returns who signed it."""
    file.seek(0)
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        archive.extractall(folder, filter="data")
    return str(json.loads((folder / "manifest.json").read_text("utf-8"))["signer"])


def _pack(folder: Path, file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    file.seek(0)


def _show(report: dict[str, Any]) -> None:
    console.print(
        f"{report['added']} items and {report['episodes']} episodes are new, {report['present']} items were "
        f"there already, {report['n_refused']} lines were refused; source {report['source']}",
        highlight=False,
    )
    if report["refused"]:
        rows = [(one["file"], one["line"], one["reason"]) for one in report["refused"][:SHOWN]]
        show_table("Refused", ("file", "line", "reason"), rows, "")
