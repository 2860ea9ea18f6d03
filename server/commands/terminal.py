"""What commands share: where the server is, how answers and errors are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # imported when a command runs, so that `--help` is quick
    from server.client import Client

WIDE = 120
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
"""Wide where nobody's window limits it, as in a log."""
Url = Annotated[
    str, typer.Option("--url", envvar="APPRENTICE_URL", help="Where the server is.", show_default=True)
]
Data = Annotated[
    Path, typer.Option("--data", envvar="APPRENTICE_DATA_DIR", help="Data folder; its operator key is used.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer as it is.")]
DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_DATA = Path("data")


@contextmanager
def connect(url: str, data: Path) -> Iterator[Client]:
    """A client; errors are told in one line and end the command with status 1."""
    from memory.errors import ApprenticeError
    from server.client import Client, find_key

    try:
        with Client(url, find_key(data)) as client:
            yield client
    except ApprenticeError as error:
        fail(str(error))


def fail(message: str) -> None:
    """Tell what went wrong and leave."""
    Console(stderr=True).print(f"[red]error[/red] {message}", highlight=False)
    raise typer.Exit(1)


def show_json(value: object) -> None:
    """Print plain JSON, for other programs to read."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows, or what to do to get some."""
    if not rows:
        console.print(f"{title}: none yet. {empty}", highlight=False)
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(cell) if cell is not None else "" for cell in row))
    console.print(table)
