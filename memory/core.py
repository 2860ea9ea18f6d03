"""The façade of the room: remember, recall, record, reinforce; the rest it inherits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Literal
from weakref import finalize

import numpy as np

from memory.author import check_scope
from memory.codec import dumps
from memory.encoder import CachedEncoder, Encoder
from memory.entry import Vector
from memory.errors import BadInput, Denied
from memory.facade.paying import Paying
from memory.heldout import HeldOut, nothing
from memory.index.shelves import Shelves
from memory.moving.importing import Reading, take_log
from memory.moving.intake import ImportReport
from memory.moving.signing import Signers
from memory.recall.choosing import RecallSettings
from memory.recall.generations import Generation, Generations
from memory.recall.recaller import Costs, CountTokens, Recaller
from memory.recall.rerank import Reranker
from memory.recall.shown import shown_text
from memory.store.engine import Store
from memory.types import (
    Channel,
    Draft,
    Episode,
    Item,
    Json,
    Outcome,
    Query,
    Recall,
    RecallRecord,
)
from memory.writing import credit
from memory.writing.admission import check_draft, check_name, request_hash
from memory.writing.admitting import Arrivals, fresh_id
from memory.writing.limits import Limits, Usage
from memory.writing.redaction import without_secrets

if TYPE_CHECKING:  # its driver is an extra
    from memory.index.shared import SharedShelves


class Memory(Paying):
    """Everything remembered, by namespace. Thread-safe; a call that writes returns once it is on disk."""

    def __init__(
        self,
        store: Store,
        generations: Generations,
        settings: RecallSettings,
        clock: Callable[[], float],
        reranker: Reranker | None = None,
        signers: Signers | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(store, generations, clock, signers or Signers(), limits or Limits())
        self._recaller = Recaller(store, generations, settings, reranker)

    @classmethod
    def open(
        cls,
        where: Path | str,
        *,
        encoder: Encoder,
        previous: Encoder | None = None,
        reranker: Reranker | None = None,
        clock: Callable[[], float] = time.time,
        settings: RecallSettings | None = None,
        max_pages: int | None = None,
        index: Path | Literal["pgvector"] | None = None,
        signers: Signers | None = None,
        limits: Limits | None = None,
        held: HeldOut = nothing,
    ) -> Memory:
        """Open or create the SQLite file at a path, or the PostgreSQL database at a URL, shared by processes.

        With a `previous` encoder a namespace is searched by its vectors until `reencode` has made those of
        the new one; without it items that have no new vector are found by their words alone.

        The index lives in the folder `index`: beside the file where none is given, with a URL in a temporary
        one; "pgvector" keeps it in the database. `max_pages` bounds the file, in pages of 4096 bytes. Raises
        StoreLocked, DiskFull, StoreError, BadInput on a URL of another database.

        Bundles are signed with the key of `signers`: where none are given, `signing.key` beside the file.
        Of tasks that `held` names nothing is learned: writing an episode or item of theirs raises Denied.
        """
        store = Store.open(where, max_pages=max_pages, held=held)
        folder = None if index == "pgvector" else index or _index_folder(store, where)

        def generation(of: Encoder) -> Generation:
            return Generation(CachedEncoder(of), _shelves(store, of, folder))

        before = None if previous is None else generation(previous)
        generations = Generations(store, generation(encoder), before)
        signers = signers or _own_key(where)
        return cls(store, generations, settings or RecallSettings(), clock, reranker, signers, limits)

    # Writing

    def remember(
        self,
        namespace: str,
        drafts: Sequence[Draft],
        *,
        principal: str,
        channel: Channel,
        idempotency_key: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> tuple[Item, ...]:
        """The drafts as items, in order. What says the same as an item returns that item, evidence merged.

        New items are called by `ids`, which nothing else may have; by random names where none are given.
        Raises BadInput (also on secrets and on a lineage that names unknown items), TooLarge, Conflict when
        the key was used for another request, OverQuota, EncoderError, DiskFull, StoreError.
        """
        author = self._author(namespace, principal, channel)
        self._rates.take(namespace, principal, len(drafts))
        bodies = [check_draft(draft) for draft in drafts]
        for draft in drafts:
            check_scope(namespace, draft.scope)
        if idempotency_key is not None:
            check_name("the idempotency key", idempotency_key)
        texts = [draft.text for draft in drafts]
        names = ids or [fresh_id(author.at) for _ in drafts]
        told = list(zip(drafts, bodies, self._encoder.items(texts), names, strict=True))
        request = "" if idempotency_key is None else request_hash(channel, drafts)
        arrivals = Arrivals(author, told, idempotency_key, request)
        return self._write(namespace, texts, arrivals.admit, ahead=arrivals.sought)

    def import_episodes(
        self,
        namespace: str,
        data: bytes,
        how: Reading,
        *,
        principal: str,
        channel: Channel,
        vouched: bool = False,
    ) -> ImportReport:
        """What another system recorded, as episodes and cases; see `memory.moving.importing`.

        Trusted as what is `external`, unless an operator vouches for it. Raises BadInput on a file of another
        format, Denied when somebody else vouches.
        """
        if vouched and channel != "operator":
            raise Denied(f"only an operator can vouch for an import, not {channel!r}")
        believed: Channel = "operator" if vouched else "external"
        author = self._author(namespace, principal, believed)

        def remember(drafts: Sequence[Draft], ids: Sequence[str]) -> tuple[Item, ...]:
            return self.remember(namespace, drafts, principal=principal, channel=believed, ids=ids)

        return take_log(self._store, remember, author, data, how)

    # Episodes and value

    def record(self, episode: Episode, *, principal: str) -> None:
        """Keep an episode for good; the same one again changes nothing.

        Raises BadInput on infinity or NaN in it, Conflict on another episode of the same id.
        """
        author = self._author(episode.namespace, principal, "user")
        episode, vector = self._ready(episode)
        self._store.write(lambda writer: credit.record(writer, episode, vector, author.principal, author.at))

    def extend(
        self,
        namespace: str,
        episode_id: str,
        say: Callable[[Episode], credit.More],
        *,
        principal: str,
        first: Episode | None = None,
    ) -> Episode:
        """What `say` makes of an episode as it stands, put behind it in the same transaction: of those that
        speak at once, none is lost. `first` is the episode where there is none yet.

        `say` is pure, for it may be asked again. Raises NotFound, and BadInput as `record` does.
        """
        author = self._author(namespace, principal, "user")
        begun = None if first is None else self._ready(first)
        return self._store.write(lambda writer: credit.extend(writer, author, episode_id, say, begun))

    def feedback(
        self,
        namespace: str,
        episode_id: str,
        *,
        principal: str,
        reward: float | None = None,
        outcome: Outcome | None = None,
        values: dict[str, Json] | None = None,
        channel: Channel = "user",
    ) -> Episode:
        """Late word on an episode: what it gave to items is re-valued in the same transaction.

        What a world or a rule said stands, unless the channel is `operator`; dissent is kept as `disputed`.

        Raises NotFound, BadInput on a reward that is no number.
        """
        author = self._author(namespace, principal, channel)
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

    def fetched(self, namespace: str, item_id: str, *, principal: str, counts: bool = True) -> Item | None:
        """An item that was shown by its title and is now read whole; None when it may not be shown any more.

        Its counter moves if it `counts`; of items of scope `global` no namespace keeps statistics.
        """
        author = self._author(namespace, principal, "user")
        return self._store.write(lambda writer: credit.fetched(writer, author, item_id, counts=counts))

    # Reading

    def usage(self, namespace: str) -> Usage:
        """How much a namespace holds, and its budget."""
        with self._store.read() as reader:
            held = reader.tally(namespace)
        return Usage(held.items, held.living, held.episodes, self._limits.max_living)

    def recall(
        self,
        query: Query,
        *,
        count_tokens: CountTokens,
        counter: str = "",
        show: Callable[[Item], str] = shown_text,
    ) -> Recall:
        """Every candidate with its score parts and fate; `hits` are those to show, often none.

        Items of scope `global` are found from every namespace. `show` is an item as it will stand in the
        prompt, which `count_tokens` counts; `counter` says in the record whose tokens they are. Raises
        BadInput, EncoderError.
        """
        costs = Costs(count_tokens, counter, show)
        return self._recaller.recall(query, now=self._clock(), costs=costs)

    def replay(
        self,
        record: RecallRecord,
        *,
        count_tokens: CountTokens,
        show: Callable[[Item], str] = shown_text,
    ) -> Recall:
        """An earlier recall again, bit for bit, whatever has been edited, forgotten or reinforced since.

        Holds for equal `RecallSettings`, token counter and `show`. Raises NotFound when something that was
        there then has been erased, EncoderError, BadInput.
        """
        return self._recaller.replay(record, costs=Costs(count_tokens, record.counter, show))

    def _ready(self, episode: Episode) -> tuple[Episode, Vector | None]:
        check_name("the episode's id", episode.id)
        dumps(episode)
        vector = None if episode.recall is None else self._recaller.question_vector(episode.recall)
        return without_secrets(episode), vector


def _own_key(where: Path | str) -> Signers:
    return Signers(where.parent / "signing.key") if isinstance(where, Path) else Signers()


def _shelves(store: Store, encoder: Encoder, folder: Path | None) -> Shelves | SharedShelves:
    if folder is not None:
        return Shelves(store, encoder.generation, encoder.dim, folder)
    from memory.index.shared import SharedShelves  # its driver is an extra

    return SharedShelves(store, encoder.generation, encoder.dim)


def _index_folder(store: Store, where: Path | str) -> Path:
    if isinstance(where, Path):
        return where.parent / "index" / where.name
    folder = Path(mkdtemp(prefix="apprentice-index-"))
    finalize(store, rmtree, folder, ignore_errors=True)
    return folder
