"""How a bundle comes in, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from memory.admission import dedupe_key
from memory.author import Author
from memory.entry import Vector
from memory.store.writer import Writer
from memory.types import (
    Episode,
    Item,
)


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
