"""Webhooks: be told over HTTP of what happens in a namespace."""

from __future__ import annotations

from fastapi import APIRouter, Response

from server.deps import After, CoreDep, Limit, Operator
from server.hooks import Hook
from server.jobs import Job
from server.schemas.webhooks import (
    AttemptOut,
    DeliveryList,
    DeliveryOut,
    NewWebhook,
    WebhookIn,
    WebhookList,
    WebhookOut,
)
from server.services import Core

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.post("", summary="Be told of events", status_code=201)
async def create(body: WebhookIn, core: CoreDep, caller: Operator) -> NewWebhook:
    """Signed by the Standard Webhooks scheme, at least once each, in no order; drop what you have seen by
    `webhook-id`. The secret is shown in this answer alone.
    """
    hook = await core.hooks.create(
        caller.namespace, body.url, tuple(body.events), label=body.label, principal=caller.principal
    )
    return NewWebhook(**_view(hook).model_dump(), secret=hook.secret)


@router.get("", summary="Webhooks")
async def list_webhooks(core: CoreDep, caller: Operator) -> WebhookList:
    """Of this namespace, without their secrets."""
    return WebhookList(data=[_view(hook) for hook in await core.hooks.all(caller.namespace)])


@router.get("/{webhook_id}", summary="One webhook")
async def get_webhook(webhook_id: str, core: CoreDep, caller: Operator) -> WebhookOut:
    """As it stands."""
    return _view(await core.hooks.get(caller.namespace, webhook_id))


@router.delete("/{webhook_id}", summary="Be told no more", status_code=204)
async def delete(webhook_id: str, core: CoreDep, caller: Operator) -> Response:
    """What is on its way is given up."""
    await core.hooks.delete(caller.namespace, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/enable", summary="Switch a webhook on again")
async def enable(webhook_id: str, core: CoreDep, caller: Operator) -> WebhookOut:
    """After many failures in a row, or the answer 410, it is switched off and `disabled` says why."""
    return _view(await core.hooks.enable(caller.namespace, webhook_id))


@router.post("/{webhook_id}/test", summary="Send a test event")
async def test(webhook_id: str, core: CoreDep, caller: Operator) -> DeliveryOut:
    """An event `webhook.test`; answered when the first attempt has been made."""
    job = await core.hooks.test(caller.namespace, webhook_id)
    made = anext(core.jobs.events(job.address), None)
    await made
    return await _delivery(core, await core.jobs.wait(job.address, timeout_s=0.2))


@router.get("/{webhook_id}/deliveries", summary="The delivery log")
async def deliveries(
    webhook_id: str, core: CoreDep, caller: Operator, limit: Limit = 50, after: After = None
) -> DeliveryList:
    """Newest first, for as long as jobs are kept."""
    jobs = await core.hooks.deliveries(caller.namespace, webhook_id, limit=limit + 1, after=after)
    data = [await _delivery(core, job) for job in jobs[:limit]]
    return DeliveryList(data=data, next=data[-1].id if len(jobs) > limit else None)


def _view(hook: Hook) -> WebhookOut:
    return WebhookOut(
        id=hook.id,
        url=hook.url,
        events=[*hook.events],
        label=hook.label,
        created_at=hook.created_at,
        created_by=hook.created_by,
        failures=hook.failures,
        disabled=hook.disabled,
    )


async def _delivery(core: Core, job: Job) -> DeliveryOut:
    last = await core.jobs.latest_event(job.address)
    return DeliveryOut(
        id=str(job.input["event"]),
        webhook=str(job.input["hook"]),
        type=str(job.input["type"]),
        state=job.state,
        created_at=job.created_at,
        ended_at=job.ended_at,
        last=None if last is None else AttemptOut.model_validate(last.data),
        error=job.error,
    )
