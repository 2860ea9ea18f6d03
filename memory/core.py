"""The façade of the room: remember, recall, reinforce, forget, export."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np

from memory import credit, operations, transfer
from memory.admission import as_draft, check_draft, check_name, request_hash
from memory.author import Author
from memory.codec import dumps
from memory.encoder import CachedEncoder, Encoder
from memory.errors import BadInput
from memory.library import Library
from memory.operations import Candidate, Change
from memory.rank import RecallSettings
from memory.recaller import CountTokens, Recaller
from memory.shelves import Shelves
from memory.snapshots import Origin
from memory.store.engine import Store
from memory.types import (
    Body,
    Channel,
    Draft,
    Episode,
    Item,
    Json,
    Lineage,
    Outcome,
    Query,
    Recall,
    RecallRecord,
    Status,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """How the memory is, over all namespaces."""

    items: int
    episodes: int
    log_seq: int
    applied_seq: int
    """Newest log position the index stands at; it catches up whenever it is asked."""
    encoder: str
    index: Origin
    """Where the index came from at the start: nothing, a snapshot, the one before, or rebuilt."""
    index_note: str
    """What was wrong with snapshots that were not used."""
    last_write_at: float | None


class Memory(Library):
    """Everything remembered, by namespace. Thread-safe; a call that writes returns once it is on disk."""

    def __init__(
        self,
        store: Store,
        shelves: Shelves,
        encoder: Encoder,
        settings: RecallSettings,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(store, clock)
        self._shelves = shelves
        self._encoder = CachedEncoder(encoder)
        self._recaller = Recaller(store, shelves, self._encoder, settings)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        encoder: Encoder,
        clock: Callable[[], float] = time.time,
        settings: RecallSettings | None = None,
        max_pages: int | None = None,
    ) -> Memory:
        """Open or create the database file; the index lives in `index/` beside it.

        `max_pages` bounds the file, in pages of 4096 bytes. Raises StoreLocked, DiskFull, StoreError.
        """
        store = Store.open(path, max_pages=max_pages)
        shelves = Shelves(store, encoder.generation, encoder.dim, path.parent / "index" / path.name)
        return cls(store, shelves, encoder, settings or RecallSettings(), clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Save the index, finish writing, let the file go."""
        try:
            self.snapshot()
        except OSError as error:
            log.warning("the index was not saved (%s); it will be rebuilt", error)
        self._store.close()

    # Writing

    def remember(
        self,
        namespace: str,
        drafts: Sequence[Draft],
        *,
        principal: str,
        channel: Channel,
        idempotency_key: str | None = None,
    ) -> tuple[Item, ...]:
        """The drafts as items, in order. What says the same as an item returns that item, evidence merged.

        Raises BadInput (also on secrets and on a lineage that names unknown items), TooLarge, Conflict when
        the key was used for another request, EncoderError, DiskFull, StoreError.
        """
        author = self._author(namespace, principal, channel)
        for draft in drafts:
            check_draft(draft)
        if idempotency_key is not None:
            check_name("the idempotency key", idempotency_key)
        vectors = self._encoder.items([draft.text for draft in drafts])
        near = self._recaller.near(namespace, drafts, vectors)
        candidates = [
            Candidate(draft, vector, uuid4().hex, ids)
            for draft, vector, ids in zip(drafts, vectors, near, strict=True)
        ]
        request = request_hash(channel, drafts)
        return self._store.write(
            lambda writer: operations.admit(writer, author, candidates, idempotency_key, request)
        )

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
            lambda writer: operations.edit(
                writer, author, item_id, change, vector=vector, expect_version=expect_version
            )
        )

    def forget(self, namespace: str, item_id: str, *, principal: str) -> Item:
        """Retire an item: recall never finds it again, history keeps it. Raises NotFound."""
        author = self._author(namespace, principal, "user")
        return self._store.write(lambda writer: operations.retire(writer, author, item_id))

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
        return self._store.write(lambda writer: operations.undo(writer, author, seq, vector))

    # Episodes and value

    def record(self, episode: Episode, *, principal: str) -> None:
        """Keep an episode for good; the same one again changes nothing.

        Raises BadInput on infinity or NaN in it, Conflict on another episode of the same id.
        """
        author = self._author(episode.namespace, principal, "user")
        check_name("the episode's id", episode.id)
        dumps(episode)
        vector = None if episode.recall is None else self._recaller.question_vector(episode.recall)
        self._store.write(lambda writer: credit.record(writer, episode, vector, author.principal, author.at))

    def feedback(
        self,
        namespace: str,
        episode_id: str,
        *,
        principal: str,
        reward: float | None = None,
        outcome: Outcome | None = None,
        values: dict[str, Json] | None = None,
    ) -> Episode:
        """Late word on an episode: what it gave to items is re-valued in the same transaction.

        Raises NotFound, BadInput on a reward that is no number.
        """
        author = self._author(namespace, principal, "user")
        if reward is not None and not np.isfinite(reward):
            raise BadInput(f"the reward {reward} is not a number")

        word = credit.Word(reward, outcome, values or {})
        return self._store.write(lambda writer: credit.feedback(writer, author, episode_id, word))

    def reinforce(self, episode: Episode, *, principal: str) -> None:
        """Let the episode's outcome count for every item and principle it had in view, once.

        Nothing for outcomes `unknown` and `infra`. Items that the coin held out count apart.
        """
        author = self._author(episode.namespace, principal, "user")
        self._store.write(lambda writer: credit.credit(writer, episode, author.principal, author.at))

    # Reading

    def recall(self, query: Query, *, count_tokens: CountTokens) -> Recall:
        """Every candidate with its score parts and fate; `hits` are those to show, often none.

        Raises BadInput, EncoderError.
        """
        return self._recaller.recall(query, now=self._clock(), count_tokens=count_tokens)

    def replay(self, record: RecallRecord, *, count_tokens: CountTokens) -> Recall:
        """An earlier recall again, bit for bit, whatever has been edited, forgotten or reinforced since.

        Holds for equal `RecallSettings` and token counter. Raises EncoderError, BadInput.
        """
        return self._recaller.replay(record, count_tokens=count_tokens)

    # Bundles

    def export(self, namespace: str, folder: Path) -> Path:
        """Write a namespace as a bundle, see `memory.bundle`. Raises Conflict on a folder with content."""
        check_name("namespace", namespace)
        return transfer.export(self._store, self._encoder, namespace, folder, at=self._clock())

    def import_(self, namespace: str, folder: Path, *, principal: str, channel: Channel) -> int:
        """Take in a bundle; returns how many items were new. Ids are kept; what is there already stays.

        An operator's import is a restore: trust stays as it was. Through any other channel nothing is trusted
        more than the channel, and the bundle's hash becomes its source. Raises BadInput on a changed bundle.
        """
        author = self._author(namespace, principal, channel)
        return transfer.take_in(self._store, self._encoder, author, folder)

    # Keeping house

    def reencode(self, *, principal: str = "memory") -> int:
        """Give every item a vector of the present encoder; returns how many texts were encoded.

        Until then items of another generation are found by their words alone.
        """
        return transfer.reencode(self._store, self._encoder, principal=principal, clock=self._clock)

    def snapshot(self) -> None:
        """Save the index, so that the next start reads it instead of building it."""
        self._shelves.save()

    def stats(self) -> MemoryStats:
        """How it is, for health checks and metrics."""
        with self._store.read() as reader:
            counts = reader.counts()
        return MemoryStats(
            items=counts.items,
            episodes=counts.episodes,
            log_seq=counts.log_seq,
            applied_seq=self._shelves.applied_seq,
            encoder=self._encoder.inner.generation,
            index=self._shelves.origin,
            index_note=self._shelves.note,
            last_write_at=counts.last_write_at,
        )

    def _author(self, namespace: str, principal: str, channel: Channel) -> Author:
        check_name("namespace", namespace)
        check_name("principal", principal)
        return Author(namespace, principal, channel, self._clock(), self._encoder.inner.generation)
