"""The end of the log, and what is appended to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from memory.codec import canonical
from memory.entry import Vector, digest_of, to_blob
from memory.store import statements
from memory.store.chain import chained, digest_in_log
from memory.store.prepared import Prepared, Values
from memory.store.reader import Reader, Tally
from memory.store.session import AnyRow
from memory.types import Json


@dataclass(slots=True)
class Tail:
    """Where the log ends, and the largest key of an item: nobody else can move them in this transaction."""

    seq: int
    hash: str
    key: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What stood when an operation began."""

    n_later: int = 0
    n_settled: int = 0
    tail: Tail | None = None


_AS_IT_IS = frozenset(
    {
        *(statements.LAST, statements.LAST_KEY, statements.ONE_EPISODE),
        *(statements.SAME, statements.TWINS, statements.TALLIED),
    }
)
"""Questions that nothing which waits answers otherwise, or that are answered with it."""


class Appender(Reader):
    """The part of a writer that every change goes through: savepoints, log rows, vectors, counts.

    Rows of new items wait until something else is asked or changed, or the transaction ends: the operations
    of a group commit then write them together, at half the cost; FTS5 writes all it holds at every savepoint.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._tail: Tail | None = None
        self._later: list[tuple[Prepared, dict[str, Any]]] = []
        self._n_settled = 0
        self._mark = Mark()
        self._has_savepoint = False

    @property
    def _connection(self) -> Connection:
        self.settle()
        return self._held

    def begin(self) -> None:
        """From here on all can be taken back alone."""
        self._mark = Mark(len(self._later), self._n_settled, replace(self._tail) if self._tail else None)
        self._has_savepoint = False

    def keep(self) -> None:
        """Keep what was done since."""
        if self._has_savepoint:
            self._call("execute", "RELEASE job", ())
            self._has_savepoint = False

    def take_back(self) -> None:
        """Undo it."""
        # What was settled since is undone with the rest, also what had waited from before.
        del self._later[self._mark.n_later :]
        self._n_settled = self._mark.n_settled
        self._tail = replace(self._mark.tail) if self._mark.tail else None
        if self._has_savepoint:
            self._call("execute", "ROLLBACK TO job", ())
        self.keep()

    def settle(self) -> None:
        """Write what waits, and see that what follows can be taken back."""
        if not self._has_savepoint:
            self._call("execute", "SAVEPOINT job", ())
            self._has_savepoint = True
        if self._n_settled == len(self._later):
            return
        waiting = self._waiting()
        self._n_settled = len(self._later)
        groups: dict[Prepared, list[dict[str, Any]]] = {}
        for statement, row in waiting:
            groups.setdefault(statement, []).append(row)
        for statement, rows in groups.items():
            super()._run(statement, _added_up(rows) if statement is statements.COUNT else rows)

    def _waiting(self) -> list[tuple[Prepared, dict[str, Any]]]:
        return self._later[self._n_settled :]

    def _rows(self, statement: Prepared, values: Values) -> list[AnyRow]:
        if statement not in _AS_IT_IS:
            self.settle()
        return super()._rows(statement, values)

    def _row(self, statement: Prepared, values: Values) -> AnyRow | None:
        if statement not in _AS_IT_IS:
            self.settle()
        return super()._row(statement, values)

    def _run(self, statement: Prepared, rows: Sequence[Values]) -> None:
        self.settle()
        super()._run(statement, rows)

    def tally(self, namespace: str) -> Tally:
        """How much a namespace holds, with what waits."""
        kept = Reader.tally(self, namespace)
        for statement, row in self._waiting():
            if statement is statements.COUNT and row["namespace"] == namespace:
                items, living = kept.items + row["items"], kept.living + row["living"]
                kept = Tally(items, living, kept.episodes + row["episodes"])
        return kept

    def append(
        self,
        namespace: str,
        principal: str,
        op: str,
        *,
        at: float,
        item: str | None = None,
        version: int | None = None,
        before: Json = None,
        after: Json = None,
    ) -> int:
        """Add a row to the log; its seq is one more than the last, which only this transaction can see."""
        row = self._log_row(
            namespace, principal, op, at, item, version, before=canonical(before), after=canonical(after)
        )
        self._run(statements.ADD_LOG, [row])
        return self._end().seq

    def add_vectors(
        self, namespace: str, encoder: str, vectors: Mapping[str, Vector], seq: int, purpose: str = "item"
    ) -> None:
        """Vectors by text; one that is there already stays as it is."""
        rows = [
            vector_row(namespace, encoder, digest_of(of), vector, seq, purpose)
            for of, vector in vectors.items()
        ]
        self._run(statements.ADD_VECTOR, rows)

    def _end(self) -> Tail:
        if self._tail is None:
            last = self._row(statements.LAST, {})
            key = self._row(statements.LAST_KEY, {})
            seq, hash_ = (last[0], last[1]) if last else (0, "")
            self._tail = Tail(seq, hash_, key[0] or 0 if key else 0)
        return self._tail

    def _count(self, namespace: str, *, items: int = 0, living: int = 0, episodes: int = 0) -> None:
        row = {"namespace": namespace, "items": items, "living": living, "episodes": episodes}
        self._later.append((statements.COUNT, row))

    def _log_row(
        self,
        namespace: str,
        principal: str,
        op: str,
        at: float,
        item: str | None,
        version: int | None,
        *,
        before: str,
        after: str,
        after_digest: str | None = None,
    ) -> dict[str, object]:
        """The row after the last, which it becomes."""
        end = self._end()
        end.seq += 1
        values: dict[str, object] = {
            "seq": end.seq,
            "at": at,
            "namespace": namespace,
            "principal": principal,
            "op": op,
            "item": item,
            "version": version,
            "before": before,
            "after": after,
            "before_digest": digest_in_log(before),
            "after_digest": after_digest or digest_in_log(after),
        }
        values["hash"] = end.hash = chained(end.hash, values)
        return values


def vector_row(
    namespace: str, encoder: str, digest: str, vector: Vector, seq: int, purpose: str = "item"
) -> dict[str, object]:
    """A VECTOR row."""
    return {
        "namespace": namespace,
        "encoder": encoder,
        "purpose": purpose,
        "digest": digest,
        "data": to_blob(vector),
        "seq": seq,
    }


def _added_up(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One COUNT row for each namespace."""
    totals: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = totals.setdefault(row["namespace"], {**row, "items": 0, "living": 0, "episodes": 0})
        for name in ("items", "living", "episodes"):
            total[name] += row[name]
    return list(totals.values())
