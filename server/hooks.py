"""Webhooks: whom a namespace wants to be told of what, and what is sent. No HTTP here.

What is to be told is told again when the job that says so is replayed, under the same id: a delivery is a job
whose id is made of webhook and event, so that it is begun once. Nothing is lost between an event and its
deliveries, and receivers drop what they have seen by `webhook-id`.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from memory.codec import from_json
from memory.errors import BadInput, OverQuota
from memory.types import Json
from server.jobs import Job, JobAddress, Jobs, json_object
from server.naming import digest
from server.outbound import Outbound
from server.shelf import Document, Shelf

HookEvent = Literal[
    "task.ended",
    "task.asks",
    "batch.ended",
    "episode.learned",
    "distillation.ended",
    "adapter.promoted",
]
EVENTS: tuple[HookEvent, ...] = get_args(HookEvent)
TEST = "webhook.test"
DELIVER = "delivery"
_KIND = "webhook"
_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class Hook:
    """Where to send, and of what."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str
    """`whsec_` and base64; it signs, so it is kept as it is."""
    label: str
    created_at: float
    created_by: str
    failures: int = 0
    """Attempts in a row that failed."""
    disabled: str | None = None
    """Why nothing is sent any more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook, as its job stores it."""

    hook: str
    event: str
    """Its id, the same at every attempt and to every webhook."""
    type: str
    at: float
    data: dict[str, Json]


class Hooks:
    """The webhooks of all namespaces."""

    def __init__(
        self, shelf: Shelf, outbound: Outbound, jobs: Jobs, *, most: int, clock: Callable[[], float]
    ) -> None:
        self._shelf = shelf
        self._outbound = outbound
        self._jobs = jobs
        self._most = most
        self._clock = clock

    async def create(
        self, namespace: str, url: str, events: tuple[HookEvent, ...], *, label: str, principal: str
    ) -> Hook:
        """A new one with a secret of its own. Raises BadInput on an address that may not be, OverQuota."""
        if not events:
            raise BadInput(f"name at least one event: {', '.join(EVENTS)}")
        self._outbound.check(url)
        if len(await self.all(namespace)) >= self._most:
            raise OverQuota(f"the namespace has {self._most} webhooks: delete one (APPRENTICE_MAX_WEBHOOKS)")
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
        hook = Hook(f"hook_{secrets.token_hex(12)}", url, events, secret, label, self._clock(), principal)
        await self._shelf.put(namespace, _KIND, hook.id, json_object(hook))
        return hook

    async def all(self, namespace: str) -> list[Hook]:
        """Oldest first."""
        return [_hook(row) for _, _, row in await self._shelf.all(_KIND, namespace)]

    async def get(self, namespace: str, hook_id: str) -> Hook:
        """Raises NotFound."""
        return _hook(await self._shelf.get(namespace, _KIND, hook_id))

    async def delete(self, namespace: str, hook_id: str) -> None:
        """What is under way to it is given up. Raises NotFound."""
        await self._shelf.remove(namespace, _KIND, hook_id)

    async def change(self, namespace: str, hook_id: str, how: Callable[[Hook], Hook]) -> Hook:
        """Raises NotFound."""
        row = await self._shelf.change(namespace, _KIND, hook_id, lambda row: json_object(how(_hook(row))))
        return _hook(row)

    async def enable(self, namespace: str, hook_id: str) -> Hook:
        """Send again what happens from now on. Raises NotFound."""
        return await self.change(namespace, hook_id, lambda hook: replace(hook, failures=0, disabled=None))

    async def emit(self, namespace: str, event: HookEvent, key: str, data: dict[str, Json]) -> None:
        """Tell those who want to know; of the same event and key once, however often this is called."""
        wanted = [hook for hook in await self.all(namespace) if event in hook.events and not hook.disabled]
        named = f"evt_{digest(namespace, event, key)}"
        for hook in wanted:
            await self._start(namespace, Delivery(hook.id, named, event, self._clock(), data))

    async def test(self, namespace: str, hook_id: str) -> Job:
        """Send an event that says nothing. Raises NotFound."""
        hook = await self.get(namespace, hook_id)
        data: dict[str, Json] = {"webhook": hook.id}
        return await self._start(
            namespace, Delivery(hook.id, f"evt_{secrets.token_hex(12)}", TEST, self._clock(), data)
        )

    async def deliveries(
        self, namespace: str, hook_id: str, *, limit: int, after: str | None
    ) -> tuple[Job, ...]:
        """The newest first, behind the event `after`. Raises NotFound."""
        await self.get(namespace, hook_id)
        last = None if after is None else f"{hook_id}.{after}"
        return await self._jobs.list(namespace, DELIVER, limit=limit, after=last, prefix=f"{hook_id}.")

    async def _start(self, namespace: str, delivery: Delivery) -> Job:
        address = JobAddress(namespace, DELIVER, f"{delivery.hook}.{delivery.event}")
        # The engine must not take this for a part of the job that tells of it.
        starting = self._jobs.start(address, json_object(delivery))
        return await asyncio.create_task(starting, context=contextvars.Context())


def _hook(row: Document) -> Hook:
    return from_json(Hook, dict(row))
