"""`apprentice mode` and `apprentice learning`."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal, get_args

import typer

from memory.dials import DialName
from memory.types import Json
from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    console,
    show_json,
    show_table,
)

EVENTS = ("episode", "reflection", "promotion", "retirement", "distillation")
_DIALS: tuple[DialName, ...] = get_args(DialName)
Setting = Literal["learn", "frozen", "shadow", "off", "on", "read", "default"]


def mode(
    to: Annotated[Setting | None, typer.Argument(help="Left out: shows how it stands.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What memory does for the namespace: learn, frozen, shadow, off, or the server's default."""
    with connect(url, data) as client:
        if to is None:
            dials = client.get("/v1/dials")
        else:
            dials = client.patch("/v1/dials", {"mode": None if to == "default" else to})
    if as_json:
        show_json(dials)
        return
    origin = "set here" if dials["mode"] else "the server's default"
    console.print(f"{dials['namespace']}: {dials['effective_mode']} ({origin})", highlight=False)


def dials(
    name: Annotated[DialName | None, typer.Argument(help="Left out: shows all.")] = None,
    value: Annotated[str | None, typer.Argument(help="As JSON or a name; `default` puts it back.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """What operators set for the namespace: mode, read policy, guard, verifier, tokens for learning."""
    if (name is None) != (value is None):
        raise typer.BadParameter("give both a dial and its value, or neither")
    with connect(url, data) as client:
        if name is None or value is None:
            stands = client.get("/v1/dials")
        else:
            stands = client.patch("/v1/dials", {name: _position(value)})
    if as_json:
        show_json(stands)
        return
    rows = [(dial, "the server's default" if stands[dial] is None else stands[dial]) for dial in _DIALS]
    show_table(f"Dials of {stands['namespace']}", ("dial", "stands at"), rows, "")


def learning(
    canary: Annotated[bool, typer.Option(help="First send a lesson through the whole path.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Whether it still learns: last reflection, promotion and retirement, what waits, what it cost."""
    with connect(url, data) as client:
        if canary:
            client.post("/v1/health/learning/canary")
        told = client.get("/v1/health/learning")
    if as_json:
        show_json(told)
        return
    spent = told["spent_today"]
    rows = [
        ("mode", told["mode"]),
        *((name, _ago(told[f"last_{name}_at"])) for name in EVENTS),
        ("waiting", f"{told['waiting']}, the first for {told['oldest_waiting_s'] or 0:.0f} s"),
        ("tokens today", f"{spent['work']} at work, {spent['learning']} on learning{_budget(told)}"),
        ("canary", _flight(told["canary"])),
    ]
    show_table(f"Learning in {told['namespace']}", ("what", "how it stands"), rows, "")


def _position(value: str) -> Json:
    """A number, true or false where it reads as one, else the name itself.

    >>> _position("true"), _position("1000"), _position("lift"), _position("default")
    (True, 1000, 'lift', None)
    """
    if value == "default":
        return None
    try:
        position: Json = json.loads(value)
    except ValueError:
        return value
    return position


def _budget(told: dict[str, Any]) -> str:
    if told["tokens_day"] is None:
        return ""
    return f" of {told['tokens_day']}" + (": used up, counters go on alone" if told["is_spent"] else "")


def _ago(at: float | None) -> str:
    return "never" if at is None else f"{max(0.0, time.time() - at) / 60:.0f} minutes ago"


def _flight(report: dict[str, Any] | None) -> str:
    if report is None:
        return "none has come back yet"
    how = "came through" if report["ok"] else f"lost at {report['failed']}: {report['reason']}"
    return f"{how}, {_ago(report['at'])}"
