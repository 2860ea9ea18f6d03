"""Proposals: tasks that the server looks for itself, by what memory holds."""

from __future__ import annotations

from fastapi import APIRouter

from distill.sources.named import check_source
from memory.modes import USES
from server.auth import Identity
from server.deps import After, CoreDep, Limit, Reader, ServicesDep, Worker, Writer
from server.errors import Busy
from server.jobs import Job, JobAddress, json_object
from server.learning import mode_for
from server.proposals import PROPOSE, ProposeOrder, check_order, report_of
from server.schemas.proposals import ProposalList, ProposalOut, ProposalRequest
from server.services import new_id
from server.work import LEARN

router = APIRouter(prefix="/v1/proposals", tags=["tasks"])


@router.post("", summary="Propose tasks", status_code=202)
async def start(body: ProposalRequest, core: CoreDep, services: ServicesDep, caller: Worker) -> ProposalOut:
    """A source proposes tasks by what memory holds; a filter refuses what is no task, the gate's, known, too
    easy or too hard, each with its reason; a judge weighs the rest. What passes is set like any task.
    """
    check_source(body.source)
    mode = await mode_for(core, services.settings, caller.namespace, body.memory)
    waiting = await core.jobs.backlog(caller.namespace, LEARN)
    if not body.dry_run and USES[mode].learns and waiting >= services.settings.max_learning_backlog:
        raise Busy("too many episodes of this namespace wait to be learned from; try again later")
    model = core.models.resolve(body.model, caller.namespace)
    order = ProposeOrder(
        principal=caller.principal,
        channel=caller.channel,
        source=body.source,
        world=body.world,
        family=body.place,
        n=body.n,
        model=model,
        writer=core.models.resolve(body.proposer or model, caller.namespace),
        memory=mode,
        budget=body.budget.to_budget(max_seconds=services.settings.max_task_s),
        dry_run=body.dry_run,
    )
    await check_order(core, caller.namespace, order)
    return _view(await core.jobs.enqueue(_address(caller, new_id("prop")), json_object(order)))


@router.get("", summary="Searches for tasks, newest first")
async def list_proposals(
    core: CoreDep, caller: Reader, limit: Limit = 20, after: After = None
) -> ProposalList:
    """One page of this namespace's."""
    jobs = await core.jobs.list(caller.namespace, PROPOSE, limit=limit + 1, after=after)
    data = [_view(job) for job in jobs[:limit]]
    return ProposalList(data=data, next=data[-1].id if len(jobs) > limit else None)


@router.get("/{proposal_id}", summary="One search for tasks")
async def get_proposal(proposal_id: str, core: CoreDep, caller: Reader) -> ProposalOut:
    """State, and the report once it has ended."""
    return _view(await core.jobs.get(_address(caller, proposal_id)))


@router.post("/{proposal_id}/cancel", summary="Stop a search for tasks")
async def cancel(proposal_id: str, core: CoreDep, caller: Writer) -> ProposalOut:
    """It ends at once; tasks that it has set go on."""
    return _view(await core.jobs.cancel(_address(caller, proposal_id)))


def _view(job: Job) -> ProposalOut:
    return ProposalOut(
        id=job.address.id,
        state=job.state,
        source=str(job.input["source"]),
        created_at=job.created_at,
        ended_at=job.ended_at,
        report=report_of(job.output),
        error=job.error,
    )


def _address(caller: Identity, proposal_id: str) -> JobAddress:
    return JobAddress(caller.namespace, PROPOSE, proposal_id)
