"""Bundles out of a store, page by page and as of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memory.encoder import CachedEncoder
from memory.entry import digest_of
from memory.moving.bundle import FORMAT, Given, Manifest
from memory.moving.packing import packing
from memory.moving.signing import SigningKey
from memory.store.engine import Store
from memory.store.reader import Reader
from memory.types import Episode, Item

PAGE = 256


def export(
    store: Store,
    encoder: CachedEncoder,
    namespace: str,
    folder: Path,
    *,
    at: float,
    key: SigningKey | None,
    vectors: bool,
) -> Path:
    """Write everything of a namespace as a bundle, as of one moment. Raises Conflict on a folder in use."""
    inner = encoder.inner
    with packing(folder, inner.dim if vectors else None) as pack, store.read() as reader:
        for items in _items(reader, namespace):
            digests = [digest_of(item.text) for item in items] if vectors else []
            pack.add_items(items, reader.vectors(namespace, inner.generation, digests=digests))
        for episodes in _episodes(reader, namespace):
            pack.add_episodes(episodes)
            pack.add_credits(
                Given(
                    *(episode.id, one.item, one.shown, one.place, one.reward),
                    *(one.propensity, one.centre, one.test),
                )
                for episode in episodes
                for one in reader.credits(namespace, episode.id).values()
            )
        seq = reader.head(namespace)
        pack.seal(Manifest(FORMAT, namespace, inner.generation, inner.dim, 0, 0, seq, at, {}), key)
    return folder


def _items(reader: Reader, namespace: str) -> Iterator[tuple[Item, ...]]:
    after = None
    while page := reader.items(
        namespace, kind=None, status=None, family=None, words=None, limit=PAGE, after=after
    ):
        yield page
        after = page[-1].id


def _episodes(reader: Reader, namespace: str) -> Iterator[tuple[Episode, ...]]:
    after = None
    while page := reader.episodes(namespace, limit=PAGE, after=after, task_id=None, family=None):
        yield page
        after = page[-1].id
