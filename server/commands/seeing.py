"""`apprentice distillations`: what they made, to look at."""

from __future__ import annotations

import json
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
    console,
    show_json,
    show_table,
)

distillations_app = typer.Typer(help="Distillations, and what is to be seen of them.", no_args_is_help=True)


@distillations_app.command("list")
def list_distillations(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """The newest ones."""
    with connect(url, data) as client:
        page = client.get("/v1/distillations")
    if as_json:
        show_json(page)
        return
    rows = [(one["id"], one["recipe"], one["state"], _verdict(one["report"])) for one in page["data"]]
    show_table("Distillations", ("id", "recipe", "state", ""), rows, "`apprentice distill` starts one.")


@distillations_app.command("report")
def report(
    distillation_id: str,
    out: Annotated[Path, typer.Option(help="The page that is written.")] = Path("report.html"),
    rows: Annotated[int, typer.Option(help="Rows that are shown.")] = 12,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write its report as one page for a browser."""
    with connect(url, data) as client:
        out.write_text(client.text(f"/v1/distillations/{distillation_id}/report", rows=rows), "utf-8")
    if as_json:
        show_json({"written": str(out)})
        return
    console.print(f"wrote {out}")


@distillations_app.command("rows")
def rows(
    distillation_id: str,
    start: int = 0,
    n: Annotated[int, typer.Option(help="How many.")] = 3,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Rows of its dataset with their weights as colours: green trains, red is unlearned, blue is memory."""
    from distill.dataset import from_line
    from distill.seeing.terminal import coloured

    with connect(url, data) as client:
        page = client.get(f"/v1/distillations/{distillation_id}/rows", start=start, limit=n)
    if as_json:
        show_json(page)
        return
    for line in page["data"]:
        console.print(coloured(from_line(json.dumps(line))), highlight=False)
        console.print()
    console.print(f"{len(page['data'])} of {page['total']} rows")


def _verdict(report: dict[str, object] | None) -> str:
    if report is None or "promoted" not in report:
        return ""
    return "promoted" if report["promoted"] else str(report["reason"])
