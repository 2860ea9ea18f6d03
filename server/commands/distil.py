"""`apprentice distill` and `apprentice adapters`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    connect,
    console,
    fail,
    show_json,
    show_table,
)
from server.commands.waiting import bars

if TYPE_CHECKING:
    from server.client import Client

Reason = Annotated[str, typer.Option(help="Needed where the gate kept it out; kept with your name.")]

adapters_app = typer.Typer(help="What distillation made, and which one serves.", no_args_is_help=True)
suites_app = typer.Typer(
    help="Frozen tasks that every adapter is judged on, and nothing is learned from.", no_args_is_help=True
)


def distill(
    site: Annotated[
        list[str] | None,
        typer.Option(help="Judge on frozen tasks of this site too; may be repeated. See `suites`."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="How memory becomes training data.")] = "step",
    world: str = "household",
    n: Annotated[int, typer.Option(help="Frozen tasks per site.")] = 16,
    seed: int = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be kept, masked and rejected.")
    ] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Turn memory into weights in a process of its own; a gate compares four arms."""
    suites = [{"name": f"adapt {place}", "world": world, "site": place, "n": n} for place in site or ()]
    body = {"recipe": recipe, "suites": suites, "seed": seed, "dry_run": dry_run}
    with connect(url, data) as client:
        job = client.post("/v1/distillations", body)
        job = follow_distillation(client, job["id"])
    if as_json:
        show_json(job)
    elif job["report"] is None:
        fail(f"distillation {job['state']}: {job['error']}")
    elif dry_run:
        show_dry_run(job["report"])
    else:
        show_report(job["report"])


