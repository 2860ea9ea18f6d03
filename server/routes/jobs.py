"""Jobs: everything that runs in a namespace, of whatever kind."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from memory.errors import BadInput
from server.acting import MANNERS, cancel_job, retry_job
from server.deps import After, CoreDep, Limit, Reader, Writer
from server.jobs import Job, JobAddress, JobState
from server.schemas.jobs import JobList, JobOut, ProgressEvent

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("", summary="Everything that runs, newest first")
async def list_jobs(
    core: CoreDep,
    caller: Reader,
    limit: Limit = 50,
    after: After = None,
    kind: Annotated[list[str] | None, Query(description="Only these kinds.")] = None,
    state: Annotated[list[JobState] | None, Query(description="Only in these states.")] = None,
) -> JobList:
    """Tasks, batches, learning, consolidation, builds, distillations, proposals and deliveries alike."""
    strange = set(kind or ()) - set(MANNERS)
    if strange:
        raise BadInput(f"there are no jobs of the kind {sorted(strange)[0]!r}: {', '.join(MANNERS)}")
    jobs = await core.jobs.everything(
        caller.namespace,
        limit=limit + 1,
        after=None if after is None else _parsed(caller.namespace, after),
        kinds=kind or tuple(MANNERS),
        states=state or (),
    )
    data = [_view(job) for job in jobs[:limit]]
    last = data[-1] if len(jobs) > limit else None
    return JobList(data=data, next=None if last is None else f"{last.kind}/{last.id}")


@router.get("/{kind}/{job_id}", summary="One job")
async def get_job(kind: str, job_id: str, core: CoreDep, caller: Reader) -> JobOut:
    """As it stands, with the newest thing it told."""
    job = await core.jobs.get(JobAddress(caller.namespace, kind, job_id))
    latest = await core.jobs.latest_event(job.address)
    told = None if latest is None else ProgressEvent(seq=latest.seq, name=latest.name, data=latest.data)
    return _view(job).model_copy(update={"progress": told})


@router.post("/{kind}/{job_id}/cancel", summary="Stop a job")
async def cancel(kind: str, job_id: str, core: CoreDep, caller: Writer) -> JobOut:
    """Where its kind can be stopped at any moment; else 409 says why. By whoever may stop such jobs."""
    return _view(await cancel_job(core, caller, JobAddress(caller.namespace, kind, job_id)))


@router.post("/{kind}/{job_id}/retry", summary="Try a job again")
async def retry(kind: str, job_id: str, core: CoreDep, caller: Writer) -> JobOut:
    """One that failed or was cancelled goes on from its last good step, e.g. after a model was down."""
    return _view(await retry_job(core, caller, JobAddress(caller.namespace, kind, job_id)))


def _parsed(namespace: str, after: str) -> JobAddress:
    kind, _, job_id = after.partition("/")
    return JobAddress(namespace, kind, job_id)


def _view(job: Job) -> JobOut:
    manner = MANNERS.get(job.address.kind)
    return JobOut(
        id=job.address.id,
        kind=job.address.kind,
        state=job.state,
        attempts=job.attempts,
        created_at=job.created_at,
        updated_at=job.updated_at,
        ended_at=job.ended_at,
        error=job.error,
        can_cancel=manner is not None and not manner.steady and not job.is_ended,
        can_retry=manner is not None and not manner.fresh and job.state in {"failed", "cancelled"},
    )
