"""What the demo shows, in order."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.worlds.catalogue import MAX_STEPS
from agent.worlds.site import held_out_sites
from server.client import Client
from server.commands.distil import follow_distillation, show_report
from server.commands.terminal import console, show_table
from server.demo.curve import Block, Estimate, blocks, difference, draw
from server.demo.host import Host
from server.demo.trial import Lane, Result, lanes, run

_FACT = re.compile(r"\b(\w+) (?:is|are) (?:in|on|at) \w+ \d+")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to do."""

    seeds: int
    tasks: int
    recipe: str
    model: str
    fast: bool


def tell(plan: Plan, host: Host, out: Path) -> None:
    """The whole demonstration. Raises ApiError when the server refuses something."""
    begun = time.monotonic()
    console.rule("[bold]Apprentice: an agent that learns on the job")
    console.print(f"server ready after {host.ready_s:.1f} s at {host.url}, model {plan.model}")
    sites = held_out_sites(plan.seeds)
    console.print(
        f"{plan.tasks} household tasks at each of {plan.seeds} sites it has never seen ({', '.join(sites)}),"
        " once with memory and once without",
        highlight=False,
    )
    results = _work(host, sites, plan.tasks)
    curve = blocks(results, plan.tasks)
    _show_curve(curve, results, plan)
    draw(curve, out / "learning_curve.png", f"{plan.model} at {plan.seeds} sites it has never seen")
    best = _best(results, sites)
    with host.client(best.namespace) as client:
        _show_learned(client, best.site)
        _ask(host, client, best)
        text = client.text("/v1/constitution", family=best.site, format="markdown")
        (out / "constitution.md").write_text(text, "utf-8")
        report = _distil(client, best.site, _easiest(results, sites, best.site), plan)
    _save(out / "results.json", plan, results, curve, report)
    _farewell(out, time.monotonic() - begun)


def _work(host: Host, sites: Sequence[str], n_tasks: int) -> tuple[Result, ...]:
    all_lanes = lanes(sites)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn())
    note = TextColumn("{task.fields[note]}")
    with Progress(*columns, note, TimeElapsedColumn(), console=console) as progress:
        bars = {
            lane: progress.add_task(f"{lane.site}, memory {lane.arm}", total=n_tasks, note="")
            for lane in all_lanes
        }
        won = dict.fromkeys(all_lanes, 0)

        def on_result(lane: Lane, result: Result) -> None:
            won[lane] += result.success
            progress.update(bars[lane], advance=1, note=f"{won[lane]} done well")

        return run(host, all_lanes, n_tasks, on_result)


