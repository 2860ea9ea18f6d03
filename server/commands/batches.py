"""`apprentice batches follow`: many tasks at once; the other commands of batches are in `wired`."""

from __future__ import annotations

import typer

from server.commands.terminal import DEFAULT_DATA, DEFAULT_URL, AsJson, Data, Url, connect, console, show_json
from server.commands.waiting import until_ended

batches_app = typer.Typer(help="Many tasks at once.", no_args_is_help=True)


@batches_app.command()
def follow(batch_id: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Wait until every task of a batch has ended."""
    with connect(url, data) as client:
        batch = until_ended(client, f"/v1/batches/{batch_id}", "batch")
    if as_json:
        show_json(batch)
        return
    counts = ", ".join(f"{n} {state}" for state, n in batch["counts"].items())
    console.print(f"{batch['id']}: {batch['state']}, {counts}", highlight=False)
