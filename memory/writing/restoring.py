"""Earlier states: what differs between two versions of an item, and a whole namespace as it stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from memory.author import Author
from memory.codec import to_json
from memory.entry import Vector
from memory.store.reader import Reader
from memory.store.writer import Writer
from memory.types import Item, ItemKind, Json
from memory.writing.changes import put

NOT_SAID = frozenset({"version", "updated_at", "author", "utility"})
"""Fields that differ between versions by themselves."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; parts of body and lineage are named with a dot, as in `body.lesson`."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. Restoring to `undo_seq` takes it back."""

    seq: int
    """The log position whose state holds again."""
    undo_seq: int
    """The log position it was done at."""
    changed: tuple[str, ...]
    """Items that got a new version with their old content."""
    retired: tuple[str, ...]
    """Items that did not exist then."""


def difference(before: Item, after: Item) -> tuple[FieldChange, ...]:
    """What two versions of an item say differently, by field name; statistics are not compared."""
    old, new = _fields(before), _fields(after)
    names = sorted(old.keys() | new.keys())
    return tuple(
        FieldChange(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)
    )


def stale(reader: Reader, namespace: str, seq: int, kind: ItemKind | None = None) -> list[tuple[Item, Item]]:
    """Items, all or those of a kind, with what they have to become to be as at a log position."""
    then = reader.items_as_of(namespace, seq)
    now = reader.items(namespace, kind=kind, status=None, family=None, words=None, limit=None, after=None)
    pairs = [(item, _as_it_was(item, then.get(item.id))) for item in now]
    return [(item, wanted) for item, wanted in pairs if wanted != item]


def restore(
    writer: Writer, author: Author, seq: int, vectors: Mapping[str, Vector], kind: ItemKind | None = None
) -> Restored:
    """Every item, or those of a kind, as it stood at a log position, as new versions; later ones are retired.

    Statistics stay: they are evidence, not content. `vectors` are by text, of texts that come back.
    """
    undo_seq = writer.head(author.namespace)
    pairs = stale(writer, author.namespace, seq, kind)
    for item, wanted in pairs:
        put(writer, author, item, wanted, vectors.get(wanted.text), "restore")
    then = writer.items_as_of(author.namespace, seq)
    changed = tuple(item.id for item, _ in pairs if item.id in then)
    return Restored(seq, undo_seq, changed, tuple(item.id for item, _ in pairs if item.id not in then))


def _as_it_was(item: Item, then: Item | None) -> Item:
    if then is None:
        return replace(item, status="retired")
    return replace(then, version=item.version, updated_at=item.updated_at, utility=item.utility)


def _fields(item: Item) -> dict[str, Json]:
    data = to_json(item)
    assert isinstance(data, dict)
    flat: dict[str, Json] = {}
    for name, value in data.items():
        if name in NOT_SAID:
            continue
        if isinstance(value, dict):
            flat |= {f"{name}.{part}": inner for part, inner in value.items()}
        else:
            flat[name] = value
    return flat
