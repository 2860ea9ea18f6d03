"""`apprentice keys`: they are made and revoked in the data folder, while a server runs or not."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.commands.terminal import DEFAULT_DATA, AsJson, Data, console, fail, show_json, show_table

if TYPE_CHECKING:
    from server.auth import Keys

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
Role = Literal["operator", "user", "agent", "read-only"]
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@app.command()
def create(
    namespace: Annotated[str, typer.Option(help="Whose memory the key opens.")] = "default",
    role: Annotated[Role, typer.Option(help="What it may do.")] = "user",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this of what its role allows, may be repeated: chat, tasks, memory:read, memory:write,"
            " distill, admin."
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="A note for the list.")] = "",
    days: Annotated[float | None, typer.Option(help="Days until it expires; never if left out.")] = None,
    save: Annotated[bool, typer.Option(help="Keep it as this user's key for the other commands.")] = False,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make a key. Its secret is printed this once and stored nowhere, unless you say --save."""
    from memory.errors import ApprenticeError
    from server.auth import write_private
    from server.client import USER_KEY

    ttl_s = None if days is None else days * 86_400
    try:
        key, secret = _keys(data).create(namespace, role, label=label, ttl_s=ttl_s, scopes=scope or None)
    except ApprenticeError as error:
        fail(str(error))
        return
    if save:
        path = USER_KEY.expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, secret)
    if as_json:
        show_json({"id": key.id, "namespace": key.namespace, "role": key.role, "secret": secret})
    else:
        console.print(f"{secret}\n[dim]key {key.id}: {role} of namespace {namespace}[/dim]", highlight=False)


@app.command("list")
def list_keys(as_json: AsJson = False, data: Data = DEFAULT_DATA) -> None:
    """All keys, without their secrets."""
    from server.key_use import KeyUse
    from server.settings import Settings

    used = KeyUse(Settings(data_dir=data).key_use_path, time.time).all()
    rows = [
        (
            key.id,
            key.namespace,
            key.role,
            None if key.scopes is None else ", ".join(key.scopes),
            key.label,
            _when(key.created_at),
            _when(used.get(key.principal)),
            _when(key.expires_at),
            "revoked" if key.revoked_at else "valid" if key.is_valid(time.time()) else "expired",
        )
        for key in _keys(data).all()
    ]
    columns = ("id", "namespace", "role", "scopes", "label", "created", "used", "expires", "state")
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    show_table("Keys", columns, rows, "`apprentice keys create` makes one.")


@app.command()
def revoke(key_id: str, as_json: AsJson = False, data: Data = DEFAULT_DATA) -> None:
    """From now on the key opens nothing."""
    from memory.errors import ApprenticeError

    try:
        key = _keys(data).revoke(key_id)
    except ApprenticeError as error:
        fail(str(error))
        return
    if as_json:
        show_json({"id": key.id, "revoked_at": key.revoked_at})
        return
    console.print(f"revoked {key.id}")


@app.command()
def rotate(
    key_id: str,
    overlap: Annotated[str, typer.Option(help="How long the old secret opens too: 30m, 24h, 7d.")] = "0s",
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Give a key a new secret, printed this once. It keeps its id, so that the log knows its holder."""
    from memory.errors import ApprenticeError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", overlap)
    if found is None:
        fail(f"overlap is {overlap!r}: give a number and a unit, such as 30m, 24h or 7d")
        return
    try:
        key, secret = _keys(data).rotate(key_id, overlap_s=float(found[1]) * _UNITS[found[2]])
    except ApprenticeError as error:
        fail(str(error))
        return
    if as_json:
        show_json({"id": key.id, "previous_until": key.previous_until, "secret": secret})
    else:
        console.print(
            f"{secret}\n[dim]the old one opens until {_when(key.previous_until)}[/dim]", highlight=False
        )


def _keys(data: Path) -> Keys:
    from server.auth import Keys
    from server.settings import Settings

    return Keys(Settings(data_dir=data).keys_path)


def _when(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