@adapters_app.command("list")
def list_adapters(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """All adapters."""
    with connect(url, data) as client:
        page = client.get("/v1/adapters")
    if as_json:
        show_json(page)
        return
    rows = [
        (a["id"], a["manifest"]["recipe"], "serving" if a["promoted"] else "", a["model"])
        for a in page["data"]
    ]
    show_table("Adapters", ("id", "recipe", "", "model name"), rows, "`apprentice distill` makes one.")


@adapters_app.command("promote")
def promote(
    adapter_id: str,
    reason: Reason = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let an adapter serve as `local:<base>+promoted`; not with the key that asked for its distillation."""
    with connect(url, data) as client:
        done = client.post(f"/v1/adapters/{adapter_id}/promote", {"reason": reason})
    if as_json:
        show_json(done)
        return
    console.print(f"serving {done['id']}")


@adapters_app.command("canary")
def canary(
    adapter_id: str,
    share: Annotated[float, typer.Option(help="Part of the episodes that it answers; 0 ends the trial.")],
    reason: Reason = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Try an adapter out beside the one that serves."""
    with connect(url, data) as client:
        done = client.post(f"/v1/adapters/{adapter_id}/canary", {"share": share, "reason": reason})
    if as_json:
        show_json(done)
        return
    console.print(f"{done['id']} answers {100 * done['share']:.0f} % of episodes")


@adapters_app.command("lineage")
def lineage(
    adapter_id: str, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """What an adapter was made of."""
    with connect(url, data) as client:
        found = client.get(f"/v1/adapters/{adapter_id}/lineage", limit=500)
    if as_json:
        show_json(found)
        return
    rows = [
        (row["episode"], row["stream"], sum(weight != 0 for weight in row["weights"]), len(row["weights"]))
        for row in found["rows"]
    ]
    show_table(f"Rows of {adapter_id}", ("episode", "stream", "trained", "messages"), rows, "None are kept.")
    console.print(f"{len(found['episodes'])} episodes; {len(found['items'])} items were in view of them")


@adapters_app.command("rollback")
def rollback(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Let the adapter before serve again."""
    with connect(url, data) as client:
        page = client.post("/v1/adapters/rollback")
    if as_json:
        show_json(page)
        return
    serving = next((a["id"] for a in page["data"] if a["promoted"]), "the base model")
    console.print(f"serving {serving}")


@suites_app.command("declare")
def declare_suites(
    site: Annotated[list[str], typer.Option(help="A site whose frozen tasks are asked; may be repeated.")],
    retain: Annotated[list[str] | None, typer.Option(help="A site where it must not get worse.")] = None,
    world: str = "household",
    n: Annotated[int, typer.Option(help="Frozen tasks per site.")] = 16,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """In the place of those declared before."""
    asked = [("adapt", place) for place in site] + [("retain", place) for place in retain or ()]
    suites = [
        {"name": f"{role} {place}", "world": world, "site": place, "n": n, "role": role}
        for role, place in asked
    ]
    with connect(url, data) as client:
        found = client.put("/v1/suites", {"suites": suites})
    if as_json:
        show_json(found)
        return
    console.print(f"{found['tasks']} tasks are the gate's: nothing is learned from them")


@suites_app.command("list")
def list_suites(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Those declared."""
    with connect(url, data) as client:
        found = client.get("/v1/suites")
    if as_json:
        show_json(found)
        return
    rows = [(s["name"], s["role"], s["world"], s["site"], s["split"], s["n"]) for s in found["suites"]]
    columns = ("name", "role", "world", "site", "split", "tasks")
    show_table("Suites", columns, rows, "`apprentice suites declare` declares some.")


@suites_app.command("withdraw")
def withdraw_suites(as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA) -> None:
    """Their tasks may be learned from again."""
    with connect(url, data) as client:
        left = client.delete("/v1/suites")
    if as_json:
        show_json(left)
        return
    console.print("no suites are declared any more")


def follow_distillation(client: Client, distillation_id: str) -> dict[str, Any]:
    """Progress bars by stage until it ends; returns the distillation."""
    with bars(counts=False) as progress:
        stages: dict[str, Any] = {}
        for event in client.events(f"/v1/distillations/{distillation_id}/events"):
            if event.name == "done":
                done: dict[str, Any] = event.data
                return done
            line = event.data
            if line["stage"] not in stages:
                for bar in stages.values():
                    progress.update(bar, completed=progress.tasks[bar].total)
                stages[line["stage"]] = progress.add_task(line["stage"], total=1, note="")
            note = line.get("message") or " ".join(f"{k} {v:.3g}" for k, v in line.get("metrics", {}).items())
            bar = stages[line["stage"]]
            progress.update(bar, completed=line["done"], total=line["total"] or 1, note=note)
    fetched: dict[str, Any] = client.get(f"/v1/distillations/{distillation_id}")
    return fetched


def show_dry_run(report: dict[str, Any]) -> None:
    """What a recipe would make of the memory."""
    kept, rejected = report["kept"], report["rejected"]
    trained = sum(row["trained"] for row in kept["rows"])
    rows = [("kept", f"{len(kept['rows'])} rows of {len(kept['episodes'])} episodes", f"{trained} messages")]
    rows += [("masked", reason, f"{count} messages") for reason, count in report["masked"].items()]
    rows += [("rejected", reason, f"{count} episodes") for reason, count in rejected["reasons"].items()]
    show_table("Would be learned", ("", "what and why", "how many"), rows, "Nothing.")


def show_report(report: dict[str, Any]) -> None:
    """The four arms on every suite, and the verdict."""
    suites = report["arms"]
    columns = ["arm"]
    for suite, arms in suites.items():
        n = max((result["n"] for result in arms.values()), default=0)
        columns += [f"{suite} (n {n}): success %", "steps"]
    rows = [
        (arm, *(cell for arms in suites.values() for cell in _cells(arms[arm])))
        for arm in next(iter(suites.values()), {})
    ]
    show_table("Four arms; in brackets 95 % intervals", columns, rows, "The gate had no suite.")
    verdict = "promoted" if report["promoted"] else "not promoted"
    console.print(f"adapter {report['adapter']}: {verdict}, {report['reason']}", highlight=False)


def _cells(result: dict[str, Any]) -> tuple[str, str]:
    low, high = result["ci"]
    success = f"{100 * result['success']:.0f} ({100 * low:.0f} to {100 * high:.0f})"
    return success, f"{result['steps']:.1f}"
