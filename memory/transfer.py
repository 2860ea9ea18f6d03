"""Bundles out of and into a store, and new vectors for old items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from memory import bundle, operations
from memory.admission import as_draft, check_draft
from memory.author import Author
from memory.encoder import CachedEncoder
from memory.entry import Vector
from memory.store.engine import Store
from memory.types import TRUST, Item


def export(store: Store, encoder: CachedEncoder, namespace: str, folder: Path, *, at: float) -> Path:
    """Write everything of a namespace as a bundle. Raises Conflict when the folder is not empty."""
    inner = encoder.inner
    with store.read() as reader:
        items = reader.items(
            namespace, kind=None, status=None, family=None, words=None, limit=None, after=None
        )
        episodes = reader.episodes(namespace, limit=None, after=None, task_id=None, family=None)
        vectors = reader.vectors(namespace, inner.generation)
        seq = reader.head(namespace)
    manifest = bundle.Manifest(bundle.FORMAT, namespace, inner.generation, inner.dim, 0, 0, seq, at, {})
    return bundle.write(folder, manifest, items, episodes, vectors)


def take_in(store: Store, encoder: CachedEncoder, author: Author, folder: Path) -> int:
    """Add a bundle's items and episodes to a namespace; returns how many items were new."""
    found = bundle.read(folder)
    items = [_adopted(item, author, found.manifest.hash) for item in found.items]
    for item in items:
        check_draft(as_draft(item))
    pairs = list(zip(items, _vectors(encoder, found), strict=True))
    episodes = [replace(episode, namespace=author.namespace) for episode in found.episodes]
    return store.write(lambda writer: operations.take_in(writer, author, pairs, episodes))


def _vectors(encoder: CachedEncoder, found: bundle.Bundle) -> Iterable[Vector]:
    if found.manifest.encoder != encoder.inner.generation:
        return encoder.items([item.text for item in found.items])
    rows = list(zip(found.items, found.vectors, strict=True))
    missing = [item.text for item, row in rows if not row.any()]
    made = dict(zip(missing, encoder.items(missing), strict=True))
    return [made.get(item.text, row) for item, row in rows]


def _adopted(item: Item, author: Author, bundle_hash: str) -> Item:
    item = replace(item, namespace=author.namespace)
    if author.channel == "operator":
        return item
    trust = min(item.trust, TRUST[author.channel])
    channel = item.channel if trust == item.trust else author.channel
    source = item.lineage.source or f"bundle:{bundle_hash[:16]}"
    return replace(item, trust=trust, channel=channel, lineage=replace(item.lineage, source=source))
