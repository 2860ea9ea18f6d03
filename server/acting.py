"""What may be done to jobs of each kind, and by whom. No HTTP here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memory.errors import Conflict, NotFound
from server.access import permit, rule_of
from server.advising import ADVISE
from server.announcing import BATCH
from server.auth import Identity
from server.batches import cancel_batch
from server.consolidating import CONSOLIDATE
from server.distilling import DISTILL
from server.flowing import FLOW
from server.hooks import DELIVER
from server.jobs import Job, JobAddress
from server.proposals import PROPOSE
from server.services import Core
from server.work import LEARN, TASK


@dataclass(frozen=True, slots=True)
class Manner:
    """How jobs of a kind may be dealt with."""

    route: str
    """Whoever may call it may do this too."""
    steady: str = ""
    """Why they are not cancelled; empty: they may be."""
    fresh: str = ""
    """Why they are not tried again; empty: they may be."""


MANNERS: Mapping[str, Manner] = {
    TASK: Manner("POST /v1/tasks/{task_id}/cancel"),
    BATCH: Manner("POST /v1/batches/{batch_id}/cancel", fresh="its tasks are, each by itself"),
    LEARN: Manner(
        "POST /v1/episodes/{episode_id}/feedback",
        steady="an episode learned in part would be credited for what was never reviewed; it ends by itself"
        " after a few calls of a model. The dial `memory` stops learning from what comes",
    ),
    CONSOLIDATE: Manner("POST /v1/memory/consolidations/{consolidation_id}/cancel"),
    ADVISE: Manner("POST /v1/constitution/builds/{build_id}/cancel"),
    DISTILL: Manner("POST /v1/distillations/{distillation_id}/cancel"),
    FLOW: Manner("POST /v1/flows/improvements/{improvement_id}/cancel"),
    PROPOSE: Manner("POST /v1/proposals/{proposal_id}/cancel"),
    DELIVER: Manner("POST /v1/webhooks/{webhook_id}/test"),
}
"""Kinds that a namespace has; the server's own are in the namespace `system`."""


async def cancel_job(core: Core, caller: Identity, address: JobAddress) -> Job:
    """Stop it; one that has ended is left as it is. Raises NotFound, Denied, Conflict."""
    manner = await _manner(core, caller, address)
    if manner.steady:
        raise Conflict(f"a job of the kind {address.kind!r} is not cancelled: {manner.steady}")
    if address.kind == BATCH:
        return await cancel_batch(core, address)
    return await core.jobs.cancel(address)


async def retry_job(core: Core, caller: Identity, address: JobAddress) -> Job:
    """Go on with one that failed or was cancelled, from its last good step. Raises as `cancel_job`."""
    manner = await _manner(core, caller, address)
    if manner.fresh:
        raise Conflict(f"a job of the kind {address.kind!r} is not tried again: {manner.fresh}")
    return await core.jobs.resume(address)


async def _manner(core: Core, caller: Identity, address: JobAddress) -> Manner:
    await core.jobs.get(address)
    manner = MANNERS.get(address.kind)
    if manner is None:
        raise NotFound(f"there is no {address.kind} {address.id!r} here")
    permit(caller, rule_of(*manner.route.split(" ", 1)))
    return manner
