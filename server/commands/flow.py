"""`apprentice flow`: programs that planner `flow` follows, and how they do."""

from __future__ import annotations

from pathlib import Path
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

flow_app = typer.Typer(help="Programs that planner `flow` follows.", no_args_is_help=True)


@flow_app.command()
def improve(
    site: Annotated[str, typer.Argument(help="Where the tasks are; the flow is kept for their family.")],
    goal: Annotated[str, typer.Argument(help="What the flow is for, in words.")],
    world: Annotated[str, typer.Option(help="A world that lists tasks.")] = "household",
    first: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A program to begin with.")
    ] = None,
    tasks: Annotated[int, typer.Option(help="Programs are scored on so many.")] = 4,
    held_out: Annotated[int, typer.Option(help="So many others decide whether the best is kept.")] = 4,
    epochs: Annotated[int, typer.Option(help="Programs that are written.")] = 10,
    model: Annotated[str | None, typer.Option(help="Writes the programs and follows them.")] = None,
    seed: int = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let a model write programs and try them; keep the best if it does more on tasks held out."""
    body: dict[str, Any] = {"site": site, "goal": goal, "world": world, "model": model, "seed": seed}
    body |= {"tasks": tasks, "held_out": held_out, "epochs": epochs}
    body |= {} if first is None else {"first": first.read_text("utf-8")}
    with connect(url, data) as client:
        job = client.post("/v1/flows/improvements", body)
        job = until_ended(client, f"/v1/flows/improvements/{job['id']}", "improve")
    if as_json:
        show_json(job)
        return
    report = job["report"]
    if report is None:
        fail(f"the improvement {job['state']}: {job['error'] or 'nothing is known of it'}")
    scores = "{first_score:.2f} to {best_score:.2f}, held out {first_held_out:.2f} to {best_held_out:.2f}"
    console.print(f"{report['tried']} programs: {scores.format(**report)}", highlight=False)
    item = report["item"]
    kept = f"kept as {item}" if item else "not kept: it does no more on tasks held out"
    console.print(f"{report['program']}\n{kept}", highlight=False, markup=False)


@flow_app.command("list")
def list_flows(
    family: Annotated[str | None, typer.Option(help="Of this family alone.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Flows in force, how often they were followed, and the mean reward of that."""
    with connect(url, data) as client:
        asked = {} if family is None else {"family": family}
        page = client.get("/v1/memory", kind="flow", status="active", limit=100, **asked)
    if as_json:
        show_json(page)
        return
    rows = [
        (one["id"], one["family"], one["utility"]["n"], f"{one['utility']['q']:.2f}", one["body"]["goal"])
        for one in page["data"]
    ]
    show_table("Flows", ("id", "family", "runs", "reward", "goal"), rows, "`apprentice flow improve`.")
