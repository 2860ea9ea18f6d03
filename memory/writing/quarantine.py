"""Items that do harm are taken out of recall, by the evidence of coins alone."""

from __future__ import annotations

from memory.author import Author
from memory.entry import RECALLABLE
from memory.store.writer import Writer
from memory.types import Item
from memory.value.lift import verdict
from memory.writing import changes
from memory.writing.changes import Change


def without_harm(writer: Writer, item: Item, principal: str, at: float) -> Item:
    """The item, quarantined where episodes are credibly worse with it in view; the log row holds the lift.

    What operators pinned stays, and so do principles, which have a court of their own. An operator or a user
    may release it, and its next test begins from nothing.
    """
    is_judged = item.status in RECALLABLE and not item.pinned and item.kind != "principle"
    if not is_judged or verdict(item.utility.lift, 1) != "retire":
        return item
    author = Author(item.namespace, principal, "reflection", at, "")
    change = Change(status="quarantined")
    return changes.edit(writer, author, item.id, change, vector=None, expect_version=item.version)
