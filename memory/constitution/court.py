"""Who is promoted and who goes: principles judged by their lift and by who vouches for them. Pure.

A principle on trial becomes active when enough independent principals saw what it says and, where coins were
tossed, its lift is credibly above none. One whose lift is credibly below is quarantined, on trial or active:
what says the same then finds it there and does not come back on trial by itself; an operator may release it.
One that stays undecided for long is put back to draft. An operator promotes by an edit, without this court;
what an operator made active, the court leaves alone, and likewise what is pinned. Tools that agents wrote are
judged alike; where no coin was tossed, by the episodes in which they did their work and that went well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from memory.types import Item, Lift, PrincipleBody, Status
from memory.value.lift import Verdict


class Judge(Protocol):
    """What the evidence of the coins says."""

    def __call__(self, lift: Lift, arrival: int) -> Verdict:
        """`arrival` is the principle's number in its namespace, from 1: the later, the harder the test."""
        ...


@dataclass(frozen=True, slots=True)
class CourtSettings:
    """What it takes to be promoted."""

    principals: int = 2
    """Independent ones whose episodes are evidence; one is enough while a namespace knows only one."""
    min_support: int = 2
    """Episodes known here that are its evidence, where no coin was tossed; what it claims does not count."""
    min_confidence: float = 0.8
    """Share of its occasions that bear it out, where no coin was tossed."""


@dataclass(frozen=True, slots=True)
class Backing:
    """What of a principle's evidence is known here and may teach."""

    episodes: int
    principals: int
    """Who lived them."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the court has to look up; asked only when it matters."""

    arrivals: Mapping[str, int]
    """By id of the principle."""
    backing: Callable[[Item], Backing]
    known: Callable[[], int]
    """How many principals the namespace knows."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A new status for a principle, and why."""

    item: str
    version: int
    status: Status
    reason: str

    @property
    def op(self) -> Literal["promote", "demote"]:
        """What the log calls it."""
        return "promote" if self.status == "active" else "demote"


def decide(
    principles: Sequence[Item], bench: Bench, judge: Judge, settings: CourtSettings
) -> tuple[Decision, ...]:
    """What has to change, in the order given; most often nothing."""
    found = []
    for item in principles:
        ruled = _ruled(item, bench, judge, settings)
        if ruled is not None:
            found.append(Decision(item.id, item.version, *ruled))
    return tuple(found)


def _ruled(item: Item, bench: Bench, judge: Judge, settings: CourtSettings) -> tuple[Status, str] | None:
    if item.pinned or (item.status == "active" and item.channel == "operator"):
        return None
    lift = item.utility.lift
    if lift is None or lift.n == 0:
        return _without_coins(item, bench, settings)
    verdict = judge(lift, bench.arrivals[item.id])
    measured = f"lift {lift.mean:+.3f} over {lift.n} episodes"
    if verdict == "retire":
        return "quarantined", f"credibly harmful: {measured}"
    if item.status != "trial":
        return None
    if verdict == "futile":
        return "draft", f"undecided for too long: {measured}"
    if verdict == "promote" and _is_vouched_for(item, bench, settings):
        return "active", f"credibly helpful: {measured}"
    return None


def _without_coins(item: Item, bench: Bench, settings: CourtSettings) -> tuple[Status, str] | None:
    """Shown for certain: nothing tells its effect, so what was seen decides."""
    if item.status != "trial":
        return None
    seen = "where it did its work"
    if isinstance(item.body, PrincipleBody):
        share = _share(item.body)
        if item.utility.n == 0 or share < settings.min_confidence:
            return None
        seen = f"in {share:.0%} of its occasions"
    n_episodes = bench.backing(item).episodes
    if n_episodes < settings.min_support or not _is_vouched_for(item, bench, settings):
        return None
    return "active", f"borne out by {n_episodes} episodes {seen}; no coins were tossed"


def _share(body: PrincipleBody) -> float:
    seen = body.support + body.violations
    return body.confidence if body.confidence is not None else body.support / max(1, seen)


def _is_vouched_for(item: Item, bench: Bench, settings: CourtSettings) -> bool:
    if item.channel == "operator":
        return True
    backers = bench.backing(item).principals
    return backers >= settings.principals or (backers == 1 and bench.known() == 1)
