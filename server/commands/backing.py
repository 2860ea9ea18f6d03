"""`apprentice backup`, `apprentice restore` and `apprentice migrate`: by the data folder, without HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from server.commands.terminal import DEFAULT_DATA, AsJson, Data, console, fail, show_json
from server.commands.waiting import bar

DATE = "%Y%m%d-%H%M%S"


def backup(
    folder: Annotated[
        Path | None, typer.Argument(help="A new folder; left out, one named by the time beside the data.")
    ] = None,
    distillations: Annotated[bool, typer.Option(help="With bundles, datasets and logs of runs.")] = False,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Copy memory, jobs, keys and adapters as they are at one moment; the server may run meanwhile."""
    from server.backing import back_up
    from server.settings import Settings

    target = folder or data.with_name(f"{data.name}-{time.strftime(DATE)}")
    with _told(), bar("back up"):
        made = back_up(Settings(data_dir=data), target, with_distillations=distillations)
    if as_json:
        show_json({"folder": str(target), **asdict(made)})
        return
    size = sum(kept.size for kept in made.files) / 2**20
    console.print(f"{len(made.files)} files, {size:.1f} MiB in {target}", highlight=False, soft_wrap=True)
    for left in made.left_out:
        console.print(f"[yellow]not in it[/yellow] {left}", highlight=False)
    console.print("It holds what opens your memory: keep it as safe as the data folder.")


def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What `backup` wrote.")],
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Check a backup and put it into a data folder that is empty or not there."""
    from server.backing import put_back

    with _told(), bar("restore"):
        back = put_back(folder, data)
    if as_json:
        show_json({"data": str(data), "at": back.at, "files": len(back.files)})
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(back.at))
    console.print(
        f"{data} is as it was at {when}; `apprentice doctor --data {data}` looks it over", soft_wrap=True
    )


def migrate(
    keep: Annotated[bool, typer.Option(help="Copy memory beside itself first.")] = True,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Bring memory to the schema of this release, with the server stopped; a start does it too."""
    from memory.store.engine import Store
    from memory.store.examined import copied, schema_of
    from memory.store.schema import HEAD
    from server.settings import Settings

    settings = Settings(data_dir=data)
    path, url, copy = settings.memory_path, settings.memory_url, None
    with _told(), bar("migrate"):
        before = schema_of(path) if url is None else None
        if keep and before is not None and before != HEAD:
            copy = path.with_name(f"{path.name}.{before}")
            copied(path, copy)
        Store.open(path if url is None else url.get_secret_value()).close()
    if as_json:
        show_json({"from": before, "to": HEAD, "copy": None if copy is None else str(copy)})
    elif before == HEAD:
        console.print(f"nothing to do: the schema is {HEAD}")
    else:
        kept = "" if copy is None else f"; as it was: {copy}"
        console.print(f"the schema is {HEAD} now{kept}", highlight=False, soft_wrap=True)


@contextmanager
def _told() -> Iterator[None]:
    from memory.errors import ApprenticeError

    try:
        yield
    except ApprenticeError as error:
        fail(str(error))
