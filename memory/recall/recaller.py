"""Answers queries, now and as of any earlier moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import BoundedSemaphore

from memory.entry import RECALLABLE, Found, Vector, digest_of, entry_of
from memory.errors import BadInput, EncoderError, NotFound
from memory.index.ask import Ask, Searchable
from memory.index.shelf import Shelf
from memory.nouns.questions import RANKER
from memory.recall.choosing import RecallSettings
from memory.recall.fetching import values_of, with_values, with_vectors
from memory.recall.generations import Generations
from memory.recall.pool import Pool
from memory.recall.rank import Sifted, n_weighed, rank, sift
from memory.recall.rerank import Reranker
from memory.recall.shown import shown_text
from memory.recall.valuing import policy_of, with_value
from memory.store.engine import Store
from memory.store.reader import Reader
from memory.types import GLOBAL, Item, Query, Recall, RecallRecord
from memory.writing.admission import check_name

CountTokens = Callable[[str], int]
N_NAMED = 5
"""Erased items that an error names."""
TURNS = 2
"""Questions that are searched for at a time. More would only take the interpreter from each other, which each
gives up at every row it reads: 16 at once took twice as long."""
AT_ONCE = 1000
"""Vectors asked for in one statement."""


@dataclass(frozen=True, slots=True)
class Costs:
    """How the tokens of an item are counted."""

    count_tokens: CountTokens
    counter: str = ""
    """Whose tokens."""
    show: Callable[[Item], str] = shown_text
    """An item as it will stand in the prompt."""


class Recaller:
    """Search, ranking and replay over one store. Thread-safe."""

    def __init__(
        self,
        store: Store,
        generations: Generations,
        settings: RecallSettings,
        reranker: Reranker | None = None,
    ) -> None:
        self._store = store
        self._generations = generations
        self._settings = settings
        self._reranker = reranker
        self._turns = BoundedSemaphore(TURNS)

    def recall(self, query: Query, *, now: float, costs: Costs) -> Recall:
        """Everything considered for a query. Raises BadInput, EncoderError."""
        _check(query)
        query = query if query.at is not None else replace(query, at=now)
        spaces = _spaces(query.namespace)
        generation = self._generations.of(spaces)
        ask = self._ask(query, generation.encoder.query(query.text))
        own = self._settings.dense_floor
        floor = generation.encoder.inner.floor if own is None else own

        def look(shelves: Mapping[str, Searchable], reader: Reader, seq: int) -> tuple[Pool, Sifted, int]:
            with self._turns:
                pool = _found(spaces, ask, shelves, reader)
                sifted = self._sifted(query, pool, floor, _attempts(reader, query, seq))
                return pool, self._seen(sifted, query, reader, ask.vector, generation.name), seq

        pool, sifted, seq = generation.shelves.look_at(spaces, look)
        reranker, proposed = self._reranks_by, pool.proposed()
        read = (
            policy_of(query, self._settings),
            values_of(sifted, self._n_seen(query), query, self._settings),
        )
        blank = Recall(query, (), seq, generation.name, costs.counter, reranker, floor, proposed, *read)
        return self._ranked(blank, sifted, costs)

    def replay(self, record: RecallRecord, *, costs: Costs) -> Recall:
        """The recall of a record again: items, statistics and corpus as they stood at its log position.

        What an approximate search proposed is ranked again; an exact search is made again. Raises NotFound
        when an item of then was erased since; EncoderError when the question was asked with another encoder
        and its vector never recorded with an episode, or with another reranker; BadInput on a record without
        a time, or of a release that ranked otherwise.
        """
        query = record.query
        _check(query)
        if query.at is None:
            raise BadInput(
                "the record's query has no time: record what `recall` returned, not what it was asked"
            )
        if record.ranker != RANKER:
            raise BadInput(
                f"the recall was ranked by version {record.ranker}, this release ranks by {RANKER}: replay "
                "it with the release that made it"
            )
        if record.reranker != self._reranks_by:
            raise EncoderError(
                f"the recall was made with reranker {record.reranker!r}: open the memory with it to replay it"
            )
        with self._store.read() as reader:
            again = self._searched_again if record.proposed is None else _proposed_again
            pool = again(reader, record)
            attempts = _attempts(reader, query, record.log_seq)
        blank = Recall(
            query,
            (),
            record.log_seq,
            record.encoder,
            record.counter,
            record.reranker,
            self._floor_of(record),
            record.proposed,
            record.policy,
            record.valued,
        )
        sifted = _valued_again(self._sifted(query, pool, blank.floor, attempts), record)
        return self._ranked(blank, sifted, costs)

    def question_vector(self, record: RecallRecord) -> Vector | None:
        """The vector a recall was asked with, to be kept with its episode; None under another encoder."""
        generation = self._generations.named(record.encoder)
        return None if generation is None else generation.encoder.query(record.query.text)

    @property
    def _reranks_by(self) -> str | None:
        return self._reranker.name if self._reranker else None

    def _sifted(self, query: Query, pool: Pool, floor: float, attempts: frozenset[str]) -> Sifted:
        return sift(query, pool.found, pool.items, settings=self._settings, floor=floor, attempts=attempts)

    def _seen(self, sifted: Sifted, query: Query, reader: Reader, question: Vector, encoder: str) -> Sifted:
        """With what the truth knows of those that may be shown."""
        n = self._n_seen(query)
        near = with_vectors(sifted.relevant[:n], reader, encoder)
        return with_values(
            replace(sifted, relevant=[*near, *sifted.relevant[n:]]),
            n,
            reader,
            query=query,
            question=question,
            encoder=encoder,
            settings=self._settings,
        )

    def _n_seen(self, query: Query) -> int:
        return n_weighed(query, self._settings, is_reranked=self._reranker is not None)

    def _ranked(self, blank: Recall, sifted: Sifted, costs: Costs) -> Recall:
        query, reranker = blank.query, self._reranker
        hits = rank(
            sifted,
            query,
            settings=self._settings,
            count_tokens=costs.count_tokens,
            show=costs.show,
            rerank=None if reranker is None else lambda texts: reranker.scores(query.text, texts).tolist(),
        )
        return replace(blank, candidates=hits)

    def _ask(self, query: Query, vector: Vector) -> Ask:
        return Ask(vector, query.text, query.kinds, query.reaches, self._settings.pool)

    def _floor_of(self, record: RecallRecord) -> float:
        if record.floor is not None:
            return record.floor
        own = self._settings.dense_floor
        return self._generations.present.encoder.inner.floor if own is None else own

    def _searched_again(self, reader: Reader, record: RecallRecord) -> Pool:
        ask = self._ask(record.query, self._past_vector(reader, record))
        pool = Pool()
        for namespace in _spaces(record.query.namespace):
            items = _items_then(reader, namespace, record, None)
            vectors = _vectors_then(reader, namespace, record, items.values())
            shelf = Shelf(len(ask.vector))
            shelf.put(
                entry_of(item, vectors.get(digest_of(item.text)))
                for item in items.values()
                if item.status in RECALLABLE
            )
            pool.add(namespace, shelf.search(ask).found, items)
        return pool

    def _past_vector(self, reader: Reader, record: RecallRecord) -> Vector:
        query = record.query
        kept = reader.vector(query.namespace, record.encoder, "query", digest_of(query.text))
        if kept is not None:
            return kept
        vector = self.question_vector(record)
        if vector is None:
            raise EncoderError(
                f"the recall was made with encoder {record.encoder!r} and its question was not kept; open "
                "the memory with that encoder to replay it"
            )
        return vector


def _found(spaces: Sequence[str], ask: Ask, shelves: Mapping[str, Searchable], reader: Reader) -> Pool:
    """The index only finds; what is shown is read from the truth at the same moment."""
    pool = Pool()
    for namespace in spaces:
        searched = shelves[namespace].search(ask)
        keys = {one.id: one.key for one in searched.found}
        items = reader.items_found(namespace, keys) if keys else {}
        pool.add(namespace, searched.found, items, is_exact=searched.exact)
    return pool


def _proposed_again(reader: Reader, record: RecallRecord) -> Pool:
    pool = Pool()
    for namespace in _spaces(record.query.namespace):
        is_shared = namespace == GLOBAL != record.query.namespace
        proposed = [one for one in record.proposed or () if one.shared == is_shared]
        items = _items_then(reader, namespace, record, [one.item for one in proposed])
        vectors = _vectors_then(reader, namespace, record, items.values())
        found = [
            Found(
                one.item,
                one.dense,
                one.lexical,
                one.coverage,
                None if one.dense is None else vectors.get(digest_of(items[one.item].text)),
            )
            for one in proposed
        ]
        pool.add(namespace, found, items)
    return pool


def _valued_again(sifted: Sifted, record: RecallRecord) -> Sifted:
    """With the values of then: what came of the episodes may have been corrected since."""
    values = dict(record.valued)
    if not values:
        return sifted
    again = [
        with_value(one, values[one.item.id]) if one.item.id in values else one for one in sifted.relevant
    ]
    return replace(sifted, relevant=again)


def _items_then(
    reader: Reader, namespace: str, record: RecallRecord, ids: Sequence[str] | None
) -> dict[str, Item]:
    past = reader.past(namespace, record.log_seq, ids)
    if past.erased:
        named = ", ".join(sorted(past.erased)[:N_NAMED]) + (", …" if len(past.erased) > N_NAMED else "")
        raise NotFound(
            f"of the items at log position {record.log_seq}, {len(past.erased)} were erased since ({named}): "
            "what was recalled then cannot be shown again"
        )
    return past.items


def _vectors_then(
    reader: Reader, namespace: str, record: RecallRecord, items: Iterable[Item]
) -> dict[str, Vector]:
    digests = sorted({digest_of(item.text) for item in items})
    vectors: dict[str, Vector] = {}
    for start in range(0, len(digests), AT_ONCE):
        asked = digests[start : start + AT_ONCE]
        vectors |= reader.vectors(namespace, record.encoder, digests=asked, until=record.log_seq)
    return vectors


def _spaces(namespace: str) -> tuple[str, ...]:
    """What a question is put to: its namespace first, then what holds for all."""
    return (namespace,) if namespace == GLOBAL else (namespace, GLOBAL)


def _check(query: Query) -> None:
    check_name("namespace", query.namespace)
    if query.k < 1:
        raise BadInput(f"k is {query.k}, at least 1 is needed")
    for name, rate in (("drop_rate", query.drop_rate), ("hold_out", query.hold_out)):
        if not 0.0 <= rate < 1.0:
            raise BadInput(f"{name} is {rate}, a probability below 1 is needed")
    if not query.kinds:
        raise BadInput("a query needs at least one kind of item")


def _attempts(reader: Reader, query: Query, until: int) -> frozenset[str]:
    if query.exclude_task is None:
        return frozenset()
    return reader.attempts(query.namespace, query.exclude_task, until)
