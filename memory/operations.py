"""How items come in, inside one transaction: admit drafts, take in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.admission import are_twins, dedupe_key, merged, trust_of
from memory.author import Author
from memory.changes import put, sources_of
from memory.entry import Vector
from memory.errors import Conflict
from memory.merging import item_of_draft
from memory.store.writer import Writer
from memory.types import (
    TRUST,
    Draft,
    Episode,
    Item,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft on its way in: its vector, the id it would get, ids of items near enough to say the same."""

    draft: Draft
    vector: Vector
    id: str
    near: tuple[str, ...]


def admit(
    writer: Writer, author: Author, candidates: Sequence[Candidate], key: str | None, request: str
) -> tuple[Item, ...]:
    """Every draft as an item: a new one, or the one that says the same with the evidence added."""
    if key is not None and (answered := writer.answered(author.namespace, key)) is not None:
        if answered[0] != request:
            raise Conflict(f"the idempotency key {key!r} was used for another request: use a fresh one")
        found = writer.items_by_id(author.namespace, answered[1])
        return tuple(found[id_] for id_ in answered[1])
    items = tuple(_admit_one(writer, author, candidate) for candidate in candidates)
    if key is not None:
        writer.answer(author.namespace, key, request, items)
    return items


def take_in(
    writer: Writer, author: Author, items: Sequence[tuple[Item, Vector]], episodes: Sequence[Episode]
) -> int:
    """Add what is not there yet; returns how many items were."""
    n_added = 0
    for item, vector in items:
        said_already = item.status != "retired" and writer.same(author.namespace, dedupe_key(item), author.at)
        if writer.find(author.namespace, item.id) is not None or said_already:
            continue
        writer.add_item(item, vector, author, "import")
        n_added += 1
    for episode in episodes:
        if writer.find_episode(author.namespace, episode.id) is None:
            writer.add_episode(episode, None, author.principal, author.at)
    return n_added


def _admit_one(writer: Writer, author: Author, candidate: Candidate) -> Item:
    draft = candidate.draft
    sources = sources_of(writer, author.namespace, draft.lineage)
    existing = writer.same(author.namespace, dedupe_key(draft), author.at) or _twin(writer, author, candidate)
    if existing is not None:
        # What comes from outside may not add weight to what is known.
        merge = None if TRUST[author.channel] == 0 else merged(existing, draft)
        if merge is None:
            return existing
        trust = min(existing.trust, trust_of("operator", sources))
        return put(writer, author, existing, replace(merge, trust=trust), None, "merge")
    item = item_of_draft(draft, author, candidate.id, trust_of(author.channel, sources))
    writer.add_item(item, candidate.vector, author, "add")
    return item


def _twin(writer: Writer, author: Author, candidate: Candidate) -> Item | None:
    if not candidate.near:
        return None
    items = writer.items_by_id(author.namespace, candidate.near)
    for id_ in candidate.near:
        item = items.get(id_)
        if item is None or item.status == "retired" or _is_over(item, author.at):
            continue
        if are_twins(item, candidate.draft):
            return item
    return None


def _is_over(item: Item, at: float) -> bool:
    return item.valid_to is not None and item.valid_to <= at
