"""What happens to items that are there, inside a transaction: edit, merge, retire, undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.author import Author
from memory.codec import from_json
from memory.entry import RECALLABLE, Vector, reach_of
from memory.errors import BadInput, Conflict, Denied, NotFound
from memory.store.writer import Writer
from memory.types import Body, Channel, Draft, Item, Lift, Lineage, LogEntry, PrincipleBody, Status
from memory.writing.admission import dedupe_key, trust_of
from memory.writing.merging import item_of_draft, pooled

ITEM_OPS = frozenset(
    {
        *("add", "merge", "edit", "retire", "quarantine", "release", "supersede", "undo", "restore"),
        *("import", "withdraw", "promote", "demote"),
    }
)
"""Log operations that write a whole item."""
RELEASERS = frozenset({"operator", "user"})
"""Channels that may take an item out of quarantine."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit changes; None leaves a field as it is."""

    text: str | None = None
    body: Body | None = None
    status: Status | None = None
    pinned: bool | None = None
    lineage: Lineage | None = None
    valid_to: float | None = None


@dataclass(frozen=True, slots=True)
class Merger:
    """A draft that is to take the place of several items, with its vector and the id it gets."""

    draft: Draft
    vector: Vector
    id: str
    parts: tuple[str, ...]
    versions: tuple[int, ...] | None = None
    """Versions the parts must be at; None is whatever they are at."""


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
    item = at_version(writer, author.namespace, item_id, expect_version)
    after = replace(
        item,
        text=item.text if change.text is None else change.text,
        body=item.body if change.body is None else change.body,
        status=item.status if change.status is None else change.status,
        pinned=item.pinned if change.pinned is None else change.pinned,
        lineage=item.lineage if change.lineage is None else change.lineage,
        valid_to=item.valid_to if change.valid_to is None else change.valid_to,
    )
    if after == item:
        return item
    if (after.text, after.body, after.lineage) != (item.text, item.body, item.lineage):
        _check_evidence(item, after, author.channel)
        sources = sources_of(writer, author.namespace, after.lineage)
        after = replace(after, trust=min(item.trust, trust_of(author.channel, sources)))
    return put(writer, author, item, after, vector, _op(item, after, author.channel))


def retire(writer: Writer, author: Author, item_id: str) -> Item:
    """The item taken out of recall; its versions stay."""
    item = writer.item(author.namespace, item_id)
    if item.status == "retired":
        return item
    return put(writer, author, item, replace(item, status="retired"), None, "retire")


def merge(writer: Writer, author: Author, merger: Merger) -> Item:
    """One new item in the place of several: evidence united, statistics added up, the least trust of all.

    Raises NotFound, Conflict when a part is retired, at another version, or something else says the same
    already; BadInput when kinds or reaches differ.
    """
    parts = _parts(writer, author, merger)
    _check_parts(parts, merger.draft)
    _check_unsaid(writer, author, merger, allowed=merger.parts)
    others = sources_of(writer, author.namespace, merger.draft.lineage)
    item = pooled(parts, merger.draft, author, merger.id, trust_of(author.channel, [*parts, *others]))
    writer.add_item(item, merger.vector, author, "merge")
    for part in parts:
        put(writer, author, part, replace(part, status="retired", superseded_by=item.id), None, "supersede")
    return item


def induce(writer: Writer, author: Author, merger: Merger) -> Item:
    """A new item drawn from several, which stay as they are. Raises as `merge` does."""
    parts = _parts(writer, author, merger)
    _check_unsaid(writer, author, merger, allowed=())
    item = item_of_draft(merger.draft, author, merger.id, trust_of(author.channel, parts))
    writer.add_item(item, merger.vector, author, "add")
    return item


def undo(writer: Writer, author: Author, seq: int, vector: Vector | None) -> Item:
    """The item as it was before a log row, as a new version; statistics stay as they are.

    Undoing a merge, by its own row or by that of a part, retires what it made and brings every part back.
    """
    entry = next(iter(writer.log(author.namespace, after=seq - 1, limit=1)), None)
    if entry is None or entry.seq != seq:
        raise NotFound(f"there is no log entry {seq} in this namespace")
    if entry.item is None or entry.op not in ITEM_OPS:
        raise BadInput(f"log entry {seq} is a {entry.op!r}: only changes of an item can be undone")
    item = _latest(writer, author, entry)
    if entry.op == "supersede" and item.superseded_by is not None:
        _unmerge(writer, author, writer.item(author.namespace, item.superseded_by))
        return writer.item(author.namespace, item.id)
    if entry.before is None:
        return _unmerge(writer, author, item) if entry.op == "merge" else _undo_one(writer, author, entry)
    return _undo_one(writer, author, entry, vector)


def put(writer: Writer, author: Author, before: Item, after: Item, vector: Vector | None, op: str) -> Item:
    """Append a version of an item; its author changes only with what it says.

    Out of quarantine, or out of a drawer, it is tested anew: whoever let it out knew what counted against it.
    """
    was_out = before.status in {"quarantined", "draft"}
    if was_out and after.status in RECALLABLE and after.utility.lift is not None:
        anew = Lift(test=after.utility.lift.test + 1)
        after = replace(after, utility=replace(after.utility, lift=anew))
    is_rewritten = op == "edit" and (after.text, after.body) != (before.text, before.body)
    name = author.principal if is_rewritten else after.author
    after = replace(after, version=before.version + 1, updated_at=author.at, author=name)
    writer.change_item(before, after, vector, author, op)
    return after


