"""What a new item is made of: a draft, or a draft in the place of several items. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memory.author import Author
from memory.nouns.making import maker
from memory.types import Draft, Item, Lineage, Utility

_FRESH = Utility()
_item = maker(Item)


def item_of_draft(draft: Draft, author: Author, item_id: str, trust: int) -> Item:
    """A draft as the first version of an item."""
    return _item(
        id=item_id,
        namespace=author.namespace,
        kind=draft.kind,
        scope=draft.scope,
        family=draft.family,
        text=draft.text,
        body=draft.body,
        outcome=draft.outcome,
        status=draft.status,
        version=1,
        channel=author.channel,
        trust=trust,
        author=author.principal,
        created_at=author.at,
        updated_at=author.at,
        valid_from=author.at if draft.valid_from is None else draft.valid_from,
        valid_to=draft.valid_to,
        lineage=draft.lineage,
        utility=_FRESH,
        audience=draft.audience,
    )


def pooled(parts: Sequence[Item], draft: Draft, author: Author, item_id: str, trust: int) -> Item:
    """What a draft becomes in the place of several items: their evidence, their statistics, their pin."""
    lineages = [*(part.lineage for part in parts), draft.lineage]
    sources = {lineage.source for lineage in lineages[:-1]}
    lineage = Lineage(
        tuple(dict.fromkeys(piece for one in lineages for piece in one.evidence)),
        tuple(dict.fromkeys([*(part.id for part in parts), *draft.lineage.items])),
        draft.lineage.source or (sources.pop() if len(sources) == 1 else None),
    )
    authors = {part.author for part in parts}
    if len(authors) == 1:
        author = replace(author, principal=authors.pop())
    item = item_of_draft(replace(draft, lineage=lineage), author, item_id, trust)
    utility = added_up([part.utility for part in parts])
    return replace(item, pinned=any(part.pinned for part in parts), utility=utility)


def added_up(utilities: Sequence[Utility]) -> Utility:
    """Statistics of several items as those of one: counts and rewards add up, the running value is their mean
    weighted by uses.

    >>> added_up([Utility(n=1, reward_sum=1.0, q=1.0), Utility(n=3, reward_sum=0.0, q=0.0)]).q
    0.25
    """
    n = sum(one.n for one in utilities)
    used = [one.last_used_at for one in utilities if one.last_used_at is not None]
    return Utility(
        n=n,
        reward_sum=sum(one.reward_sum for one in utilities),
        q=sum(one.n * one.q for one in utilities) / n if n else 0.0,
        held_out_n=sum(one.held_out_n for one in utilities),
        held_out_reward_sum=sum(one.held_out_reward_sum for one in utilities),
        last_used_at=max(used, default=None),
        fetched=sum(one.fetched for one in utilities),
    )
