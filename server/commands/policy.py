"""`apprentice policy`: what a policy says of calls, before anybody depends on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memory.types import Json
from server.commands.terminal import AsJson, fail, show_json, show_table

policy_app = typer.Typer(help="Policies of guard `privilege`, from files of YAML or JSON.")


@policy_app.callback()
def policy() -> None:
    """Policies of guard `privilege`, from files of YAML or JSON."""


@policy_app.command("test")
def try_calls(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The policy.")],
    calls: Annotated[list[str], typer.Argument(help='Calls, each `tool` or `tool {"argument": value}`.')],
    trust: Annotated[int, typer.Option(min=0, max=4, help="The lowest trust of what is in context.")] = 3,
    request: Annotated[str, typer.Option(help="What the user asked for; their words have trust 3.")] = "",
    as_json: AsJson = False,
) -> None:
    """What becomes of each call, and which rule says so; status 1 if any is not allowed."""
    from agent.guards.files import read_policy
    from agent.guards.privilege import Privilege
    from agent.types import GuardContext, Spent, Task
    from memory.errors import BadInput
    from memory.types import ToolCall

    try:
        policy = read_policy(file)
    except BadInput as error:
        fail(str(error))
    context = GuardContext((), Spent(), trust, Task("policy test", request, "", ""))
    said: list[dict[str, Json]] = []
    for call in calls:
        tool, arguments = _call(call)
        decision = Privilege((policy,)).decided(ToolCall("call", tool, arguments), context)
        rule = None if decision.rule is None else policy.rules.index(decision.rule) + 1
        verdict = decision.verdict
        said.append({"call": call, "verdict": verdict.action, "rule": rule, "reason": verdict.reason})
    if as_json:
        show_json(said)
    else:
        rows = [
            (one["call"], one["verdict"], one["rule"] or f"default: {policy.default}", one["reason"])
            for one in said
        ]
        show_table(str(file), ("call", "verdict", "rule", "why"), rows, "")
    if any(one["verdict"] != "allow" for one in said):
        raise typer.Exit(1)


def _call(text: str) -> tuple[str, dict[str, Json]]:
    """The tool and the arguments of a call.

    >>> _call('send {"to": "ann"}')
    ('send', {'to': 'ann'})
    """
    tool, _, rest = text.strip().partition(" ")
    try:
        arguments = json.loads(rest or "{}")
    except ValueError as error:
        fail(f'{text!r} is no call ({error}): write `tool` or `tool {{"argument": value}}`')
    if not tool or not isinstance(arguments, dict):
        fail(f'{text!r} is no call: write `tool` or `tool {{"argument": value}}`')
    return tool, arguments
