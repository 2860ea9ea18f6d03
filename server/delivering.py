"""Deliveries to webhooks, as jobs: signed by the Standard Webhooks scheme, tried again until they arrive."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from memory.codec import from_json
from memory.errors import ApprenticeError, NotFound
from memory.types import Json
from server.errors import Unreachable
from server.hooks import DELIVER, Delivery, Hook, Hooks
from server.jobs import JobKind, JobRun, json_object
from server.outbound import Outbound

AT_ONCE = 256
"""Deliveries under way in one process; those that wait for their next attempt hold no place."""
GONE = 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one went."""

    n: int
    """Counts from 1."""
    at: float
    status: int | None = None
    """The receiver's; None where there was no answer."""
    error: str | None = None


class Delivering:
    """The handler of deliveries."""

    def __init__(
        self,
        hooks: Hooks,
        outbound: Outbound,
        *,
        retries_s: tuple[float, ...],
        failures: int,
        clock: Callable[[], float],
    ) -> None:
        self._hooks = hooks
        self._outbound = outbound
        self._retries_s = retries_s
        self._failures = failures
        self._clock = clock

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Try until it arrives or the attempts are used up; one that failed may be resumed for one more."""
        delivery = from_json(Delivery, dict(arguments))
        namespace = run.address.namespace
        for n in range(len(self._retries_s) + 1):
            if n:
                await run.receive(f"attempt {n + 1}", timeout_s=self._retries_s[n - 1])
            is_last = n == len(self._retries_s)

            async def attempt(n: int = n, is_last: bool = is_last) -> Json:
                return json_object(await self._attempt(namespace, delivery, n + 1, is_last=is_last))

            tried = from_json(Attempt, _object(await run.step(f"attempt {n + 1}", attempt)))
            await run.event("attempt", json_object(tried))
            if tried.error is None:
                return json_object(tried)
        raise AssertionError("the last attempt arrives or raises")

    def kinds(self) -> dict[str, JobKind]:
        """What the job engine is told."""
        return {DELIVER: JobKind(self.run, limit=AT_ONCE)}

    async def _attempt(self, namespace: str, delivery: Delivery, n: int, *, is_last: bool) -> Attempt:
        """One. Raises NotFound when nobody wants it any more, Unreachable when the last one fails."""
        try:
            hook = await self._hooks.get(namespace, delivery.hook)
        except NotFound:
            raise NotFound(f"the webhook {delivery.hook!r} was deleted") from None
        if hook.disabled is not None:
            raise Unreachable(f"the webhook {hook.id!r} is switched off: {hook.disabled}")
        tried = await self._sent(hook, delivery, n)
        await self._hooks.change(namespace, hook.id, lambda now: self._told(now, tried))
        if tried.error is not None and (is_last or tried.status == GONE):
            raise Unreachable(f"{n} attempts, the last: {tried.error}")
        return tried

    async def _sent(self, hook: Hook, delivery: Delivery, n: int) -> Attempt:
        at = self._clock()
        body = body_of(delivery)
        try:
            answer = await self._outbound.send(
                "POST", hook.url, content=body.encode(), headers=signed(hook, delivery.event, at, body)
            )
        except ApprenticeError as error:
            # Also what is refused now: the operator may list the address before the next attempt.
            return Attempt(n, at, error=str(error))
        is_good = 200 <= answer.status < 300
        return Attempt(n, at, answer.status, None if is_good else f"it answered {answer.status}")

    def _told(self, hook: Hook, tried: Attempt) -> Hook:
        if tried.error is None:
            return replace(hook, failures=0)
        failures = hook.failures + 1
        if tried.status == GONE:
            return replace(hook, failures=failures, disabled="the receiver says that it is gone (410)")
        if failures >= self._failures:
            why = f"{failures} attempts in a row failed, the last: {tried.error}"
            return replace(hook, failures=failures, disabled=why)
        return replace(hook, failures=failures)


def body_of(delivery: Delivery) -> str:
    """What is sent, the same at every attempt."""
    at = datetime.fromtimestamp(delivery.at, UTC).isoformat()
    return json.dumps({"type": delivery.type, "timestamp": at, "data": delivery.data}, ensure_ascii=False)


def signed(hook: Hook, event: str, at: float, body: str) -> dict[str, str]:
    """The headers of an attempt at time `at`, by https://www.standardwebhooks.com."""
    from standardwebhooks import Webhook  # needed with the first webhook alone

    when = datetime.fromtimestamp(int(at), UTC)
    return {
        "content-type": "application/json",
        "user-agent": "apprentice-webhooks/1",
        "webhook-id": event,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(hook.secret).sign(event, when, body),
    }


def _object(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value
