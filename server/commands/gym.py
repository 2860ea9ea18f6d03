"""`apprentice gym`: a world of ours for clients of AgentGym."""

from __future__ import annotations

from typing import Annotated

import typer

from server.commands.terminal import console, fail


def gym(
    world: Annotated[str, typer.Argument(help="household, workshop, estate or city.")],
    site: Annotated[str, typer.Option(help="A site's name, e.g. `maple 27`.")],
    split: Annotated[str, typer.Option(help="work, gate, family or wording.")] = "work",
    n: Annotated[int, typer.Option(min=1, help="How many of its tasks; they are numbered from 0.")] = 20,
    seed: Annotated[int, typer.Option(help="Which tasks are drawn.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 36001,
) -> None:
    """Serve a world over AgentGym's HTTP API, on this machine alone: that API knows no keys."""
    import uvicorn

    from agent.worlds.catalogue import catalogue
    from memory.errors import BadInput
    from server.gym import create_gym

    try:
        kind = catalogue(world)
        tasks = kind.tasks(site=site, split=split, n=n, seed=seed)
    except BadInput as error:
        fail(str(error))
        return
    console.print(f"{len(tasks)} tasks of {world} at http://127.0.0.1:{port}, see `/docs` there")
    uvicorn.run(create_gym(world, kind.make, tasks), host="127.0.0.1", port=port, log_level="warning")
