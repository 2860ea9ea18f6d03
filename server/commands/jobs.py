"""`apprentice jobs`: everything that runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

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

jobs_app = typer.Typer(help="See, stop and try again whatever runs.", no_args_is_help=True)
Kind = Annotated[str, typer.Argument(help="As `jobs list` shows it: task, learn, batch, ...")]
JobId = Annotated[str, typer.Argument(help="The job's id.")]


@jobs_app.command("list")
def list_jobs(
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    state: Annotated[str | None, typer.Option(help="queued, running, done, failed, cancelled.")] = None,
    limit: int = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
) -> None:
    """Newest first."""
    with connect(url, data) as client:
        page = client.get("/v1/jobs", limit=limit, kind=kind, state=state)
    if as_json:
        show_json(page)
        return
    rows = [
        (job["kind"], job["id"], job["state"], job["attempts"], _at(job["created_at"]), job["error"])
        for job in page["data"]
    ]
    show_table("Jobs", ("kind", "id", "state", "tries", "since", "error"), rows, "`apprentice task run`.")


@jobs_app.command("show")
def show_job(
    kind: Kind, job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """One job, and the newest thing it told."""
    with connect(url, data) as client:
        job = client.get(f"/v1/jobs/{kind}/{job_id}")
    if as_json:
        show_json(job)
        return
    _show(job)
    if job["progress"] is not None:
        console.print(f"{job['progress']['name']}: {job['progress']['data']}", highlight=False)


@jobs_app.command("cancel")
def cancel_job(
    kind: Kind, job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Stop it, where jobs of its kind can be stopped."""
    with connect(url, data) as client:
        job = client.post(f"/v1/jobs/{kind}/{job_id}/cancel")
    _tell(job, as_json=as_json)


@jobs_app.command("retry")
def retry_job(
    kind: Kind, job_id: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, data: Data = DEFAULT_DATA
) -> None:
    """Let one that failed or was cancelled go on from its last good step."""
    with connect(url, data) as client:
        job = client.post(f"/v1/jobs/{kind}/{job_id}/retry")
    _tell(job, as_json=as_json)


def _tell(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(job)
    else:
        _show(job)


def _show(job: dict[str, Any]) -> None:
    ends = f" until {_at(job['ended_at'])}" if job["ended_at"] else ""
    console.print(f"{job['kind']} {job['id']}: {job['state']}, since {_at(job['created_at'])}{ends}")
    if job["error"]:
        console.print(f"error: {job['error']}", highlight=False)


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%d %b %H:%M:%S")
