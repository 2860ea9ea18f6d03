"""Which principles are in force, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Literal

from memory.constitution.conflicts import losers
from memory.entry import reach_of
from memory.types import Constitution, Dropped, Item, PrincipleBody
from memory.value import lift
from memory.value.means import prior_mean, shrunken

TIERS = ("global", "family", "tool")


def select(
    principles: Iterable[Item],
    *,
    namespace: str,
    family: str | None,
    at: float,
    token_budget: int,
    count_tokens: Callable[[str], int],
    every_family: bool = False,
) -> Constitution:
    """The principles valid at a time for a family: by tier, lift, utility, support; what the budget takes.

    What contradicts a narrower one is left out, see `conflicts`. A principle that does not fit is left out;
    shorter ones after it may still fit. What is left out is named, with the reason. `every_family` takes
    those of all families, contradictions too, for people to read; an agent at work sees only its own.
    """
    valid = [item for item in principles if _is_valid(item, at) and (every_family or is_of(item, family))]
    prior = prior_mean([item.utility for item in valid])
    gains = lift.shrunken(
        {item.id: item.utility.lift for item in valid}, {item.id: str(item.family) for item in valid}
    )
    ordered = sorted(valid, key=lambda item: _order(item, gains[item.id], prior))
    lost = {} if every_family else losers(ordered)
    kept: list[Item] = []
    dropped: list[Dropped] = []
    left = token_budget
    for item in ordered:
        if item.id in lost:
            dropped.append(Dropped(item.id, "conflict", lost[item.id]))
        elif (cost := count_tokens(line_of(item))) <= left:
            kept.append(item)
            left -= cost
        else:
            dropped.append(Dropped(item.id, "budget"))
    return Constitution(namespace, family, version_of(kept), tuple(kept), tuple(dropped))


def version_of(principles: Iterable[Item]) -> str:
    """Hash of ids and versions in order; equal constitutions read the same."""
    named = "\n".join(f"{item.id}@{item.version}" for item in principles)
    return sha256(named.encode()).hexdigest()[:16]


def is_of(item: Item, family: str | None) -> bool:
    """Does it hold for the family?"""
    reach = reach_of(item.scope, item.family, item.audience)
    return reach is None or (family is not None and reach == f"family:{family}")


def tier_of(item: Item) -> Literal["global", "family", "tool"]:
    """Where it stands; a case among the principles is our bug."""
    return _body(item).tier


def line_of(item: Item) -> str:
    """A principle as one line, whatever its text holds."""
    return f"- {' '.join(item.text.split())}"


def _is_valid(item: Item, at: float) -> bool:
    return (
        item.status in {"trial", "active"}
        and item.valid_from <= at
        and (item.valid_to is None or at < item.valid_to)
    )


def _order(item: Item, gain: float, prior: float) -> tuple[int, bool, float, float, int, str]:
    """`gain` is its lift, drawn to its family's: the same for all while no coin has decided about any."""
    body = _body(item)
    value = shrunken(item.utility, prior)
    return (
        *(TIERS.index(body.tier), not item.pinned, -gain, -value),
        *(body.violations - body.support, item.id),
    )


def _body(item: Item) -> PrincipleBody:
    assert isinstance(item.body, PrincipleBody), f"{item.kind} {item.id} among the principles"
    return item.body
