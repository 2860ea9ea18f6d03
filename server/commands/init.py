"""`apprentice init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.commands.terminal import console, fail


def init(
    path: Annotated[Path, typer.Argument(help="The file; this name is found by itself.")] = Path(
        "apprentice.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a settings file in which everything stands with its meaning and default, commented out."""
    from server.settings import Settings
    from server.settings_file import DEFAULT, VARIABLE, commented

    if path.exists() and not force:
        fail(f"{str(path)!r} is there already; --force writes over it")
    try:
        path.write_text(commented(Settings), encoding="utf-8")
    except OSError as error:
        fail(f"{str(path)!r} cannot be written: {error}")
    how = "" if path == DEFAULT else f"{VARIABLE}={path} "
    console.print(f"wrote {path}; go on with `{how}apprentice serve`", highlight=False, soft_wrap=True)
