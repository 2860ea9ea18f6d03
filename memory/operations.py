"""What the façade does to items inside one transaction: admit, edit, retire, undo, take in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.admission import are_twins, dedupe_key, merged, trust_of
from memory.author import Author
from memory.codec import from_json
from memory.entry import Vector
from memory.errors import BadInput, Conflict, NotFound
from memory.store.writer import Writer
from memory.types import (
    TRUST,
    Body,
    Channel,
    Draft,
    Episode,
    Item,
    Lineage,
    PrincipleBody,
    Status,
)

ITEM_OPS = frozenset({"add", "merge", "edit", "retire", "quarantine", "undo", "import"})
"""Log operations that write a whole item."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft on its way in: its vector, the id it would get, ids of items near enough to say the same."""

    draft: Draft
    vector: Vector
    id: str
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit changes; None leaves a field as it is."""

    text: str | None = None
    body: Body | None = None
    status: Status | None = None
    pinned: bool | None = None
    lineage: Lineage | None = None


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


def edit(
    writer: Writer,
    author: Author,
    item_id: str,
    change: Change,
    *,
    vector: Vector | None,
    expect_version: int | None,
) -> Item:
    """The item at its next version; at the same one when nothing changes."""
    item = writer.item(author.namespace, item_id)
    if expect_version is not None and item.version != expect_version:
        raise Conflict(f"item {item_id!r} is at version {item.version}, not {expect_version}: read it again")
    after = replace(
        item,
        text=item.text if change.text is None else change.text,
        body=item.body if change.body is None else change.body,
        status=item.status if change.status is None else change.status,
        pinned=item.pinned if change.pinned is None else change.pinned,
        lineage=item.lineage if change.lineage is None else change.lineage,
    )
    if after == item:
        return item
    if (after.text, after.body, after.lineage) != (item.text, item.body, item.lineage):
        _check_evidence(item, after, author.channel)
        sources = _sources(writer, author.namespace, after.lineage)
        after = replace(after, trust=min(item.trust, trust_of(author.channel, sources)))
    op = {"retired": "retire", "quarantined": "quarantine"}.get(change.status or "", "edit")
    return _change(writer, author, item, after, vector, op)


def retire(writer: Writer, author: Author, item_id: str) -> Item:
    """The item taken out of recall; its versions stay."""
    item = writer.item(author.namespace, item_id)
    if item.status == "retired":
        return item
    return _change(writer, author, item, replace(item, status="retired"), None, "retire")


def undo(writer: Writer, author: Author, seq: int, vector: Vector | None) -> Item:
    """The item as it was before a log row, as a new version; statistics stay as they are."""
    entry = next(iter(writer.log(author.namespace, after=seq - 1, limit=1)), None)
    if entry is None or entry.seq != seq:
        raise NotFound(f"there is no log entry {seq} in this namespace")
    if entry.item is None or entry.op not in ITEM_OPS:
        raise BadInput(f"log entry {seq} is a {entry.op!r}: only changes of an item can be undone")
    later = [row.seq for row in writer.history(author.namespace, entry.item) if row.op in ITEM_OPS]
    if later[-1] != seq:
        raise Conflict(f"item {entry.item!r} was changed again at log entry {later[-1]}: undo that first")
    item = writer.item(author.namespace, entry.item)
    if entry.before is None:
        return _change(writer, author, item, replace(item, status="retired"), None, "undo")
    before = replace(from_json(Item, entry.before), utility=item.utility)
    return _change(writer, author, item, before, vector, "undo")


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
    sources = _sources(writer, author.namespace, draft.lineage)
    existing = writer.same(author.namespace, dedupe_key(draft), author.at) or _twin(writer, author, candidate)
    if existing is not None:
        # What comes from outside may not add weight to what is known.
        merge = None if TRUST[author.channel] == 0 else merged(existing, draft)
        if merge is None:
            return existing
        trust = min(existing.trust, trust_of("operator", sources))
        return _change(writer, author, existing, replace(merge, trust=trust), None, "merge")
    item = Item(
        id=candidate.id,
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
        trust=trust_of(author.channel, sources),
        author=author.principal,
        created_at=author.at,
        updated_at=author.at,
        valid_from=author.at if draft.valid_from is None else draft.valid_from,
        valid_to=draft.valid_to,
        lineage=draft.lineage,
        audience=draft.audience,
    )
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


def _change(
    writer: Writer, author: Author, before: Item, after: Item, vector: Vector | None, op: str
) -> Item:
    after = replace(after, version=before.version + 1, updated_at=author.at, author=author.principal)
    writer.change_item(before, after, vector, author, op)
    return after


def _sources(writer: Writer, namespace: str, lineage: Lineage) -> list[Item]:
    found = writer.items_by_id(namespace, lineage.items) if lineage.items else {}
    for id_ in lineage.items:
        if id_ not in found:
            raise BadInput(f"the lineage names item {id_!r}, which is not in this namespace")
    return list(found.values())


def _check_evidence(before: Item, after: Item, channel: Channel) -> None:
    if not isinstance(before.body, PrincipleBody) or channel in {"operator", "user"}:
        return
    if set(after.lineage.evidence) <= set(before.lineage.evidence):
        raise BadInput(f"principle {before.id!r} can be edited through {channel!r} only with new evidence")
