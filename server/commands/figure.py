"""`apprentice figure`: a table drawn by a model's program, before a panel of critics."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)

if TYPE_CHECKING:
    from agent.types import Reply, Request
    from server.client import Client

Columns = dict[str, tuple[float | str, ...]]


def figure(
    table: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Numbers, as CSV with a head.")],
    request: Annotated[str, typer.Argument(help="What the figure is to show, in words.")],
    out: Annotated[Path, typer.Option(help="Where the program is written.")] = Path("figure.py"),
    rounds: Annotated[int, typer.Option(min=0, help="Most repairs.")] = 6,
    model: Annotated[str | None, typer.Option(help="Model name; it must write JSON.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run the model's programs without asking.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Draw a table: numbers, words and looks of each try are read off the figure and sent back if wrong.

    The model's programs run on this machine with limits of time and memory, not behind walls.
    """
    from agent.deliberate.panel import Panel
    from agent.deliberate.running import Limited, code_of
    from agent.types import Request
    from memory.errors import BadInput
    from memory.types import Message

    try:
        columns = read_table(table)
    except BadInput as error:
        fail(str(error))
    if not yes:
        typer.confirm("Run programs that a model writes, on this machine and not behind walls?", abort=True)
    with connect(url, data) as client:

        async def ask(asked: Request) -> tuple[Reply, ...]:
            return (await asyncio.to_thread(_said, client, asked, model),)

        panel = Panel(Limited(seconds=60.0, cpu_s=30, packages=True), columns, rounds=rounds)
        found = asyncio.run(panel.on(Request((Message("user", request),)), ask))
    best = found.chosen[0] if found.chosen else found.rounds[-1][0]
    out.write_text(
        f"table = { {name: list(one) for name, one in columns.items()}!r}\n{code_of(best.text)}", "utf-8"
    )
    faults = [f"{one.critic}: {one.judgement.feedback}" for one in best.faults]
    if as_json:
        show_json({"program": str(out), "tries": len(found.rounds), "ok": best.ok, "faults": faults})
    else:
        console.print(f"{len(found.rounds)} tries, the program is in {out}", highlight=False)
    if best.ok is not True:
        fail(f"the panel still objects: {'; '.join(faults)}")


def read_table(path: Path) -> Columns:
    """Columns of a CSV file by name: numbers where all of a column are. Raises BadInput on ragged rows."""
    from memory.errors import BadInput

    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = [row for row in csv.reader(file) if row] or [[]]
    if not head or not rows or len(set(head)) < len(head) or any(len(row) != len(head) for row in rows):
        raise BadInput(f"{str(path)!r} is no table: give a head of different names and rows as long as it")
    return {name: _column([row[at] for row in rows]) for at, name in enumerate(head)}


def _column(cells: list[str]) -> tuple[float | str, ...]:
    try:
        return tuple(map(float, cells))
    except ValueError:
        return tuple(cells)


def _said(client: Client, asked: Request, model: str | None) -> Reply:
    """What the server's model says, without memory."""
    from agent.types import Reply
    from memory.types import Message

    messages = [{"role": one.role, "content": one.text} for one in asked.messages]
    body: dict[str, Any] = {"messages": messages, "model": model}
    if asked.schema is not None:
        form = {"name": "answer", "schema": dict(asked.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    answer = client.post("/v1/chat/completions", body, {"X-Apprentice-Memory": "off"})
    return Reply(Message("assistant", answer["choices"][0]["message"].get("content") or ""))
