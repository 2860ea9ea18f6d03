"""Commands that are a request and its answer, nothing more: one row of a table each.

What the route takes is given as `name=value`, or `name:=JSON` where it is no text; docs at `/docs` of the
server name the fields. What deserves words or pictures of its own is a function beside this file.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memory.types import Json
from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    console,
    fail,
    show_table,
)

CELL = 60
"""Letters of a cell; `--json` has all of it."""
Fields = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="What the route takes; NAME:=JSON where it is no text."),
]
Body = Annotated[
    Path | None, typer.Option("--body", exists=True, dir_okay=False, help="A JSON file; fields add to it.")
]


@dataclass(frozen=True, slots=True)
class Wired:
    """A command that is one route."""

    words: str
    """As it is called: its group and its name, or its name alone."""
    route: str
    """`METHOD /path/{parameter}`; each parameter is an argument."""
    says: str
    """Its help."""
    is_text: bool = False
    """The answer is no JSON, and printed as it is."""


WIRED = (
    Wired("me", "GET /v1/me", "Whose key this is, and what it may do."),
    Wired("curve", "GET /v1/learning/curve", "The learning curve, with its control arm."),
    Wired("lifts", "GET /v1/lifts", "What items add, with intervals."),
    Wired("policies", "GET /v1/policies", "What read policies are worth."),
    Wired("metrics", "GET /metrics", "Counters, as Prometheus reads them.", is_text=True),
    Wired("worlds", "GET /v1/worlds", "The worlds tasks can be set in."),
    Wired("health", "GET /health/ready", "Can requests be served?"),
    Wired("alive", "GET /health/live", "Is the process alive?"),
    Wired("models list", "GET /v1/models", "Models that can be named."),
    Wired("models show", "GET /v1/models/{model}", "One model."),
    Wired("responses make", "POST /v1/responses", "Respond, as in OpenAI's API: model=… input=…"),
    Wired("responses show", "GET /v1/responses/{response_id}", "A stored response."),
    Wired("responses delete", "DELETE /v1/responses/{response_id}", "Delete a stored response."),
    Wired("rollouts show", "GET /v1/rollout/{rollout}", "How a rollout stands."),
    Wired("rollouts feedback", "POST /v1/rollout/{rollout}/feedback", "Say how a rollout went: outcome=…"),
    Wired("task get", "GET /v1/tasks/{task_id}", "One task as it stands, without waiting for its end."),
    Wired("task resume", "POST /v1/tasks/{task_id}/resume", "Go on with a cancelled or failed task."),
    Wired("episodes list", "GET /v1/episodes", "What happened: family=… task_id=… limit:=20"),
    Wired("episodes show", "GET /v1/episodes/{episode_id}", "One episode with its messages."),
    Wired("episodes feedback", "POST /v1/episodes/{episode_id}/feedback", "Say how it went: outcome=…"),
    Wired("memory merge", "POST /v1/memory/merge", 'Merge items: items:=["a","b"] into:={"kind":…,"text":…}'),
    Wired("memory undo", "POST /v1/memory/undo", "Undo a change: seq:=17"),
    Wired("memory consolidations", "GET /v1/memory/consolidations", "Consolidations, newest first."),
    Wired(
        "memory stop-consolidation",
        "POST /v1/memory/consolidations/{consolidation_id}/cancel",
        "Stop a consolidation.",
    ),
    Wired("flow cancel", "POST /v1/flows/improvements/{improvement_id}/cancel", "Stop an improvement."),
    Wired("proposals list", "GET /v1/proposals", "Searches for tasks, newest first."),
    Wired("proposals cancel", "POST /v1/proposals/{proposal_id}/cancel", "Stop a search for tasks."),
    Wired("constitution builds", "GET /v1/constitution/builds", "Builds, newest first."),
    Wired("constitution stop-build", "POST /v1/constitution/builds/{build_id}/cancel", "Stop a build."),
    Wired("distillations cancel", "POST /v1/distillations/{distillation_id}/cancel", "Stop a distillation."),
    Wired("adapters show", "GET /v1/adapters/{adapter_id}", "One adapter with its manifest."),
    Wired("batches set", "POST /v1/batches", 'Set many tasks: --body FILE, or tasks:=[{"world":…}]'),
    Wired("batches list", "GET /v1/batches", "Batches, newest first."),
    Wired("batches cancel", "POST /v1/batches/{batch_id}/cancel", "Stop a batch."),
    Wired("batches results", "GET /v1/batches/{batch_id}/results", "One line of JSON a task.", is_text=True),
    Wired("schedules set", "POST /v1/schedules", 'Set a task again and again: cron="0 4 * * *" task:={…}'),
    Wired("schedules list", "GET /v1/schedules", "Schedules of the namespace."),
    Wired("schedules show", "GET /v1/schedules/{schedule_id}", "One schedule."),
    Wired("schedules pause", "POST /v1/schedules/{schedule_id}/pause", "Stop it for now."),
    Wired("schedules resume", "POST /v1/schedules/{schedule_id}/resume", "Let it go on."),
    Wired("schedules delete", "DELETE /v1/schedules/{schedule_id}", "Delete a schedule."),
    Wired("webhooks add", "POST /v1/webhooks", 'Be told of events: url=https://… events:=["task.asks"]'),
    Wired("webhooks list", "GET /v1/webhooks", "Webhooks of the namespace."),
    Wired("webhooks show", "GET /v1/webhooks/{webhook_id}", "One webhook."),
    Wired("webhooks enable", "POST /v1/webhooks/{webhook_id}/enable", "Switch it on again."),
    Wired("webhooks test", "POST /v1/webhooks/{webhook_id}/test", "Send a test event."),
    Wired("webhooks deliveries", "GET /v1/webhooks/{webhook_id}/deliveries", "The delivery log."),
    Wired("webhooks delete", "DELETE /v1/webhooks/{webhook_id}", "Be told no more."),
    Wired("quotas show", "GET /v1/quotas", "This namespace's quotas, and what is used."),
    Wired("quotas of", "GET /v1/quotas/{space}", "A namespace's quotas."),
    Wired("quotas set", "PUT /v1/quotas/{space}", "Set a namespace's quotas: tasks:=100"),
    Wired("quotas reset", "DELETE /v1/quotas/{space}", "Let the server's settings hold again."),
    Wired("access list", "GET /v1/keys", "Keys of this namespace, as the server has them."),
    Wired("access show", "GET /v1/keys/{key_id}", "One key."),
    Wired("access create", "POST /v1/keys", "Make a key of this namespace: role=user label=…"),
    Wired("access rotate", "POST /v1/keys/{key_id}/rotate", "Give a key a new secret."),
    Wired("access revoke", "DELETE /v1/keys/{key_id}", "From now on the key opens nothing."),
    Wired("audit list", "GET /v1/audit", "Who did what: principal=… op=…"),
    Wired("audit chain", "GET /v1/audit/chain", "Was the log tampered with?"),
)
GROUPS: Mapping[str, str] = {
    "models": "Models that can be named.",
    "responses": "Stored responses, as in OpenAI's API.",
    "rollouts": "Episodes of other agents that use this server as their model.",
    "episodes": "What happened, and how it went.",
    "proposals": "Searches for tasks, see `propose`.",
    "schedules": "Tasks that are set again and again.",
    "webhooks": "Whom the server tells of events.",
    "quotas": "What a namespace may use up.",
    "access": "Keys of this namespace, by a running server; `keys` works in the data folder.",
    "audit": "Who did what.",
}
"""Groups that have no file of their own, with their help."""


def wire(app: typer.Typer, groups: Mapping[str, typer.Typer]) -> None:
    """Add the table's commands to the program, its groups and those that are made here."""
    made = {name: typer.Typer(help=says, no_args_is_help=True) for name, says in GROUPS.items()}
    for name, group in made.items():
        app.add_typer(group, name=name)
    for wired in WIRED:
        *group_name, name = wired.words.split()
        home = {**groups, **made}[group_name[0]] if group_name else app
        home.command(name, help=wired.says)(_command(wired))


