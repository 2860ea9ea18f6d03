"""Rows to nouns and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Row

from memory.admission import dedupe_key
from memory.codec import dumps, loads
from memory.entry import digest_of
from memory.tables import Base
from memory.types import (
    BODIES,
    Body,
    CaseBody,
    Episode,
    Item,
    ItemKind,
    Lineage,
    LogEntry,
    PrincipleBody,
    ProcedureBody,
    Utility,
)

ITEM = Base.metadata.tables["item"]
VECTOR = Base.metadata.tables["vector"]
EPISODE = Base.metadata.tables["episode"]
LOG = Base.metadata.tables["log"]
CREDIT = Base.metadata.tables["credit"]
IDEMPOTENCY = Base.metadata.tables["idempotency"]

AnyRow = Row[Any]
_PLAIN = (
    "id",
    "namespace",
    "kind",
    "scope",
    "family",
    "text",
    "outcome",
    "status",
    "version",
    "channel",
    "trust",
    "author",
    "created_at",
    "updated_at",
    "valid_from",
    "valid_to",
    "superseded_by",
    "pinned",
    "audience",
)

_plain = attrgetter(*_PLAIN)


def space_of(namespace: str) -> str:
    """The namespace as one full-text word."""
    return "n" + sha256(namespace.encode()).hexdigest()[:24]


def item_values(item: Item, seq: int) -> dict[str, object]:
    """Column values of an item."""
    plain: dict[str, object] = {name: getattr(item, name) for name in _PLAIN}
    return plain | {
        "digest": digest_of(item.text),
        "dedupe": dedupe_key(item),
        "body": dumps(item.body),
        "lineage": dumps(item.lineage),
        "utility": dumps(item.utility),
        "seq": seq,
    }


def item_of(row: AnyRow) -> Item:
    """The item of an ITEM row."""
    return Item(
        **dict(zip(_PLAIN, _plain(row), strict=True)),
        body=body_of(row.kind, row.body),
        lineage=loads(Lineage, row.lineage),
        utility=loads(Utility, row.utility),
    )


def body_of(kind: ItemKind, text: str) -> Body:
    """The body of an item of that kind; the first release kept notes for kinds that have their own now."""
    body = BODIES[kind]
    return loads(body, text) if body in {CaseBody, PrincipleBody, ProcedureBody} else _any_body(text)


def _any_body(text: str) -> Body:
    return cast(Body, loads(cast(type[object], Body), text))


def episode_of(row: AnyRow) -> Episode:
    """The episode of an EPISODE row."""
    return loads(Episode, row.data)


def log_of(row: AnyRow) -> LogEntry:
    """The entry of a LOG row."""
    return LogEntry(
        seq=row.seq,
        at=row.at,
        namespace=row.namespace,
        principal=row.principal,
        op=row.op,
        item=row.item,
        version=row.version,
        before=cast(Any, json.loads(row.before)),
        after=cast(Any, json.loads(row.after)),
        hash=row.hash,
    )


def chained(previous: str, values: Mapping[str, object]) -> str:
    """Hash of a log row: over its columns and the hash of the row before it."""
    columns = ("seq", "at", "namespace", "principal", "op", "item", "version", "before", "after")
    text = json.dumps([previous, *(values[name] for name in columns)], ensure_ascii=False)
    return sha256(text.encode()).hexdigest()
