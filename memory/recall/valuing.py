"""What candidates are worth to a question, by the policy that reads. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from memory.entry import Vector
from memory.recall.choosing import Candidate, RecallSettings
from memory.types import Item, Query, ReadName, Utility
from memory.value.lift import shrunken as shrunken_lifts
from memory.value.means import PRIOR_N
from memory.value.reads import READS, Memo, Seen

Family = tuple[str, str | None]
"""What experience is shared within: kind of item and family."""


def policy_of(query: Query, settings: RecallSettings) -> ReadName:
    """The question's own policy goes before the memory's."""
    return query.policy or settings.read.policy


def family_of(item: Item) -> Family:
    """Where an item without a past gets its value from."""
    return item.kind, item.family


def priors(items: Iterable[Item]) -> dict[Family, float]:
    """Mean reward over all uses of each family's items, drawn to that of the others, it to one half.

    Source: none; two levels of `PRIOR_N` imagined uses. What was never used has no say.
    """
    used: dict[Family, list[Utility]] = {}
    for item in items:
        family = item.kind, item.family
        if family not in used:
            used[family] = []
        if item.utility.n:
            used[family].append(item.utility)
    sums = {
        family: (sum(one.n for one in some), math.fsum([one.reward_sum for one in some]))
        for family, some in used.items()
    }
    return {family: _prior(family, sums) for family in sums}


def _prior(family: Family, sums: Mapping[Family, tuple[int, float]]) -> float:
    n = sum(n for other, (n, _) in sums.items() if other != family)
    total = math.fsum(total for other, (_, total) in sums.items() if other != family)
    above = (0.5 * PRIOR_N + total) / (PRIOR_N + n)
    own_n, own = sums[family]
    return (PRIOR_N * above + own) / (PRIOR_N + own_n)


def valued(
    candidates: Sequence[Candidate],
    pool: Sequence[Item],
    memos: Mapping[str, Sequence[Memo]],
    *,
    policy: ReadName,
    question: Vector,
    settings: RecallSettings,
) -> list[Candidate]:
    """Each with what the policy makes of it; `pool` are all that were found, the families' members."""
    expected, added = priors(pool), _family_lifts(pool)
    return [
        with_value(
            one,
            READS[policy](
                Seen(
                    one.item.utility,
                    one.score.dense,
                    tuple(memos.get(one.item.id, ())),
                    expected[family_of(one.item)],
                    added[family_of(one.item)],
                    question,
                    one.found.vector,
                ),
                settings.read,
            ),
        )
        for one in candidates
    ]


def with_value(one: Candidate, value: float) -> Candidate:
    """The same, worth this."""
    return replace(one, score=replace(one.score, utility=value))


def _family_lifts(pool: Sequence[Item]) -> dict[Family, float]:
    """What showing items of each family adds: what an item gets that no coin has decided about."""
    families = {family_of(item) for item in pool}
    names = {family: f"{family[0]}/{family[1]}" for family in families}
    lifts = {item.id: item.utility.lift for item in pool} | dict.fromkeys(names.values())
    groups = {item.id: names[family_of(item)] for item in pool} | {name: name for name in names.values()}
    found = shrunken_lifts(lifts, groups)
    return {family: found[name] for family, name in names.items()}
