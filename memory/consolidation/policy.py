"""What should be put in order: near-duplicates merged, procedures drawn from cases, the unused archived.

Pure. Statistics are not discounted here: the running value forgets by itself, and late feedback must find
what it once added. Nothing is deleted; everything proposed can be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from memory.author import Author
from memory.consolidation.duplicates import merges
from memory.consolidation.induction import inductions
from memory.consolidation.proposals import ConsolidationSettings, Proposal
from memory.entry import RECALLABLE, Vector
from memory.types import Item, ItemKind
from memory.value.lift import verdict
from memory.value.means import prior_mean, shrunken
from memory.writing.merging import pooled

EXPERIENCE = frozenset({"case", "procedure", "flow"})
"""Kinds that are archived when nobody uses them; what somebody told the agent is not."""
DAY_S = 86_400.0


def plan(
    items: Sequence[Item], vectors: Mapping[str, Vector], *, at: float, settings: ConsolidationSettings
) -> Iterator[Proposal]:
    """Everything to be done for the items of one namespace, in order; retired items are for reference.

    `vectors` are unit (d,) by text digest; items without one are left as they are. What is planned later sees
    the items as the earlier proposals leave them, so that a second plan after all was done is empty.
    """
    living = {item.id: item for item in items if _is_living(item, at)}
    gone = [item for item in items if item.id not in living and item.superseded_by is None]
    for proposal in list(merges(list(living.values()), vectors, settings)):
        yield proposal
        merged = _merged([living.pop(id_) for id_ in proposal.items], proposal, at)
        living[merged.id] = merged
    for proposal in list(_archives(list(living.values()), gone, at, settings)):
        yield proposal
        del living[proposal.items[0]]
    yield from inductions(items, list(living.values()), vectors, settings)


def _merged(parts: Sequence[Item], proposal: Proposal, at: float) -> Item:
    assert proposal.draft is not None
    assert proposal.made is not None
    author = Author(parts[0].namespace, parts[0].author, parts[0].channel, at, "")
    return pooled(parts, proposal.draft, author, proposal.made, min(part.trust for part in parts))


def _is_living(item: Item, at: float) -> bool:
    return item.status in RECALLABLE and (item.valid_to is None or at < item.valid_to)


def _archives(
    living: Sequence[Item], others: Sequence[Item], at: float, settings: ConsolidationSettings
) -> Iterator[Proposal]:
    # What was archived before still says what is usual, or each run would find the next ones below it.
    by_kind: dict[ItemKind, list[Item]] = {}
    for item in (*living, *others):
        by_kind.setdefault(item.kind, []).append(item)
    priors = {kind: prior_mean([item.utility for item in group]) for kind, group in by_kind.items()}
    for item in sorted(living, key=lambda item: item.id):
        if item.pinned or item.kind not in EXPERIENCE:
            continue
        reason = _useless(item, priors[item.kind], at, settings)
        if reason is not None:
            yield Proposal("archive", (item.id,), (item.version,), reason)


def _useless(item: Item, prior: float, at: float, settings: ConsolidationSettings) -> str | None:
    lift, value = item.utility.lift, shrunken(item.utility, prior)
    # Found for hard tasks, the best of items has a low mean: where a coin decided, it has the word.
    if lift is None and item.utility.n >= settings.min_uses and value < settings.low_value * prior:
        return f"used {item.utility.n} times for {value:.2f} where {prior:.2f} is usual"
    if lift is not None and lift.mean <= 0.0 and verdict(lift, 1) == "futile":
        return f"adds {lift.mean:.2f} over {lift.n} episodes in which a coin decided"
    last = max(item.updated_at, item.utility.last_used_at or 0.0)
    if at - last > settings.unused_days * DAY_S:
        return f"not used for {(at - last) / DAY_S:.0f} days"
    return None