def at_version(writer: Writer, namespace: str, item_id: str, version: int | None) -> Item:
    """One item. Raises NotFound, Conflict when it is at another version than this one."""
    item = writer.item(namespace, item_id)
    if version is not None and item.version != version:
        raise Conflict(f"item {item_id!r} is at version {item.version}, not {version}: read it again")
    return item


def sources_of(writer: Writer, namespace: str, lineage: Lineage) -> list[Item]:
    """The items a lineage names. Raises BadInput on one that is not there."""
    found = writer.items_by_id(namespace, lineage.items) if lineage.items else {}
    for id_ in lineage.items:
        if id_ not in found:
            raise BadInput(f"the lineage names item {id_!r}, which is not in this namespace")
    return list(found.values())


def _op(before: Item, after: Item, channel: Channel) -> str:
    if after.status == before.status:
        return "edit"
    if before.status == "quarantined" and after.status != "retired":
        if channel not in RELEASERS:
            raise Denied(f"item {before.id!r} is quarantined: only an operator or a user may release it")
        return "release"
    op = {"retired": "retire", "quarantined": "quarantine"}.get(after.status, "edit")
    return _standing(before, after, channel) if op == "edit" and before.kind == "principle" else op


def _standing(before: Item, after: Item, channel: Channel) -> str:
    """What the log calls a principle's rise or fall between draft, trial and active."""
    ranks = {"draft": 0, "trial": 1, "active": 2}
    if after.status == "active" and channel != "operator":
        raise Denied(f"principle {before.id!r} is promoted by its evidence; by hand only an operator may")
    if before.status not in ranks:
        return "edit"
    return "promote" if ranks[after.status] > ranks[before.status] else "demote"


def _parts(writer: Writer, author: Author, merger: Merger) -> list[Item]:
    versions: Sequence[int | None] = merger.versions or (None,) * len(merger.parts)
    pairs = zip(merger.parts, versions, strict=True)
    return [at_version(writer, author.namespace, id_, version) for id_, version in pairs]


def _check_unsaid(writer: Writer, author: Author, merger: Merger, *, allowed: Sequence[str]) -> None:
    same = writer.same(author.namespace, dedupe_key(merger.draft), author.at)
    if same is not None and same.id not in allowed:
        raise Conflict(f"item {same.id!r} says that already: merge it too")


def _check_parts(parts: Sequence[Item], draft: Draft) -> None:
    if len({part.id for part in parts}) < 2 or len({part.id for part in parts}) < len(parts):
        raise BadInput("a merge needs at least two different items")
    reach = reach_of(draft.scope, draft.family, draft.audience)
    for part in parts:
        if part.status == "retired":
            raise Conflict(f"item {part.id!r} is retired: merge what is in use")
        # Otherwise merging would show a run's or family's items to everybody.
        if (part.kind, reach_of(part.scope, part.family, part.audience)) != (draft.kind, reach):
            raise BadInput(f"item {part.id!r} is of another kind or reach than the merged item")


def _latest(writer: Writer, author: Author, entry: LogEntry) -> Item:
    """The item that an entry changed. Raises Conflict when it was changed again."""
    assert entry.item is not None
    later = [row.seq for row in writer.history(author.namespace, entry.item) if row.op in ITEM_OPS]
    if later[-1] != entry.seq:
        raise Conflict(f"item {entry.item!r} was changed again at log entry {later[-1]}: undo that first")
    return writer.item(author.namespace, entry.item)


def _undo_one(writer: Writer, author: Author, entry: LogEntry, vector: Vector | None = None) -> Item:
    item = _latest(writer, author, entry)
    if entry.before is None:
        return put(writer, author, item, replace(item, status="retired"), None, "undo")
    before = replace(from_json(Item, entry.before), utility=item.utility)
    return put(writer, author, item, before, vector, "undo")


def _unmerge(writer: Writer, author: Author, merged: Item) -> Item:
    parts = [writer.item(author.namespace, id_) for id_ in merged.lineage.items]
    for part in parts:
        if part.superseded_by == merged.id:
            entries = [e for e in writer.history(author.namespace, part.id) if e.op in ITEM_OPS]
            if entries[-1].op != "supersede":
                raise Conflict(f"item {part.id!r} was changed after the merge: undo that first")
            _undo_one(writer, author, entries[-1])
    return put(writer, author, merged, replace(merged, status="retired"), None, "undo")


def _check_evidence(before: Item, after: Item, channel: Channel) -> None:
    if not isinstance(before.body, PrincipleBody) or channel in {"operator", "user"}:
        return
    if set(after.lineage.evidence) <= set(before.lineage.evidence):
        raise BadInput(f"principle {before.id!r} can be edited through {channel!r} only with new evidence")
