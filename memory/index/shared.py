"""The index of several processes, kept in their PostgreSQL: `memory.index.shelves` without local state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TypeVar

import numpy as np
from psycopg import Connection

from memory.entry import Found, cosine
from memory.errors import ApprenticeError, BadInput
from memory.index.ask import Ask, Searchable, Searched
from memory.index.bm25 import Corpus, bm25
from memory.index.snapshots import Origin
from memory.index.upkeep import Strides, Upkeep
from memory.store.engine import Store
from memory.store.pgvector import Row, Scope, SharedIndex
from memory.store.postgres import Postgres
from memory.store.reader import Reader
from memory.store.writer import Writer
from memory.words import content_words

T = TypeVar("T")
log = logging.getLogger(__name__)
TRIES = 4
"""Times that writers may overtake a question before it holds them up."""
LARGE = 20_000
"""Items a question may see from which the graph of the namespace goes before comparing with each."""
STRIDE = 4_096
"""Rows this process writes to a namespace until its index follows unasked."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """One namespace as one transaction sees it."""

    index: SharedIndex
    encoder: str
    namespace: str
    reader: Reader
    large: int
    on_large: Callable[[str], None]

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker, in no order; equal to what an index in memory finds."""
        scope = Scope(self.namespace, ask.kinds, ask.reaches)
        words = sorted(set(content_words(ask.text)))
        n, length = self.index.corpus(self.reader, scope)
        if not n:
            return Searched((), exact=False)
        # Twice as many as wanted, for the database's arithmetic is not quite that of the scores.
        near = self.index.near(self.reader, scope, ask.vector, 2 * ask.n, by_graph=self._has_graph(n))
        said, holding = self.index.saying(self.reader, scope, words, (n, length), 2 * ask.n)
        rows = self.index.rows(self.reader, self.namespace, sorted({*near, *said}), words)
        corpus = Corpus(n, length, holding)
        found = self._found(ask, words, corpus, rows)
        kept = _best(found, ask.n, lambda one: one.dense) | _best(found, ask.n, lambda one: one.lexical)
        # Not exact, though it often is: what was proposed is kept with the recall.
        return Searched(tuple(one for one in found if one.id in kept), exact=False)

    def _has_graph(self, n: int) -> bool:
        if n <= self.large:
            return False
        if self.index.has_graph(self.reader, self.namespace):
            return True
        self.on_large(self.namespace)
        return False

    def _found(self, ask: Ask, words: Sequence[str], corpus: Corpus, rows: Sequence[Row]) -> list[Found]:
        scores, covered = np.zeros(len(rows)), np.zeros(len(rows))
        counts = np.array([row.counts for row in rows], dtype=np.int32).reshape(len(rows), len(words))
        lengths = np.array([row.length for row in rows], dtype=np.int32)
        total = 0.0
        for place, word in enumerate(words):
            weight, seen = corpus.idf(word), counts[:, place] > 0
            total += weight
            if seen.any():
                scores[seen] += bm25(weight, counts[seen, place], lengths[seen], corpus.mean)
                covered[seen] += weight
        digests = sorted({row.digest for row in rows})
        vectors = self.reader.vectors(self.namespace, self.encoder, digests=digests)
        return [
            Found(
                id=row.id,
                dense=None if row.digest not in vectors else cosine(vectors[row.digest], ask.vector),
                lexical=float(score) if score > 0.0 else None,
                coverage=float(cover / total) if total else 0.0,
                vector=vectors.get(row.digest),
            )
            for row, score, cover in zip(rows, scores, covered, strict=True)
        ]


