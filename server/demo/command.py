"""`apprentice demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.commands.terminal import console, fail


def demo(
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Sites, each with an agent of its own.")] = 4,
    tasks: Annotated[int, typer.Option(min=4, max=60, help="Tasks at each site.")] = 24,
    fast: Annotated[
        bool, typer.Option("--fast", help="Two sites, eight tasks, a short distillation.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="How memory becomes training data.")] = "internalise",
    model: Annotated[str, typer.Option(help="A `local:` model.")] = "local:tiny",
    out: Annotated[Path, typer.Option(help="Folder for everything it writes.")] = Path("demo-output"),
) -> None:
    """Show the whole loop: task it, watch it learn, export, distil, compare. Everything over HTTP."""
    from memory.errors import ApprenticeError
    from server.demo.host import Host
    from server.demo.story import Plan, tell

    plan = Plan(seeds=2 if fast else seeds, tasks=8 if fast else tasks, recipe=recipe, model=model, fast=fast)
    try:
        with Host.start(out, model=model) as host:
            tell(plan, host, out)
    except ApprenticeError as error:
        fail(str(error))
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
