"""The log as a chain: each row holds the hash of the one before; none can be changed, removed or slipped in.

The hash goes over digests of the texts. Erasing a text leaves the chain whole, and says that it did: the row
of an erasure lists the rows it blanked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, func, select

from memory.entry import digest_of
from memory.store.rows import EPISODE, ITEM, LOG

NOTHING = "null"
"""A text of the log that says nothing."""
_NO_DIGEST = digest_of(NOTHING)
_PLAIN = json.JSONEncoder(ensure_ascii=False)


def digest_in_log(text: str) -> str:
    """What the chain knows of a text."""
    return _NO_DIGEST if text == NOTHING else digest_of(text)


def chained(previous: str, values: Mapping[str, object]) -> str:
    """Hash of a log row: over its columns, texts by their digests, and the hash of the row before it."""
    columns = ("seq", "at", "namespace", "principal", "op", "item", "version")
    digests = ("before_digest", "after_digest")
    text = _PLAIN.encode([previous, *(values[name] for name in columns + digests)])
    return sha256(text.encode()).hexdigest()


def first_broken(connection: Connection) -> int | None:
    """Log position of the first row that does not follow from the one before it; None when all do."""
    previous, expected = "", 1
    blanked: set[int] = set()
    for row in _rows(connection):
        if row.seq != expected or row.hash != chained(previous, dict(row._mapping)):
            return min([expected, *blanked])
        if not _says(row.before, row.before_digest) or not _says(row.after, row.after_digest):
            return min([expected, *blanked])
        if (digest_in_log(row.before), digest_in_log(row.after)) != (row.before_digest, row.after_digest):
            blanked.add(row.seq)
        if row.op == "erase":
            blanked -= _listed(row.after)
        previous, expected = row.hash, expected + 1
    if blanked:
        return min(blanked)
    newest = [connection.execute(select(func.max(table.c.seq))).scalar() for table in (ITEM, EPISODE)]
    return expected if max(seq or 0 for seq in newest) >= expected else None


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    query = select(LOG).order_by(LOG.c.seq).execution_options(yield_per=1000)
    return iter(connection.execute(query))


def _says(text: str, digest: str) -> bool:
    """Is it the text that was written, or nothing any more?"""
    return text == NOTHING or digest_of(text) == digest


def _listed(after: str) -> set[int]:
    data = json.loads(after)
    return set(data.get("rows", ())) if isinstance(data, dict) else set()