class SharedShelves:
    """Looks at the index in the database, level with the log. Thread-safe."""

    origin: Origin = "none"
    """Nothing is read from this machine."""
    note = ""

    def __init__(
        self, store: Store, encoder: str, dim: int, *, large: int = LARGE, stride: int = STRIDE
    ) -> None:
        """Makes its tables where they are missing. Raises BadInput when the store is no PostgreSQL."""
        if not isinstance(store.backend, Postgres):
            raise BadInput("an index by pgvector needs PostgreSQL: open memory by a URL")
        self._store = store
        self._backend = store.backend
        self._encoder = encoder
        self._index = SharedIndex(encoder, dim)
        self._large = large
        self._building: dict[str, tuple[Thread, list[Connection]]] = {}
        self._is_closing = False
        self._lock = Lock()
        self._applied_seq = 0
        self._following = Upkeep(self._level)
        self._strides = Strides(self._following, stride)
        store.write(lambda writer: self._index.create(writer.connection))

    @property
    def applied_seq(self) -> int:
        """Newest log position that was looked at."""
        return self._applied_seq

    def look(self, namespace: str, use: Callable[[Searchable, Reader, int], T]) -> T:
        """Call `use(index, reader, seq)` with the index exactly at the reader's moment, log position seq."""
        return self.look_at([namespace], lambda indexes, reader, seq: use(indexes[namespace], reader, seq))

    def look_at(
        self, namespaces: Sequence[str], use: Callable[[Mapping[str, Searchable], Reader, int], T]
    ) -> T:
        """Call `use(indexes, reader, seq)` with each index exactly at the reader's one moment."""
        wanted = sorted(set(namespaces))
        for _ in range(TRIES):
            with self._store.read() as reader:
                behind = [name for name in wanted if not self._index.is_level(reader, name)]
                if not behind:
                    return self._use(wanted, reader, use)
            for name in behind:
                self._level(name)

        def alone(writer: Writer) -> T:
            for name in wanted:
                while not self._index.is_level(writer, name):
                    self._index.level(writer, name)
            return self._use(wanted, writer, use)

        return self._store.write(alone)

    def complete(self, namespace: str) -> None:
        """Return once all of a namespace can be found: as it always is."""

    def wrote(self, namespace: str, n: int) -> None:
        """Told after a commit of n texts; takes no time."""
        self._strides.wrote(namespace, n)

    def save(self) -> None:
        """Nothing to do: the database has it."""

    def purge(self, namespace: str) -> None:
        """Forget a namespace's index; the next question reads the truth again."""
        self._store.write(lambda writer: self._index.purge(writer, namespace))

    def close(self) -> None:
        """Give up what is being built: the next process to need it begins again. Safe to call twice."""
        with self._lock:
            self._is_closing = True
            building = list(self._building.values())
        self._following.close()
        for thread, connections in building:
            for connection in connections:
                connection.cancel_safe()
            thread.join()

    def _level(self, namespace: str) -> None:
        while not self._store.write(lambda writer: self._index.level(writer, namespace)):
            if self._is_closing:
                return

    def _use(
        self,
        namespaces: Sequence[str],
        reader: Reader,
        use: Callable[[Mapping[str, Searchable], Reader, int], T],
    ) -> T:
        seq = max(reader.head(name) for name in namespaces)
        self._applied_seq = max(self._applied_seq, seq)
        return use(
            {
                name: _Moment(self._index, self._encoder, name, reader, self._large, self._build)
                for name in namespaces
            },
            reader,
            seq,
        )

    def _build(self, namespace: str) -> None:
        """Give a large namespace its graph, in the background; once a process."""
        connections: list[Connection] = []

        def work() -> None:
            try:
                with self._backend.apart() as connection:
                    connections.append(connection)
                    self._index.build_graph(connection, namespace)
            except ApprenticeError as error:
                log.warning("no graph for namespace %r: %s; it is searched without", namespace, error)

        with self._lock:
            if namespace not in self._building and not self._is_closing:
                thread = Thread(target=work, name="memory-graph", daemon=True)
                self._building[namespace] = thread, connections
                thread.start()


def _best(found: Sequence[Found], n: int, score: Callable[[Found], float | None]) -> set[str]:
    scored = [(value, one.id) for one in found if (value := score(one)) is not None]
    return {id_ for _, id_ in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:n]}
