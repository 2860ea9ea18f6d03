"""What keeps the memory in order: bundles in and out, vectors, snapshots, health, closing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from memory.author import Author, check_right
from memory.errors import Denied
from memory.facade.library import Library
from memory.index.snapshots import Origin
from memory.moving import exporting, transfer
from memory.moving.intake import ImportReport
from memory.moving.signing import Signers
from memory.recall.generations import Generations
from memory.store.engine import Ahead, Store
from memory.store.writer import Writer
from memory.types import Channel
from memory.writing.admission import check_name
from memory.writing.limits import Limits, Rates, check_growth

log = logging.getLogger(__name__)
T = TypeVar("T")


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
    previous: str | None = None
    """The encoder whose vectors still serve what is not re-encoded yet; None when nothing is left to do."""
    encoder_note: str = ""
    """Why re-encoding in the background ended early; empty when it did not."""


class Housekeeping(Library):
    """The housekeeping part of `Memory`."""

    def __init__(
        self,
        store: Store,
        generations: Generations,
        clock: Callable[[], float],
        signers: Signers,
        limits: Limits,
    ) -> None:
        super().__init__(store, clock)
        self._signers = signers
        self._limits = limits
        self._rates = Rates(limits.writes_per_minute, clock)
        self._generations = generations
        self._is_closed = False
        self._shelves = generations.present.shelves
        self._encoder = generations.present.encoder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Save the index, finish writing, let the file go. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._generations.stop()
        try:
            self.snapshot()
        except OSError as error:
            log.warning("the index was not saved (%s); it will be rebuilt", error)
        self._generations.close()
        self._store.close()

    # Bundles

    def export(self, namespace: str, folder: Path, *, vectors: bool = True) -> Path:
        """Write a namespace as a signed bundle, see `memory.moving.bundle`. Conflict: a folder in use."""
        check_name("namespace", namespace)
        return exporting.export(
            self._store,
            self._encoder,
            namespace,
            folder,
            at=self._clock(),
            key=self._signers.own(),
            vectors=vectors,
        )

    def import_(
        self, namespace: str, folder: Path, *, principal: str, channel: Channel, vouched: bool = False
    ) -> ImportReport:
        """Take in a bundle. Ids are kept; what is there already stays; a line that is refused is named.

        An operator's import is a restore when the bundle's signer is trusted or the operator vouches for it;
        `memory.moving.transfer` says what a stranger is believed. Raises BadInput on a changed or forged
        bundle, Denied when somebody else vouches, OverQuota: a restore alone has no limits.
        """
        author = self._author(namespace, principal, channel)
        if vouched and channel != "operator":
            raise Denied(f"only an operator can vouch for a bundle, not {channel!r}")
        return transfer.take_in(
            self._store,
            self._write,
            self._encoder,
            author,
            folder,
            is_trusted=lambda signer: vouched or self._signers.knows(signer),
            limits=self._limits,
            rates=self._rates,
        )

    @property
    def signer(self) -> str | None:
        """The public key that bundles of this memory are signed with; None when they are not."""
        key = self._signers.own()
        return None if key is None else key.public

    # Keeping house

    def reencode(self, *, principal: str = "memory", stop: Callable[[], bool] = lambda: False) -> int:
        """Give every item a vector of the present encoder; returns how many texts were encoded.

        `stop` is asked between batches; another call goes on from there. Namespaces that were searched by the
        previous encoder turn to the present one as they are done.
        """
        return self._generations.reencode(principal=principal, clock=self._clock, stop=stop)

    def reencode_in_background(self, *, principal: str = "memory") -> None:
        """The same in a thread that `close` ends; the next start goes on."""
        self._generations.start(principal=principal, clock=self._clock)

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
            previous=self._generations.serving,
            encoder_note=self._generations.failure or "",
        )

    def backup(self, target: Path) -> None:
        """Copy the live database into a file."""
        self._store.backup(target)

    def check(self) -> tuple[str, ...]:
        """What is wrong with the database, its full text and its log; empty when all is well."""
        return self._store.check()

    def verify_log(self) -> int | None:
        """Seq of the first log row that was changed, removed or slipped in; None when the chain holds."""
        with self._store.read() as reader:
            return reader.first_broken()

    def _write(
        self,
        namespace: str,
        texts: Sequence[str],
        run: Callable[[Writer], T],
        limits: Limits | None = None,
        ahead: Ahead | None = None,
    ) -> T:
        """A transaction that brings texts: they get the previous encoder's vectors too, if there is one.

        Raises OverQuota when the namespace would grow over its budget by it, the memory's own where none is
        given; then nothing is written.
        """
        within = limits or self._limits
        also = self._generations.also(texts)
        # Looked up first: once it is on disk nothing may fail any more.
        shelves = self._generations.of([namespace]).shelves
        result = self._store.write(
            lambda writer: also(writer, namespace, _grown(within, writer, namespace, run)), ahead
        )
        shelves.wrote(namespace, len(texts))
        return result

    def _author(self, namespace: str, principal: str, channel: Channel) -> Author:
        check_name("namespace", namespace)
        check_name("principal", principal)
        check_right(namespace, channel)
        return Author(namespace, principal, channel, self._clock(), self._encoder.inner.generation)


def _grown(limits: Limits, writer: Writer, namespace: str, run: Callable[[Writer], T]) -> T:
    if limits.max_living is None:
        return run(writer)
    before = writer.tally(namespace).living
    result = run(writer)
    # What takes away more than it brings is never refused.
    if (living := writer.tally(namespace).living) > before:
        check_growth(namespace, living, limits)
    return result
