"""The store: one writer thread with group commit, many readers, over whichever database was opened.

A commit costs an fsync, so the operations that wait share one; each has a savepoint of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from memory.errors import StoreError
from memory.heldout import HeldOut, nothing
from memory.store.backend import Backend, Undone
from memory.store.newcomers import Sought
from memory.store.reader import Reader
from memory.store.recalling import Keeping
from memory.store.sqlite import Sqlite
from memory.store.writer import Writer

T = TypeVar("T")

Ahead = Callable[[], Iterable[Sought]]
"""What an operation will look for; asked before the transaction, maybe more than once."""

GROUP = 256
"""Most operations that share one commit."""
PATIENCE_S, LONGEST_S = 0.0005, 0.005
"""Waited for one more operation, and for all of them, while there are fewer than shared the last commit:
whoever was answered then is about to ask again, and commits of many are cheaper."""


class Job(Generic[T]):
    """An operation waiting for the writer, which opens the gate after the commit.

    A bare lock is a third of a future's cost, and the writer has one job a thread to wake.
    """

    __slots__ = ("_failure", "_gate", "_result", "ahead", "run")

    def __init__(self, run: Callable[[Writer], T], ahead: Ahead | None = None) -> None:
        self.run = run
        self.ahead = ahead
        self._gate = Lock()
        self._gate.acquire()
        self._result: T | None = None
        self._failure: BaseException | None = None

    def answer(self, result: T | None, failure: BaseException | None) -> None:
        """Let the thread that waits go on with a result, or with the failure raised."""
        self._result, self._failure = result, failure
        self._gate.release()

    def outcome(self) -> T:
        """Wait for it. Raises the failure."""
        self._gate.acquire()
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                # The traceback holds this frame, which would hold the failure.
                self._failure = None
        return cast(T, self._result)


class Store:
    """An open database. Thread-safe."""

    def __init__(self, backend: Backend, keeping: Keeping | None = None, held: HeldOut = nothing) -> None:
        """`keeping` is for a database that no other process writes to; `held`: see `memory.heldout`."""
        self._backend = backend
        self._keeping = keeping
        self._held = held
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._n_last = 1
        self._thread = Thread(target=self._work, name="memory-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, where: Path | str, *, max_pages: int | None = None, held: HeldOut = nothing) -> Store:
        """Open or create the SQLite file at a path, or the PostgreSQL database at a URL; mend its schema.

        `max_pages` bounds the file, in pages of 4096 bytes. Raises StoreLocked when another process has the
        file, DiskFull without space, StoreError when it is not a database of ours or cannot be reached.
        """
        if isinstance(where, Path):
            return cls(Sqlite.open(where, max_pages=max_pages), Keeping(), held)
        # Its driver is an extra.
        from memory.store.postgres import Postgres

        return cls(Postgres.open(where), held=held)

    @property
    def backend(self) -> Backend:
        """The database itself."""
        return self._backend

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A consistent view: everything read inside belongs to one moment."""
        self._check_open()
        try:
            with self._backend.reading() as connection:
                yield Reader(connection, self._keeping)
        except DBAPIError as error:
            raise self._backend.translated(error) from error

    def purge(self, namespace: str) -> None:
        """Keep nothing in memory of what was read of a namespace before now."""
        if self._keeping is not None:
            with self.read() as reader:
                self._keeping.forget(namespace, reader.head(namespace))

    def write(self, run: Callable[[Writer], T], ahead: Ahead | None = None) -> T:
        """Run one operation in a transaction and return once it is on disk.

        Operations of other threads may share the commit; each has its own savepoint. `run` may be called
        twice, so it touches nothing but its writer. What `ahead` says that it will look for is looked up for
        a whole group at once; what `ahead` raises, `run` has to raise again.

        Raises what `run` raises, DiskFull, StoreError.
        """
        job: Job[T] = Job(run, ahead)
        with self._closing:
            self._check_open()
            self._jobs.put(job)
        return job.outcome()

    def check(self) -> tuple[str, ...]:
        """What is wrong with the database and its full-text rows; empty when all is well."""

        def run(writer: Writer) -> tuple[str, ...]:
            return writer.integrity()

        return self.write(run)

    def backup(self, target: Path) -> None:
        """Copy the live database into a file. Raises StoreError on PostgreSQL, which has tools for that."""
        self._check_open()
        self._backend.backup(target)

    def close(self) -> None:
        """Finish what is waiting, let the database go. Safe to call twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._backend.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self._backend.name!r} is closed")

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, more = self._gather(first)
            self._commit(batch)
            if not more:
                return

    def _gather(self, first: Job[Any]) -> tuple[list[Job[Any]], bool]:
        batch, end, n_before = [first], monotonic() + LONGEST_S, 0
        while len(batch) < GROUP:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                is_early = len(batch) < self._n_last and monotonic() < end
                if not is_early or len(batch) == n_before:
                    break
                n_before = len(batch)
                # Not by the queue's own timeout: in Python 3.11 one that is over before it begins never ends.
                sleep(PATIENCE_S)
                continue
            if job is None:
                return batch, False
            batch.append(job)
        self._n_last = len(batch)
        return batch, True

    def _commit(self, batch: list[Job[Any]]) -> None:
        sought: list[Sought] = []
        for job in batch:
            if job.ahead is not None:
                with suppress(Exception):
                    sought += job.ahead()
        try:
            outcomes = self._backend.transact(lambda connection: self._attempts(connection, batch, sought))
        except Exception as error:  # noqa: BLE001 - told to those who wait, or they wait for ever
            if len(batch) == 1:
                cause = error.__cause__ if isinstance(error, Undone) else error
                batch[0].answer(None, self._backend.translated(cause or error))
                return
            # One operation spoilt the transaction for all: each gets its own.
            for job in batch:
                self._commit([job])
            return
        for job, (result, failure) in zip(batch, outcomes, strict=True):
            job.answer(result, None if failure is None else self._backend.translated(failure))

    def _attempts(
        self, connection: Connection, batch: list[Job[Any]], sought: list[Sought]
    ) -> list[tuple[Any, Exception | None]]:
        writer = Writer(connection, self._held)
        writer.foresee(sought)
        outcomes = [self._attempt(connection, writer, job) for job in batch]
        writer.begin()
        writer.settle()
        writer.keep()
        return outcomes

    def _attempt(self, connection: Connection, writer: Writer, job: Job[Any]) -> tuple[Any, Exception | None]:
        writer.begin()
        try:
            result = job.run(writer)
        except Exception as error:  # whatever it is belongs to the caller, who gets it from the future
            if self._backend.is_undone(connection, error):
                raise Undone from error
            writer.take_back()
            return None, error
        writer.keep()
        return result, None
