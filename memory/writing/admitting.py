"""How drafts come in, inside one transaction: as new items, or as evidence for those that say the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memory.author import Author
from memory.entry import Vector, cosines
from memory.errors import Conflict
from memory.store.newcomers import Newcomer, Sought
from memory.store.rows import Said, said_of
from memory.store.writer import Writer
from memory.types import TRUST, Draft, Episode, Item
from memory.writing.admission import TWIN_COSINE, merged, trust_of
from memory.writing.changes import put, sources_of
from memory.writing.gate import GATED, check_origin
from memory.writing.merging import item_of_draft
from memory.writing.spreading import is_held_back

N_TWINS = 256
"""Most items of one twin key that a draft is compared with: the newest."""
SLACK = 1e-3
"""More than single precision can be wrong by: what is this far under the threshold is under it."""
FEW = 8
"""Drafts of one call that nobody else waits long for."""
Told = tuple[Draft, str, Vector, str]
"""A draft, its body as canonical JSON, its vector, and what its item will be called."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft on its way in, and the item it becomes unless something says the same."""

    draft: Draft
    vector: Vector
    newcomer: Newcomer
    """As trusted as its channel; sources may lower that."""

    @property
    def said(self) -> Said:
        """What was worked out from what it says."""
        return self.newcomer.said


def fresh_id(at: float) -> str:
    """A random name that begins with the time in milliseconds: rows of one time lie together in every index.

    >>> len(fresh_id(1_700_000_000.0)), fresh_id(1.0) < fresh_id(2.0)
    (32, True)
    """
    return f"{max(0, int(at * 1000)):012x}{os.urandom(10).hex()}"


class Arrivals:
    """The drafts of one call on their way in."""

    def __init__(self, author: Author, told: Sequence[Told], key: str | None, request: str) -> None:
        self._author = author
        self._told = told
        self._key = key
        self._request = request
        self._candidates: Sequence[Candidate] | None = None
        if len(told) > FEW:
            self.candidates()

    def candidates(self) -> Sequence[Candidate]:
        """All that can be known before the transaction, worked out once.

        A few drafts are left to the thread that writes: what it does for many calls in a row costs half of
        what it costs between two others, for the processor has it at hand.
        """
        if self._candidates is None:
            self._candidates = [_candidate(*one, self._author) for one in self._told]
        return self._candidates

    def sought(self) -> list[Sought]:
        """What will be looked for."""
        return [(self._author.namespace, one.said.keys) for one in self.candidates()]

    def admit(self, writer: Writer) -> tuple[Item, ...]:
        """Every draft as an item: a new one, or the one that says the same with the evidence added.

        Raises BadInput on what memory or a prompt said itself, Conflict on a key of another request; then
        nothing is written.
        """
        author, key = self._author, self._key
        if key is not None and (answered := writer.answered(author.namespace, key)) is not None:
            if answered[0] != self._request:
                raise Conflict(f"the idempotency key {key!r} was used for another request: use a fresh one")
            found = writer.items_by_id(author.namespace, answered[1])
            return tuple(found[id_] for id_ in answered[1])
        batch = _Batch(writer, author)
        items = tuple(batch.take(one) for one in self.candidates())
        batch.flush()
        if key is not None:
            writer.answer(author.namespace, key, self._request, items)
        return items


def _candidate(draft: Draft, body: str, vector: Vector, item_id: str, author: Author) -> Candidate:
    if is_held_back(draft, author.channel):
        draft = replace(draft, status="quarantined")
    item = item_of_draft(draft, author, item_id, trust_of(author.channel, ()))
    return Candidate(draft, vector, Newcomer(item, said_of(draft, body), vector))


class _Batch:
    """Drafts of one call: new items wait, so that their rows are written together."""

    def __init__(self, writer: Writer, author: Author) -> None:
        self._writer = writer
        self._author = author
        self._waiting: dict[str, Newcomer] = {}
        """By id."""
        self._said: dict[str, Item] = {}
        """Waiting items by dedupe key."""
        self._episodes: dict[str, Episode | None] = {}
        """Evidence that was looked up; None is not recorded."""
        self._twins: dict[str, list[tuple[str, Vector]]] = {}
        """Ids and vectors by twin key, oldest first."""

    def take(self, one: Candidate) -> Item:
        """The draft as an item."""
        writer, author, draft = self._writer, self._author, one.draft
        sources = sources_of(writer, author.namespace, draft.lineage)
        existing = self._same(one) or self._twin(one)
        if existing is None:
            self._check_origin(draft)
            newcomer = one.newcomer
            if (trust := trust_of(author.channel, sources)) < newcomer.item.trust:
                newcomer = Newcomer(replace(newcomer.item, trust=trust), one.said, one.vector)
            self._wait(newcomer)
            return newcomer.item
        # What comes from outside may not add weight to what is known.
        merge = None if TRUST[author.channel] == 0 else merged(existing, draft)
        if merge is None:
            return existing
        self._check_origin(draft)
        self.flush()
        trust = min(existing.trust, trust_of("operator", sources))
        return put(writer, author, existing, replace(merge, trust=trust), None, "merge")

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._writer.add_items(list(self._waiting.values()), self._author, "add")
            self._waiting.clear()
            self._said.clear()

    def _check_origin(self, draft: Draft) -> None:
        if self._author.channel not in GATED:
            return
        names = {piece.episode for piece in draft.lineage.evidence}
        for name in names - self._episodes.keys():
            self._episodes[name] = self._writer.find_episode(self._author.namespace, name)
        found = {name: episode for name in names if (episode := self._episodes[name]) is not None}
        check_origin(draft, found)

    def _wait(self, one: Newcomer) -> None:
        self._waiting[one.item.id] = one
        is_over = one.item.valid_to is not None and one.item.valid_to <= self._author.at
        if one.item.status != "retired" and not is_over and one.vector is not None:
            self._said[one.said.keys.dedupe] = one.item
            self._twins[one.said.keys.twin].append((one.item.id, one.vector))

    def _same(self, one: Candidate) -> Item | None:
        dedupe = one.said.keys.dedupe
        waiting = self._said.get(dedupe)
        return waiting or self._writer.same(self._author.namespace, dedupe, self._author.at)

    def _twin(self, one: Candidate) -> Item | None:
        """The nearest item of the same twin key, if it is near enough to say the same."""
        namespace, key = self._author.namespace, one.said.keys.twin
        known = self._twins.get(key)
        if known is None:
            stored = self._writer.twins(namespace, self._author.encoder, key, self._author.at, N_TWINS)
            known = self._twins[key] = stored[::-1]
        nearest = _nearest([vector for _, vector in known[-N_TWINS:]], one.vector)
        if nearest is None:
            return None
        id_ = known[-N_TWINS:][nearest][0]
        return self._waiting[id_].item if id_ in self._waiting else self._writer.item(namespace, id_)


def _nearest(vectors: Sequence[Vector], vector: Vector) -> int | None:
    """Place of the vector nearest to one, from a cosine of TWIN_COSINE; None when there is none."""
    if not vectors:
        return None
    matrix = np.stack(vectors)
    # Single precision is a fifth of the work, and rules out nearly all.
    maybe = np.flatnonzero(matrix @ vector >= TWIN_COSINE - SLACK)
    if not len(maybe):
        return None
    exact = cosines(matrix[maybe], vector)
    best = int(np.argmax(exact))
    return int(maybe[best]) if exact[best] >= TWIN_COSINE else None
