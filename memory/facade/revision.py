"""What changes items that are there: edit, merge, forget, undo, restore; how versions differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from memory.author import check_scope
from memory.codec import from_json
from memory.errors import BadInput, NotFound
from memory.facade.operating import Operating
from memory.types import Body, Channel, Draft, Item, Lineage, Status
from memory.writing import changes, restoring
from memory.writing.admission import as_draft, check_draft
from memory.writing.changes import ITEM_OPS, Change, Merger
from memory.writing.restoring import FieldChange, Restored
from memory.writing.spreading import is_held_back


class Revision(Operating):
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
        valid_to: float | None = None,
        expect_version: int | None = None,
    ) -> Item:
        """The item at a new version; what is None stays. Trust never rises by an edit.

        Raises NotFound, BadInput (a principle edited through reflection or a tool needs new evidence),
        Conflict when it is not at `expect_version`, Denied when others than an operator or a user take it out
        of quarantine, OverQuota when it comes back to a namespace that is full.
        """
        author = self._author(namespace, principal, channel)
        change = Change(text, body, status, pinned, lineage, valid_to)
        if text is not None or body is not None or valid_to is not None:
            item = self.get(namespace, item_id)
            draft = as_draft(replace(item, text=text or item.text, body=body or item.body))
            check_draft(replace(draft, valid_from=item.valid_from, valid_to=valid_to))
            if is_held_back(draft, channel):
                raise BadInput(f"{draft.text!r} would spread itself or start tasks: a person has to say it")
        vector = self._encoder.items([text])[0] if text is not None else None
        return self._write(
            namespace,
            [text] if text is not None else [],
            lambda writer: changes.edit(
                writer, author, item_id, change, vector=vector, expect_version=expect_version
            ),
        )

    def merge(
        self,
        namespace: str,
        ids: Sequence[str],
        draft: Draft,
        *,
        principal: str,
        channel: Channel,
        expect_versions: Sequence[int] | None = None,
    ) -> Item:
        """One new item in the place of several, which are retired and point to it; `undo` takes it all back.

        It carries all their evidence and statistics and the least of their trust. Raises NotFound, BadInput
        when there are fewer than two or their kind or reach is not the draft's, Conflict when one is retired
        or not at the version expected, or another item says the same already.
        """
        author = self._author(namespace, principal, channel)
        check_draft(draft)
        check_scope(namespace, draft.scope)
        vector = self._encoder.items([draft.text])[0]
        versions = None if expect_versions is None else tuple(expect_versions)
        merger = Merger(draft, vector, uuid4().hex, tuple(ids), versions)
        return self._write(namespace, [draft.text], lambda writer: changes.merge(writer, author, merger))

    def forget(self, namespace: str, item_id: str, *, principal: str, channel: Channel = "user") -> Item:
        """Retire an item: recall never finds it again, history keeps it. Raises NotFound, Denied."""
        author = self._author(namespace, principal, channel)
        return self._store.write(lambda writer: changes.retire(writer, author, item_id))

    def undo(self, namespace: str, seq: int, *, principal: str, channel: Channel = "user") -> Item:
        """Take back one change of an item, as a new version; undoing an addition retires the item.

        Undoing a merge, or what it did to one part, brings every part back. Raises NotFound, BadInput when
        the log entry changed no item, Conflict when a later change stands, OverQuota when more comes back
        than the namespace may hold.
        """
        author = self._author(namespace, principal, channel)
        with self._store.read() as reader:
            page = reader.log(namespace, after=seq - 1, limit=1)
        texts = []
        if page and isinstance(page[0].before, dict) and isinstance(text := page[0].before.get("text"), str):
            texts = [text]
        vector = self._encoder.items(texts)[0] if texts else None
        return self._write(namespace, texts, lambda writer: changes.undo(writer, author, seq, vector))

    def restore(self, namespace: str, seq: int, *, principal: str) -> Restored:
        """Every item as it stood at a log position, in one transaction; what was added since is retired.

        Nothing is rewritten: each item gets a new version, and restoring to the report's `undo_seq` takes it
        back. Statistics and episodes stay. What was retired since comes back, revoked things too; what was
        erased does not. Raises NotFound for a position that the log has not reached, OverQuota when more
        comes back than the namespace may hold.
        """
        author = self._author(namespace, principal, "operator")
        with self._store.read() as reader:
            if not 0 <= seq <= (head := reader.head(namespace)):
                raise NotFound(f"there is no log position {seq} in this namespace, the newest is {head}")
            pairs = restoring.stale(reader, namespace, seq)
        texts = list(dict.fromkeys(wanted.text for item, wanted in pairs if item.text != wanted.text))
        vectors = dict(zip(texts, self._encoder.items(texts), strict=True))
        return self._write(namespace, texts, lambda writer: restoring.restore(writer, author, seq, vectors))

    def diff(
        self, namespace: str, item_id: str, from_version: int, to_version: int
    ) -> tuple[FieldChange, ...]:
        """What two versions of an item say differently, field by field. Raises NotFound."""
        versions = {
            entry.version: entry.after
            for entry in self.history(namespace, item_id)
            if entry.op in ITEM_OPS and entry.after is not None
        }
        for version in (from_version, to_version):
            if version not in versions:
                raise NotFound(f"item {item_id!r} has no version {version}")
        before, after = (from_json(Item, versions[one]) for one in (from_version, to_version))
        return restoring.difference(before, after)
