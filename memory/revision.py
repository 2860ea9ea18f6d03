"""What changes items that are there: edit, forget, undo."""

from __future__ import annotations

from dataclasses import replace

from memory import changes
from memory.admission import as_draft, check_draft
from memory.changes import Change
from memory.housekeeping import Housekeeping
from memory.types import Body, Channel, Item, Lineage, Status


class Revision(Housekeeping):
    """The revising part of `Memory`."""

    def edit(
        self,
        namespace: str,
        item_id: str,
        *,
        principal: str,
        channel: Channel,
        text: str | None = None,
        body: Body | None = None,
        status: Status | None = None,
        pinned: bool | None = None,
        lineage: Lineage | None = None,
        expect_version: int | None = None,
    ) -> Item:
        """The item at a new version; what is None stays. Trust never rises by an edit.

        Raises NotFound, BadInput (a principle edited through reflection or a tool needs new evidence),
        Conflict when it is not at `expect_version`.
        """
        author = self._author(namespace, principal, channel)
        change = Change(text, body, status, pinned, lineage)
        if text is not None or body is not None:
            item = self.get(namespace, item_id)
            check_draft(as_draft(replace(item, text=text or item.text, body=body or item.body)))
        vector = self._encoder.items([text])[0] if text is not None else None
        return self._store.write(
            lambda writer: changes.edit(
                writer, author, item_id, change, vector=vector, expect_version=expect_version
            )
        )

    def forget(self, namespace: str, item_id: str, *, principal: str) -> Item:
        """Retire an item: recall never finds it again, history keeps it. Raises NotFound."""
        author = self._author(namespace, principal, "user")
        return self._store.write(lambda writer: changes.retire(writer, author, item_id))

    def undo(self, namespace: str, seq: int, *, principal: str) -> Item:
        """Take back one change of an item, as a new version; undoing an addition retires the item.

        Raises NotFound, BadInput when the log entry changed no item, Conflict when a later change stands.
        """
        author = self._author(namespace, principal, "user")
        with self._store.read() as reader:
            page = reader.log(namespace, after=seq - 1, limit=1)
        vector = None
        if page and isinstance(page[0].before, dict) and isinstance(text := page[0].before.get("text"), str):
            vector = self._encoder.items([text])[0]
        return self._store.write(lambda writer: changes.undo(writer, author, seq, vector))
