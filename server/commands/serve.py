"""`apprentice serve` and `apprentice doctor`."""

from __future__ import annotations

import logging
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.commands.terminal import DEFAULT_URL, Data, console, fail, show_table

if TYPE_CHECKING:
    from server.settings import Settings

LOW_DISK_BYTES = 500 * 1024 * 1024
BAD_SQLITE = ((3, 7, 0), (3, 51, 2))
"""Versions with the WAL-reset bug; commits and checkpoints share one connection here, which avoids it."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of everything that must survive.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of tasks and chats that name none.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve the API. Other settings are environment variables, see `apprentice settings`."""
    # Before torch is imported: several threads an operation slow small models down on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    import uvicorn

    from memory.errors import ApprenticeError
    from server.app import create_app
    from server.settings import Settings
    from server.wiring import build, first_key

    given: dict[str, Any] = {"host": host, "port": port, "data_dir": data, "model": model}
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
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
        log_level=log_level,
        timeout_graceful_shutdown=5,
    )


def settings() -> None:
    """List every setting with its environment variable and default."""
    from server.settings import Settings

    rows = [
        (f"APPRENTICE_{name.upper()}", field.get_default(call_default_factory=True), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    show_table("Settings", ("variable", "default", "meaning"), rows, "")


def doctor(data: Data = Path("data"), url: str = DEFAULT_URL) -> None:
    """Check versions, disk, models, adapters and the running server."""
    from server.settings import Settings

    chosen = Settings(data_dir=data)
    rows = [*_machine(chosen), *_models(chosen), *_adapters(chosen), *_server(url, data)]
    show_table("Doctor", ("", "check", "finding"), rows, "")
    if any(mark == "bad" for mark, _, _ in rows):
        raise typer.Exit(1)


def _machine(settings: Settings) -> list[tuple[str, str, str]]:
    import sqlite3

    folder = settings.data_dir if settings.data_dir.exists() else Path.cwd()
    free = shutil.disk_usage(folder).free
    version = sqlite3.sqlite_version_info
    affected = BAD_SQLITE[0] <= version <= BAD_SQLITE[1]
    note = " (has the WAL-reset bug; avoided here, 3.51.3 mends it)" if affected else ""
    return [
        ("ok", "python", platform.python_version()),
        ("note" if affected else "ok", "sqlite", sqlite3.sqlite_version + note),
        ("ok" if free > LOW_DISK_BYTES else "bad", "free disk", f"{free // 2**20} MiB at {folder.resolve()}"),
    ]


def _models(settings: Settings) -> list[tuple[str, str, str]]:
    found = sorted(path.parent.name for path in settings.models_dir.glob("*/config.json"))
    if not found:
        return [("bad", "local models", f"none in {settings.models_dir}")]
    return [("ok", "local models", ", ".join(found))]


def _adapters(settings: Settings) -> list[tuple[str, str, str]]:
    if not settings.adapters_dir.exists():
        return [("ok", "adapters", "none yet")]
    from distill.registry import Registry
    from memory.errors import ApprenticeError

    registry = Registry(settings.adapters_dir)
    rows = []
    for manifest in registry.list():
        try:
            registry.verify(manifest.id, settings.models_dir / manifest.base)
            rows.append(("ok", "adapter", manifest.id))
        except ApprenticeError as error:
            rows.append(("bad", "adapter", str(error)))
    return rows


def _server(url: str, data: Path) -> list[tuple[str, str, str]]:
    from server.client import ApiError, Client, find_key

    key = find_key(data)
    rows = [("ok", "key", "found") if key else ("bad", "key", "none; `apprentice keys create` makes one")]
    try:
        with Client(url, key, timeout_s=10.0) as client:
            facts = client.get("/health/ready")
            client.get("/v1/models")
        lag = facts["memory"].get("log_seq", 0) - facts["memory"].get("applied_seq", 0)
        rows.append(("ok", "server", f"ready at {url}, default model {facts['default_model']}"))
        rows.append(("ok" if lag < 1000 else "note", "index", f"{lag} log rows behind"))
    except ApiError as error:
        rows.append(("note" if error.status is None else "bad", "server", str(error)))
    return rows
