"""Encoder generations: the present one and, until its vectors are all made, the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from memory.encoder import CachedEncoder
from memory.entry import Vector
from memory.errors import ApprenticeError
from memory.index.shelves import Shelves
from memory.store.engine import Store
from memory.store.writer import Writer
from memory.types import Json

if TYPE_CHECKING:  # its driver is an extra
    from memory.index.shared import SharedShelves

T = TypeVar("T")
ENCODE_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Generation:
    """An encoder and the shelves of its vectors."""

    encoder: CachedEncoder
    shelves: Shelves | SharedShelves

    @property
    def name(self) -> str:
        """Of the vectors."""
        return self.encoder.inner.generation


class Generations:
    """Which vectors a namespace is searched by. Thread-safe.

    With a previous generation a namespace stays with it until every item has a vector of the present one;
    what is written meanwhile gets both. The switch is for good and for all questions at once.
    """

    def __init__(self, store: Store, present: Generation, previous: Generation | None = None) -> None:
        self._store = store
        self.present = present
        self.previous = previous
        self._complete: dict[str, bool] = {}
        self._lock = Lock()
        self._is_done = False
        self._stop = Event()
        self._thread: Thread | None = None
        self.failure: str | None = None
        """Why re-encoding in the background ended early."""

    @property
    def serving(self) -> str | None:
        """The previous generation, by name, until every namespace has been seen to have turned."""
        return None if self.previous is None or self._is_done else self.previous.name

    def of(self, namespaces: Iterable[str]) -> Generation:
        """The generation that all of the namespaces can be searched by."""
        if self.previous is None or all(map(self._is_complete, namespaces)):
            return self.present
        return self.previous

    def named(self, name: str) -> Generation | None:
        """The generation of a name, if it is one of those that are open."""
        return next((one for one in self._open() if one.name == name), None)

    def also(self, texts: Sequence[str]) -> Callable[[Writer, str, T], T]:
        """What stores the previous generation's vectors of texts in the transaction that brings the texts.

        Called with the writer, the namespace and a result, which it returns. Encodes now, not in there.
        """
        previous = self.previous
        if previous is None or not texts:
            return lambda _writer, _namespace, result: result
        vectors = dict(zip(texts, previous.encoder.items(texts), strict=True))

        def add(writer: Writer, namespace: str, result: T) -> T:
            writer.add_vectors(namespace, previous.name, vectors, writer.head(namespace))
            return result

        return add

    def reencode(
        self, *, principal: str, clock: Callable[[], float], stop: Callable[[], bool] = lambda: False
    ) -> int:
        """Give every item a vector of the present generation, a namespace after the other.

        Returns how many texts were encoded. `stop` is asked between batches; the next call goes on.
        """
        n_done = 0
        for namespace in self._namespaces():
            n_before = n_done
            for batch in self._batches(namespace):
                if stop():
                    return n_done
                vectors = self.present.encoder.inner.encode(batch)
                made = dict(zip(batch, vectors, strict=True))
                self._store.write(_adding(self.present.name, namespace, made, principal, clock()))
                n_done += len(batch)
            with self._lock:
                self._complete[namespace] = True
            self.present.shelves.wrote(namespace, n_done - n_before)
        self._is_done = True
        return n_done

    def start(self, *, principal: str, clock: Callable[[], float]) -> None:
        """Re-encode in the background; once."""

        def work() -> None:
            try:
                self.reencode(principal=principal, clock=clock, stop=self._stop.is_set)
            except ApprenticeError as error:
                self.failure = str(error)

        if self._thread is None:
            self._thread = Thread(target=work, name="memory-reencode", daemon=True)
            self._thread.start()

    def purge(self, namespace: str) -> None:
        """Let go of what is kept of a namespace's texts beside the truth, files too; they are read anew."""
        self._store.purge(namespace)
        for one in self._open():
            one.shelves.purge(namespace)
            one.encoder.clear()

    def stop(self) -> None:
        """End what runs in the background, after the batch it is at."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for one in self._open():
            one.shelves.close()

    def close(self) -> None:
        """End all that runs in the background. Safe to call twice."""
        self.stop()
        for one in self._open():
            one.shelves.close()

    def _open(self) -> tuple[Generation, ...]:
        return (self.present,) if self.previous is None else (self.present, self.previous)

    def _namespaces(self) -> tuple[str, ...]:
        with self._store.read() as reader:
            return reader.namespaces()

    def _batches(self, namespace: str) -> Iterable[list[str]]:
        """Texts without a vector, in the order of their items."""
        after = 0
        while True:
            with self._store.read() as reader:
                page = reader.unencoded(namespace, self.present.name, after=after, limit=ENCODE_AT_ONCE)
            if not page:
                return
            after = page[-1][0]
            yield list(dict.fromkeys(text for _, text in page))

    def _is_complete(self, namespace: str) -> bool:
        with self._lock:
            known = self._complete.get(namespace)
        if known is not None:
            return known
        # Looked up once: from then on re-encoding says so, and every write brings the vector along.
        with self._store.read() as reader:
            is_complete = not reader.unencoded(namespace, self.present.name, after=0, limit=1)
        with self._lock:
            return self._complete.setdefault(namespace, is_complete)


def _adding(
    generation: str, namespace: str, vectors: dict[str, Vector], principal: str, at: float
) -> Callable[[Writer], None]:
    def run(writer: Writer) -> None:
        after: Json = {"encoder": generation, "texts": len(vectors)}
        seq = writer.append(namespace, principal, "reencode", at=at, after=after)
        writer.add_vectors(namespace, generation, vectors, seq)

    return run
