"""`apprentice completion`: what a shell needs to complete our commands."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Annotated[Shell, typer.Argument(help="For which shell.")]) -> None:
    """Print a script to be read by the shell: `eval "$(apprentice completion bash)"`."""
    from typer._completion_shared import get_completion_script

    typer.echo(
        get_completion_script(prog_name="apprentice", complete_var="_APPRENTICE_COMPLETE", shell=shell)
    )
