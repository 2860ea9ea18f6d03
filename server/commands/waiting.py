"""What is shown while one waits: a bar on the terminal, never in what other programs read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from server.client import Client

POLL_S = 0.3
Tell = Callable[..., None]
"""Takes what `Progress.update` takes of one bar: `completed`, `total`, `advance`, `note`."""


def bars(*, counts: bool = True, on: Console | None = None) -> Progress:
    """Bars with a name, a note and the time; nothing where that is no terminal.

    `on` is where lines are printed meanwhile, so that they go around the bars; else standard error.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = on or Console(stderr=True)
    name = TextColumn("{task.description}", table_column=Column(min_width=9, no_wrap=True))
    note = TextColumn("{task.fields[note]}", table_column=Column(ratio=1))
    numbers = (MofNCompleteColumn(),) if counts else ()
    columns = (name, BarColumn(bar_width=24), *numbers, note, TimeElapsedColumn())
    # What is printed to a file or a pipe must arrive there, whatever bars are on the terminal.
    return Progress(*columns, console=console, redirect_stdout=False, disable=not console.is_terminal)


@contextmanager
def bar(title: str, total: float | None = None, *, on: Console | None = None) -> Iterator[Tell]:
    """One bar; without a total it only moves. `on` as for `bars`."""
    with bars(counts=total is not None, on=on) as progress:
        here = progress.add_task(title, total=total, note="")
        yield lambda **change: progress.update(here, **change)


@contextmanager
def counting_bytes(title: str) -> Iterator[Callable[[int], None]]:
    """What to call with the bytes of each part that was moved."""
    with bar(title) as tell:
        moved = 0

        def add(n_bytes: int) -> None:
            nonlocal moved
            moved += n_bytes
            tell(note=f"{moved / 2**20:.1f} MiB")

        yield add


def until_ended(client: Client, path: str, title: str) -> dict[str, Any]:
    """Ask for a job until it has ended; those that count their parts fill the bar. Raises ApiError."""
    job: dict[str, Any] = client.get(path)
    with bar(title, job.get("total")) as tell:
        while job["ended_at"] is None:
            time.sleep(POLL_S)
            job = client.get(path)
            counts = job.get("counts", {})
            over = sum(n for state, n in counts.items() if state not in {"queued", "running"})
            tell(completed=over, note=job["state"])
    return job
