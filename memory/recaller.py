"""Answers queries, now and as of any earlier moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from memory.admission import TWIN_COSINE, check_name
from memory.encoder import CachedEncoder
from memory.entry import RECALLABLE, Found, Vector, digest_of, entry_of, reach_of
from memory.errors import BadInput, EncoderError
from memory.index.ask import Ask
from memory.index.shelf import Shelf
from memory.rank import RecallSettings, rank
from memory.shelves import Shelves
from memory.store.engine import Store
from memory.store.reader import Reader
from memory.types import Draft, Item, Query, Recall, RecallRecord

CountTokens = Callable[[str], int]
N_TWINS = 8
"""Nearest items looked at for a duplicate in meaning."""


class Recaller:
    """Search, ranking and replay over one store. Thread-safe."""

    def __init__(
        self, store: Store, shelves: Shelves, encoder: CachedEncoder, settings: RecallSettings
    ) -> None:
        self._store = store
        self._shelves = shelves
        self._encoder = encoder
        self._settings = settings

    def recall(self, query: Query, *, now: float, count_tokens: CountTokens) -> Recall:
        """Everything considered for a query. Raises BadInput, EncoderError."""
        _check(query)
        query = query if query.at is not None else replace(query, at=now)
        ask = self._ask(query, self._encoder.query(query.text))

        def use(
            shelf: Shelf, reader: Reader, seq: int
        ) -> tuple[list[Found], dict[str, Item], frozenset[str], int]:
            found = list(shelf.search(ask).found)
            # The index only finds; what is shown is read from the truth at the same moment.
            items = reader.items_by_id(query.namespace, [one.id for one in found])
            items = {id_: item for id_, item in items.items() if item.status in RECALLABLE}
            return found, items, _attempts(reader, query, seq), seq

        found, items, attempts, seq = self._shelves.look(query.namespace, use)
        hits = rank(
            query,
            found,
            items,
            settings=self._settings,
            floor=self._floor(),
            attempts=attempts,
            count_tokens=count_tokens,
        )
        return Recall(query, hits, seq, self._encoder.inner.generation)

    def replay(self, record: RecallRecord, *, count_tokens: CountTokens) -> Recall:
        """The recall of a record again: items, statistics and corpus as they stood at its log position.

        Exact for equal `RecallSettings`. Raises EncoderError when the question was asked with another encoder
        and its vector was never recorded with an episode; BadInput on a record without a time.
        """
        query = record.query
        _check(query)
        if query.at is None:
            raise BadInput(
                "the record's query has no time: record what `recall` returned, not what it was asked"
            )
        with self._store.read() as reader:
            vector = self._past_vector(reader, record)
            items = reader.items_as_of(query.namespace, record.log_seq)
            items = {id_: item for id_, item in items.items() if item.status in RECALLABLE}
            vectors = reader.vectors(query.namespace, record.encoder, until=record.log_seq)
            attempts = _attempts(reader, query, record.log_seq)
        shelf = Shelf(len(vector))
        shelf.put(entry_of(item, vectors.get(digest_of(item.text))) for item in items.values())
        hits = rank(
            query,
            shelf.search(self._ask(query, vector)).found,
            items,
            settings=self._settings,
            floor=self._floor(),
            attempts=attempts,
            count_tokens=count_tokens,
        )
        return Recall(query, hits, record.log_seq, record.encoder)

    def question_vector(self, record: RecallRecord) -> Vector | None:
        """The vector a recall was asked with, to be kept with its episode; None under another encoder."""
        if record.encoder != self._encoder.inner.generation:
            return None
        return self._encoder.query(record.query.text)

    def near(
        self, namespace: str, drafts: Sequence[Draft], vectors: Sequence[Vector]
    ) -> list[tuple[str, ...]]:
        """For each draft the ids of items whose vectors are so near that they may say the same."""

        def use(shelf: Shelf, _reader: Reader, _seq: int) -> list[tuple[str, ...]]:
            return [
                tuple(shelf.near(vector, draft.kind, _reaches(draft), least=TWIN_COSINE, n=N_TWINS))
                for draft, vector in zip(drafts, vectors, strict=True)
            ]

        return self._shelves.look(namespace, use)

    def _ask(self, query: Query, vector: Vector) -> Ask:
        return Ask(vector, query.text, query.kinds, query.reaches, self._settings.pool)

    def _floor(self) -> float:
        own = self._settings.dense_floor
        return self._encoder.inner.floor if own is None else own

    def _past_vector(self, reader: Reader, record: RecallRecord) -> Vector:
        query = record.query
        kept = reader.vector(query.namespace, record.encoder, "query", digest_of(query.text))
        if kept is not None:
            return kept
        if record.encoder != self._encoder.inner.generation:
            raise EncoderError(
                f"the recall was made with encoder {record.encoder!r} and its question was not kept; open "
                "the memory with that encoder to replay it"
            )
        return self._encoder.query(query.text)


def _check(query: Query) -> None:
    check_name("namespace", query.namespace)
    if query.k < 1:
        raise BadInput(f"k is {query.k}, at least 1 is needed")
    if not 0.0 <= query.drop_rate < 1.0:
        raise BadInput(f"drop_rate is {query.drop_rate}, a probability below 1 is needed")
    if not query.kinds:
        raise BadInput("a query needs at least one kind of item")


def _attempts(reader: Reader, query: Query, until: int) -> frozenset[str]:
    if query.exclude_task is None:
        return frozenset()
    return reader.attempts(query.namespace, query.exclude_task, until)


def _reaches(draft: Draft) -> frozenset[str]:
    reach = reach_of(draft.scope, draft.family, draft.audience)
    return frozenset() if reach is None else frozenset({reach})
