"""`apprentice doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.commands.terminal import (
    DEFAULT_DATA,
    DEFAULT_URL,
    AsJson,
    Data,
    Url,
    console,
    show_json,
    show_table,
)

if TYPE_CHECKING:
    from server.client import Client
    from server.doctor import Finding

LATE_S = 3600.0
LAG = 1000


def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Do the remedies that are safe.")] = False,
    as_json: AsJson = False,
    data: Data = DEFAULT_DATA,
    url: Url = DEFAULT_URL,
) -> None:
    """Look over the data folder and the running server; say what is wrong and what mends it."""
    from server.doctor import Finding, look
    from server.settings import Settings

    try:
        findings = list(look(Settings(data_dir=data)))
    except ValueError as error:
        findings = [Finding("bad", "config", str(error), "`apprentice settings` says what it may be")]
    findings += _asked(url, data)
    done = _mended(findings) if repair else []
    if as_json:
        rows = [{"mark": f.mark, "check": f.check, "told": f.told, "remedy": f.remedy} for f in findings]
        show_json({"findings": rows, "repairs": done})
    else:
        shown = [(f.mark, f.check, f.told, f.remedy) for f in findings]
        show_table("Doctor", ("", "check", "finding", "remedy"), shown, "")
        for line in done:
            console.print(line, highlight=False, soft_wrap=True)
    if any(finding.mark == "bad" for finding in findings):
        raise typer.Exit(1)


def _asked(url: str, data: Path) -> list[Finding]:
    """What only the running server knows: index, queues, learning, the canary."""
    from server.client import ApiError, Client, find_key
    from server.doctor import Finding

    key = find_key(data)
    if key is None:
        return [Finding("note", "server", "not asked: there is no key", "set APPRENTICE_API_KEY")]
    try:
        with Client(url, key, timeout_s=30.0) as client:
            facts = client.get("/health/ready")
            return [
                Finding("ok", "server", f"ready at {url}, default model {facts['default_model']}"),
                *_memory(facts["memory"]),
                *_learning(client.get("/v1/health/learning")),
                *_failed(client, url, key),
            ]
    except ApiError as error:
        is_away = error.status is None
        remedy = "`apprentice serve`" if is_away else "see the server's log"
        return [Finding("note" if is_away else "bad", "server", str(error), remedy)]


def _memory(stats: dict[str, Any]) -> Iterator[Finding]:
    from server.doctor import Finding

    lag = stats["log_seq"] - stats["applied_seq"]
    remedy = "it catches up when it is asked; if it stays, look for errors in the log" if lag >= LAG else ""
    yield Finding("note" if lag >= LAG else "ok", "index lag", f"{lag} log rows", remedy)
    if stats["encoder_note"]:
        yield Finding(
            "bad", "encoder", f"re-encoding ended: {stats['encoder_note']}", "start the server anew"
        )
    elif stats["previous"]:
        yield Finding("note", "encoder", f"{stats['previous']} still serves what is not re-encoded", "wait")


def _learning(told: dict[str, Any]) -> Iterator[Finding]:
    from server.doctor import Finding

    waited, canary = told["oldest_waiting_s"] or 0.0, told["canary"]
    is_late = waited > LATE_S
    remedy = "is its model reachable? `apprentice learning` and the log say more" if is_late else ""
    shown = f"{told['waiting']} episodes wait to be learned from, the first for {waited:.0f} s"
    yield Finding("bad" if is_late else "ok", "queue", shown, remedy)
    if canary is None:
        yield Finding("note", "canary", "none has come back yet", "`apprentice learning --canary`")
    elif canary["ok"]:
        yield Finding("ok", "canary", "the newest lesson came through")
    else:
        lost = f"lost at {canary['failed']}: {canary['reason']}"
        yield Finding("bad", "canary", lost, "`apprentice learning --canary` once that is mended")


def _failed(client: Client, url: str, key: str) -> Iterator[Finding]:
    """Learning that gave up: it goes on from its last good step."""
    from server.doctor import Finding

    for job in client.get("/v1/jobs", kind="learn", state="failed")["data"]:
        yield Finding(
            "bad",
            "jobs",
            f"learning from {job['id']} failed: {job['error']}",
            "try again once the cause is mended",
            partial(_again, url, key, job["id"]),
        )


def _again(url: str, key: str, job_id: str) -> str:
    from server.client import Client

    with Client(url, key) as client:
        client.post(f"/v1/jobs/learn/{job_id}/retry")
    return f"learning from {job_id} was queued again"


def _mended(findings: list[Finding]) -> list[str]:
    from memory.errors import ApprenticeError

    done = []
    for place, finding in enumerate(findings):
        if finding.mend is None:
            continue
        try:
            done.append(finding.mend())
        except (ApprenticeError, OSError) as error:
            done.append(f"not done: {error}")
            continue
        findings[place] = type(finding)("note", finding.check, f"mended: {finding.told}")
    return done
