"""`apprentice serve` and `apprentice settings`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.terminal import AsJson, console, fail, show_json, show_table


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of everything that must survive.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of tasks and chats that name none.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve the API. Other settings are environment variables, see `apprentice settings`."""
    # Before torch is imported: several threads an operation slow small models down on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import uvicorn

    from memory.errors import ApprenticeError
    from server import logs
    from server.app import create_app
    from server.settings import Settings
    from server.wiring import build, first_key

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data,
        "model": model,
        "log_level": log_level,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        logs.install(settings.log_format, settings.log_level)
        services = build(settings)
        made = first_key(settings, services.keys)
    except (ApprenticeError, ValueError) as error:
        fail(str(error))
        return
    if made is not None:
        console.print(f"made a first operator key for namespace 'default'; its secret is in {made}")
    uvicorn.run(
        create_app(services),
        host=settings.host,
        port=settings.port,
        # Its lines are taken by ours; each request has one already.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )


def settings(as_json: AsJson = False) -> None:
    """List every setting with its environment variable and default."""
    from server.settings import Settings

    rows = [
        (f"APPRENTICE_{name.upper()}", field.get_default(call_default_factory=True), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        columns = ("variable", "default", "meaning")
        show_json(
            [dict(zip(columns, (name, str(default), says), strict=True)) for name, default, says in rows]
        )
        return
    show_table("Settings", ("variable", "default", "meaning"), rows, "")
