"""`apprentice task` and `apprentice chat`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from memory.modes import ModeName
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
from server.commands.waiting import bar

if TYPE_CHECKING:
    from server.client import Client

task_app = typer.Typer(help="Set tasks and follow them.", no_args_is_help=True)
MemoryOption = Annotated[
    ModeName | None,
    typer.Option(
        help="learn (on): recall and learn; frozen (read): recall; shadow: learn, show nothing; "
        "off: neither. Left out: as the namespace's dial says."
    ),
]


@task_app.command("run")
def run_task(
    text: Annotated[str | None, typer.Argument(help="The task in words, for the world `tools`.")] = None,
    world: Annotated[str, typer.Option(help="Where it is done.")] = "household",
    site: Annotated[str | None, typer.Option(help="A site; tasks are drawn by --seed.")] = None,
    n: Annotated[int, typer.Option(help="How many tasks of the site, one after the other.")] = 1,
    model: Annotated[str | None, typer.Option(help="Model name.")] = None,
    memory: MemoryOption = None,
    constitution: Annotated[str | None, typer.Option(help="A frozen version to be served.")] = None,
    planner: Annotated[str | None, typer.Option(help="`react`, `plan`, ...: docs/operations.md.")] = None,
    deliberate: Annotated[str | None, typer.Option(help="Think twice: `rewrite`, `debate`, ...")] = None,
    seed: int = 0,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Run tasks, one after the other, and show every step."""
    common = {
        "model": model,
        "memory": memory,
        "constitution": constitution,
        "planner": planner,
        "deliberate": deliberate,
        "seed": seed,
    }
    with connect(url, data) as client:
        if text is not None:
            orders = [{"world": "tools", "text": text, **common}]
        else:
            offers = client.get(f"/v1/worlds/{world}/tasks", site=site or "maple 27", n=n, seed=seed)
            orders = [{"world": world, "config": offer["config"], **common} for offer in offers]
        done = [_run(client, order, quiet=as_json) for order in orders]
    if as_json:
        show_json(done)
        return
    won = sum(task["outcome"] == "success" for task in done)
    console.print(f"{won} of {len(done)} tasks succeeded")


@task_app.command("list")
def list_tasks(
    limit: int = 20, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Recent tasks."""
    with connect(url, data) as client:
        page = client.get("/v1/tasks", limit=limit)
    if as_json:
        show_json(page)
        return
    rows = [(t["id"], t["state"], t["outcome"], t["steps"], t["family"], t["text"]) for t in page["data"]]
    show_table("Tasks", ("id", "state", "outcome", "steps", "site", "task"), rows, "`apprentice task run`.")


@task_app.command("show")
def show_task(
    task_id: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """One task and its steps so far; follows it to its end."""
    with connect(url, data) as client:
        task = _follow(client, task_id, quiet=as_json)
    if as_json:
        show_json(task)


@task_app.command("cancel")
def cancel_task(
    task_id: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Stop a task at once."""
    with connect(url, data) as client:
        task = client.post(f"/v1/tasks/{task_id}/cancel")
    if as_json:
        show_json(task)
    else:
        console.print(task["state"])


@task_app.command("approve")
def approve_call(
    task_id: str,
    question: Annotated[int, typer.Argument(help="Its number, as `task show` tells it.")],
    no: Annotated[bool, typer.Option("--no", help="Refuse the call.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Allow a call that a task asks about."""
    with connect(url, data) as client:
        asked = client.post(f"/v1/tasks/{task_id}/approvals/{question}", {"approve": not no})
    if as_json:
        show_json(asked)
        return
    console.print(f"{'refused' if no else 'allowed'}: {asked['tool']} {asked['arguments']}", highlight=False)


@task_app.command("feedback")
def give_feedback(
    task_id: str,
    outcome: Annotated[Literal["success", "failure"], typer.Argument()],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Say how a task went; late is fine."""
    with connect(url, data) as client:
        episode = client.post(f"/v1/tasks/{task_id}/feedback", {"outcome": outcome})
    if as_json:
        show_json(episode)
        return
    console.print(f"episode {episode['id']}: {episode['outcome']}")


def chat(
    message: Annotated[str | None, typer.Argument(help="One question; left out, a conversation.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name.")] = None,
    memory: MemoryOption = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Talk to the agent; it remembers."""
    history: list[dict[str, str]] = []
    headers = {} if memory is None else {"X-Apprentice-Memory": memory}
    with connect(url, data) as client:
        while True:
            said = message or typer.prompt("you")
            history.append({"role": "user", "content": said})
            body = {"messages": history, "model": model}
            answer = client.post("/v1/chat/completions", body, headers)
            reply = answer["choices"][0]["message"].get("content") or ""
            used = len(answer["apprentice"]["items"])
            if as_json:
                show_json(answer)
            else:
                console.print(f"[bold]agent[/bold] {reply} [dim]({used} memories)[/dim]", highlight=False)
            history.append({"role": "assistant", "content": reply})
            if message is not None:
                return


def _run(client: Client, order: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    task = client.post("/v1/tasks", order)
    return _follow(client, task["id"], quiet=quiet)


def _follow(client: Client, task_id: str, *, quiet: bool) -> dict[str, Any]:
    steps = 0
    with bar("task", on=None if quiet else console) as tell:
        for event in client.events(f"/v1/tasks/{task_id}/events"):
            if event.name == "done":
                done: dict[str, Any] = event.data
                break
            if not quiet:
                _show_event(event.name, event.data)
            if event.name == "step":
                steps += 1
            tell(note=f"step {steps}" if steps else "waiting for the first step")
    if not quiet:
        color = "green" if done["outcome"] == "success" else "red"
        told = done["outcome"] or done["state"]
        console.print(f"[{color}]{told}[/{color}] in {done['steps']} steps {done['error'] or ''}")
    return done


def _show_event(name: str, data: Any) -> None:
    if name == "start":
        console.print(f"[bold]{data['task']}[/bold] [dim]{len(data['recalled'])} memories recalled[/dim]")
    elif name == "step":
        console.print(f"  [cyan]{data.get('call', '')}[/cyan] {data.get('observation', '')}", highlight=False)
    elif name == "ask":
        call = f"{data['call']['name']} {data['call']['arguments']}"
        asked = f"question {data['question']}: may it call {call}?"
        console.print(f"  [yellow]{asked}[/yellow] {data['reason']}", highlight=False)