def _show_curve(curve: Sequence[Block], results: Sequence[Result], plan: Plan) -> None:
    by_first = {(block.arm, block.first): block for block in curve}
    firsts = sorted({block.first for block in curve})
    rows = []
    for first in firsts:
        on, off = by_first["on", first], by_first["off", first]
        gain = difference(results, first - 1, on.last)
        rows.append(
            (
                f"{first} to {on.last}",
                _percent(on.success),
                _percent(off.success),
                _percent(gain),
                _number(on.steps),
                _number(off.steps),
            )
        )
    columns = (
        "tasks",
        "success %, memory",
        "success %, control",
        "difference",
        "steps, memory",
        "steps, control",
    )
    title = f"Learning over {plan.seeds} sites; in brackets 95 % bootstrap intervals"
    show_table(title, columns, rows, "")
    console.print(f"a task that failed counts as {MAX_STEPS} steps, the most there are")
    overall = difference(results, 0, plan.tasks)
    late = difference(results, plan.tasks // 2, plan.tasks)
    console.print(
        f"success with memory minus control, points: {_percent(overall)} overall,"
        f" {_percent(late)} in the second half",
        highlight=False,
    )


def _best(results: Sequence[Result], sites: Sequence[str]) -> Lane:
    won = {site: sum(r.success for r in results if r.site == site and r.arm == "on") for site in sites}
    site = max(sites, key=lambda name: won[name])
    return next(lane for lane in lanes([site]) if lane.arm == "on")


def _easiest(results: Sequence[Result], sites: Sequence[str], learned: str) -> str:
    """The other site where the control did best: where a worse model has most to lose."""
    won = {site: sum(r.success for r in results if r.site == site and r.arm == "off") for site in sites}
    others = [site for site in sites if site != learned] or [learned]
    return max(others, key=lambda name: won[name])


def _show_learned(client: Client, site: str) -> None:
    console.rule(f"What it learned at {site}")
    cases = client.get("/v1/memory", kind="case", limit=500)["data"]
    used = sorted(cases, key=lambda item: item["utility"]["n"], reverse=True)[:3]
    rows = [
        (c["outcome"], c["body"]["task"], c["body"]["lesson"], c["utility"]["n"], _evidence(c)) for c in used
    ]
    title = f"Three of {len(cases)} cases, those used most"
    show_table(title, ("outcome", "task", "lesson", "used", "seen in"), rows, "Nothing was learned.")
    constitution = client.get("/v1/constitution", family=site)
    rows = [
        (p["text"], p["body"]["support"], p["body"]["builder"], p["status"], _evidence(p))
        for p in constitution["principles"]
    ]
    columns = ("principle", "support", "written by", "status", "seen in")
    show_table("The constitution it wrote", columns, rows, "No rule was seen often enough.")


def _ask(host: Host, client: Client, lane: Lane) -> None:
    """One question through the `openai` client, answered from memory."""
    import openai

    question = _question(client)
    if question is None:
        return
    with openai.OpenAI(base_url=f"{host.url}/v1", api_key=host.key(lane.namespace), max_retries=0) as chat:
        told = {}
        for mode in ("read", "off"):
            answer = chat.chat.completions.create(
                model="",
                messages=[{"role": "user", "content": question}],
                max_tokens=16,
                extra_headers={"X-Apprentice-Memory": mode, "X-Apprentice-Family": lane.site},
            )
            told[mode] = answer.choices[0].message.content
    console.print(f"asked through the openai client: [bold]{question}[/bold]", highlight=False)
    console.print(f"  with memory:    {told['read']}\n  without memory: {told['off']}", highlight=False)


def _question(client: Client) -> str | None:
    for case in client.get("/v1/memory", kind="case", limit=100)["data"]:
        if found := _FACT.search(case["body"]["lesson"]):
            return f"where is {found[1]}?"
    return None


def _distil(client: Client, site: str, other: str, plan: Plan) -> dict[str, Any] | None:
    console.rule("Distilling what it learned into weights")
    n = 10 if plan.fast else 16
    suites = [
        {
            "name": "same site, new tasks",
            "world": "household",
            "site": site,
            "n": n,
            "role": "adapt",
        },
        {
            "name": f"retention, {other}",
            "world": "household",
            "site": other,
            "n": n,
            "role": "retain",
        },
    ]
    train = {"epochs": 1.0} if plan.fast else {}
    job = client.post("/v1/distillations", {"recipe": plan.recipe, "suites": suites, "train": train})
    done = follow_distillation(client, job["id"])
    if done["report"] is None:
        console.print(f"[red]the distillation {done['state']}[/red]: {done['error']}", highlight=False)
        return None
    show_report(done["report"])
    report: dict[str, Any] = done["report"]
    return report


def _save(
    path: Path,
    plan: Plan,
    results: Sequence[Result],
    curve: Sequence[Block],
    report: dict[str, Any] | None,
) -> None:
    data = {
        "plan": asdict(plan),
        "curve": [asdict(block) for block in curve],
        "tasks": [asdict(result) for result in results],
        "distillation": report,
    }
    path.write_text(json.dumps(data, indent=1), "utf-8")


def _farewell(out: Path, seconds: float) -> None:
    console.rule("Where things are")
    names = {
        "learning_curve.png": "the learning curve",
        "constitution.md": "the constitution, ready to use as a system prompt",
        "results.json": "every number above",
        "data": "the server's data: memory, jobs, adapters",
        "server.log": "the server's log",
    }
    for name, what in names.items():
        console.print(f"  {out / name}: {what}", highlight=False)
    console.print(f"done in {seconds:.0f} s. Go on with `apprentice serve --data {out / 'data'}`")


def _evidence(item: dict[str, Any]) -> str:
    found = item["lineage"]["evidence"]
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return ", ".join(f"{e['episode'][-6:]}:{e['message']}" for e in found[:2]) + more


def _percent(value: Estimate) -> str:
    return f"{100 * value.mean:.0f} ({100 * value.low:.0f} to {100 * value.high:.0f})"


def _number(value: Estimate) -> str:
    return f"{value.mean:.1f} ({value.low:.1f} to {value.high:.1f})"
