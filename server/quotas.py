"""How much a namespace may have at once and spend in a day: the server's settings, or what an operator of `*`
set for that namespace.

A day is one of UTC. What a task or a chat costs is counted when it has ended; so a quota that is reached
refuses what is new and lets what runs go on, which its own budget bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from memory.codec import from_json, to_json
from memory.types import Usage
from server.errors import QuotaReached
from server.jobs import Jobs
from server.metrics import Metrics
from server.shelf import Document, Shelf

DAY_S = 86_400
TASKS_RETRY_S = 5.0
LOOK_EVERY_S = 5.0
MOST_COUNTED = 256
"""Episodes that are remembered as counted: more than end in a namespace between a crash and its repair."""
_QUOTA, _SPENT, _NAME = "quota", "spent", "all"


@dataclass(frozen=True, slots=True)
class Quota:
    """Bounds of one namespace; None is no bound."""

    running: int | None = None
    """Tasks that act at the same time in one process; more wait their turn."""
    tasks: int | None = None
    """Tasks that wait or run; more are refused."""
    tokens_day: int | None = None
    """Tokens of models, of tasks and chats, in a day."""
    usd_day: float | None = None
    """What those may cost."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What of an episode was counted, on whatever day."""

    episode: str
    tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What a namespace has spent on one day."""

    day: str = ""
    tokens: int = 0
    usd: float = 0.0
    counted: tuple[Counted, ...] = ()
    """The latest episodes in it, so that one whose end is repeated after a crash counts once."""


class Quotas:
    """Looks up quotas and counts against them."""

    def __init__(self, shelf: Shelf, default: Quota, metrics: Metrics, *, clock: Callable[[], float]) -> None:
        self._shelf = shelf
        self._default = default
        self._metrics = metrics
        self._clock = clock
        self._known: dict[str, Quota] = {}
        """Those that were set, as last looked up."""
        self._looked_at = -math.inf

    async def open(self) -> None:
        """Know the quotas that were set. Raises StoreError."""
        self._known = {name: self._over(row) for name, _, row in await self._shelf.all(_QUOTA)}
        self._looked_at = self._clock()

    async def of(self, namespace: str) -> Quota:
        """What holds for a namespace; what another server set shows within `LOOK_EVERY_S`."""
        if abs(self._clock() - self._looked_at) > LOOK_EVERY_S:
            await self.open()
        return self._known.get(namespace, self._default)

    async def set(self, namespace: str, quota: Quota) -> Quota:
        """In the place of the server's settings; what is None in it is as these say."""
        row = to_json(quota)
        assert isinstance(row, dict)
        await self._shelf.change(namespace, _QUOTA, _NAME, lambda _: row, new=row)
        await self.open()
        return await self.of(namespace)

    async def unset(self, namespace: str) -> Quota:
        """The server's settings hold again. Raises NotFound where nothing was set."""
        await self._shelf.remove(namespace, _QUOTA, _NAME)
        await self.open()
        return await self.of(namespace)

    def share(self, namespace: str) -> int | None:
        """Tasks of it that may act at the same time, as last looked up."""
        return self._known.get(namespace, self._default).running

    async def spent(self, namespace: str) -> Spent:
        """Today so far."""
        row = await self._shelf.find(namespace, _SPENT, _NAME)
        return self._today(row or {})

    async def spend(self, namespace: str, usage: Usage, *, episode: str | None = None) -> None:
        """Count what was used, where a quota says how much it may be.

        With an `episode`, this is all that it has used so far: a second time, after a crash or when a
        cancelled task went on, only what has come since is counted.
        """
        quota = await self.of(namespace)
        if quota.tokens_day is None and quota.usd_day is None:
            return
        tokens = usage.prompt_tokens + usage.completion_tokens

        def more(row: Document) -> Document:
            after = to_json(_with(self._today(row), Counted(episode or "", tokens, usage.cost_usd)))
            assert isinstance(after, dict)
            return after

        await self._shelf.change(namespace, _SPENT, _NAME, more, new={})

    async def check_spending(self, namespace: str) -> None:
        """Raises QuotaReached when the day's tokens or money are used up."""
        quota = await self.of(namespace)
        if quota.tokens_day is None and quota.usd_day is None:
            return
        spent, wait_s = await self.spent(namespace), DAY_S - self._clock() % DAY_S
        if quota.tokens_day is not None and spent.tokens >= quota.tokens_day:
            used = f"used {spent.tokens} of its {quota.tokens_day} tokens of the day"
            self._refuse(namespace, "tokens_day", used, wait_s)
        if quota.usd_day is not None and spent.usd >= quota.usd_day:
            used = f"spent {spent.usd:.4g} of its {quota.usd_day:.4g} USD of the day"
            self._refuse(namespace, "usd_day", used, wait_s)

    async def admit(self, jobs: Jobs, namespace: str, kind: str, *, more: int = 1) -> None:
        """May so many tasks be set now? Raises QuotaReached."""
        await self.check_spending(namespace)
        quota = await self.of(namespace)
        if quota.tasks is None:
            return
        # More than the quota need not be counted.
        tally = await jobs.tally(namespace, kind, living=True, limit=quota.tasks + 1)
        living = sum(tally.values())
        if living + more > quota.tasks:
            has = f"has {living} tasks that wait or run, of {quota.tasks}"
            self._refuse(namespace, "tasks", f"{has}, and was sent {more} more", TASKS_RETRY_S)

    def _refuse(self, namespace: str, quota: str, has: str, wait_s: float) -> None:
        self._metrics.quota_refusals.labels(quota).inc()
        raise QuotaReached(
            f"the namespace {namespace!r} {has}: its quota `{quota}` is reached, try again in"
            f" {math.ceil(wait_s)} s (APPRENTICE_QUOTA_{quota.upper()}, or PUT /v1/quotas/{namespace})",
            wait_s,
        )

    def _over(self, row: Document) -> Quota:
        own = from_json(Quota, dict(row))
        base = self._default
        return Quota(
            base.running if own.running is None else own.running,
            base.tasks if own.tasks is None else own.tasks,
            base.tokens_day if own.tokens_day is None else own.tokens_day,
            base.usd_day if own.usd_day is None else own.usd_day,
        )

    def _today(self, row: Document) -> Spent:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        spent = from_json(Spent, dict(row))
        # What was counted before midnight may be repeated behind it.
        return spent if spent.day == day else Spent(day, counted=spent.counted)


def _with(spent: Spent, whole: Counted) -> Spent:
    mine = [one for one in spent.counted if whole.episode and one.episode == whole.episode]
    others = tuple(one for one in spent.counted if one not in mine)
    return Spent(
        spent.day,
        spent.tokens + whole.tokens - sum(one.tokens for one in mine),
        spent.usd + whole.usd - sum(one.usd for one in mine),
        (*others, whole)[-MOST_COUNTED:] if whole.episode else others,
    )