def fields_of(words: Sequence[str]) -> dict[str, Json]:
    """What `name=value` and `name:=JSON` say. Raises BadParameter on anything else.

    >>> fields_of(["label=a=b", "n:=2", 'tags:=["x"]'])
    {'label': 'a=b', 'n': 2, 'tags': ['x']}
    """
    found: dict[str, Json] = {}
    for word in words:
        parted = re.fullmatch(r"(\w+)(:?=)(.*)", word, re.DOTALL)
        if parted is None:
            raise typer.BadParameter(f"{word!r}: write NAME=VALUE, or NAME:=JSON where it is no text")
        name, sign, value = parted.groups()
        try:
            found[name] = value if sign == "=" else json.loads(value)
        except ValueError as error:
            raise typer.BadParameter(f"{word!r} is no JSON after `:=`: {error}") from error
    return found


def _command(wired: Wired) -> Any:
    """A function whose signature has the path's parameters, as the program reads signatures."""
    method, path = wired.route.split(" ", 1)
    names = re.findall(r"\{(\w+)\}", path)

    def command(**given: Any) -> None:
        filled = path.format(**{name: quote(given[name], safe="") for name in names})
        asked = fields_of(given["fields"] or ())
        if given.get("body") is not None:
            asked = _read(given["body"]) | asked
        has_body = method not in {"GET", "DELETE"} and asked
        content = json.dumps(asked).encode() if has_body else None
        query = {} if has_body else {name: _plain(value) for name, value in asked.items()}
        with connect(given["url"], given["data"]) as client:
            answer = "\n".join(client.ask(method, filled, content, query))
        if wired.is_text or given["as_json"]:
            typer.echo(answer or "null")
        else:
            show(wired.words, json.loads(answer or "null"))

    options: dict[str, tuple[object, object]] = {
        "fields": (Fields, None),
        "body": (Body, None),
        "as_json": (AsJson, False),
    }
    options |= {"url": (Url, DEFAULT_URL), "data": (Data, DEFAULT_DATA)}
    if method in {"GET", "DELETE"}:
        del options["body"]
    if wired.is_text:
        del options["as_json"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = [inspect.Parameter(name, kind, annotation=str) for name in names]
    signature += [
        inspect.Parameter(name, kind, annotation=what, default=default)
        for name, (what, default) in options.items()
    ]
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]  # read by `inspect`
    return command


def show(title: str, answer: Any) -> None:
    """A page as a table of what all its rows have that fits into a cell; anything else by name."""
    if isinstance(answer, dict) and isinstance(answer.get("data"), list):
        answer = answer["data"]
    if isinstance(answer, list) and all(isinstance(row, dict) for row in answer):
        columns = [name for name in (answer[0] if answer else ()) if name != "object"]
        rows = [[_cell(row.get(name)) for name in columns] for row in answer]
        show_table(title, columns, rows, "")
    elif isinstance(answer, dict):
        for name, value in answer.items():
            if name != "object":
                console.print(f"{name}: {_plain(value)}", highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(_plain(answer), highlight=False, markup=False)


def _cell(value: object) -> str:
    text = _plain(value)
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> dict[str, Json]:
    try:
        body = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        fail(f"{str(path)!r} is no JSON: {error}")
        raise
    if not isinstance(body, dict):
        fail(f"{str(path)!r} holds {type(body).__name__}: the body of a request is an object")
    return dict(body)
