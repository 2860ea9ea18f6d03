"""Rows to nouns and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from math import isfinite
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from memory.codec import dumps, from_json, loads
from memory.entry import digest_of
from memory.nouns.making import maker
from memory.store.tables import Base
from memory.types import (
    BODIES,
    Body,
    Draft,
    Episode,
    Evidence,
    Item,
    ItemKind,
    Lift,
    Lineage,
    LogEntry,
    ToolSpec,
    Utility,
)
from memory.writing.admission import Keys, keys_of

ITEM = Base.metadata.tables["item"]
VECTOR = Base.metadata.tables["vector"]
EPISODE = Base.metadata.tables["episode"]
LOG = Base.metadata.tables["log"]
CREDIT = Base.metadata.tables["credit"]
IDEMPOTENCY = Base.metadata.tables["idempotency"]
LINK = Base.metadata.tables["link"]
TALLY = Base.metadata.tables["tally"]
DIAL = Base.metadata.tables["dial"]
STEP = Base.metadata.tables["step"]
TOOLSET = Base.metadata.tables["toolset"]
WITH_TOOLS = EPISODE.outerjoin(
    TOOLSET, (TOOLSET.c.namespace == EPISODE.c.namespace) & (TOOLSET.c.digest == EPISODE.c.tools)
)
"""Episodes, each with what it was shown."""
FIELDS = tuple(ITEM.c[field.name] for field in fields(Item))
"""Columns of an item, in the order of its fields."""
TEXT, BODY = (
    next(place for place, one in enumerate(FIELDS) if one.name == name) for name in ("text", "body")
)
FRESH, UNUSED = Utility(), dumps(Utility())
ALONE, NO_LINEAGE = Lineage(), '{"evidence":[],"items":[],"source":null}'

AnyRow = Sequence[Any]
_item = maker(Item)


@lru_cache(maxsize=1024)
def space_of(namespace: str) -> str:
    """The namespace as one full-text word."""
    return "n" + sha256(namespace.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Said:
    """What is worked out from what a thing says: its place among vectors, duplicates and near ones."""

    body: str
    digest: str
    keys: Keys


def said_of(thing: Draft | Item, body: str | None = None) -> Said:
    """The same for a draft and for the item it becomes; its body as canonical JSON where that is known."""
    body = dumps(thing.body) if body is None else body
    return Said(body, digest_of(thing.text), keys_of(thing, body))


@dataclass(frozen=True, slots=True)
class Parts:
    """The nested values of an item as canonical JSON."""

    body: str
    lineage: str
    utility: str


def parts_of(item: Item, body: str | None = None) -> Parts:
    """Its parts; the body's text where it is known already."""
    return Parts(
        dumps(item.body) if body is None else body,
        NO_LINEAGE if item.lineage == ALONE else dumps(item.lineage),
        UNUSED if item.utility == FRESH else dumps(item.utility),
    )


def item_text(item: Item, parts: Parts) -> str:
    """The item as canonical JSON, the text of `dumps`, put together from its parts."""
    return (
        f'{{"audience":{_maybe(item.audience)},"author":{_quoted(item.author)},"body":{parts.body},'
        f'"channel":{_quoted(item.channel)},"created_at":{_number(item.created_at)},'
        f'"family":{_maybe(item.family)},"id":{_quoted(item.id)},"kind":{_quoted(item.kind)},'
        f'"lineage":{parts.lineage},"namespace":{_quoted(item.namespace)},"outcome":{_maybe(item.outcome)},'
        f'"pinned":{"true" if item.pinned else "false"},"scope":{_quoted(item.scope)},'
        f'"status":{_quoted(item.status)},'
        f'"superseded_by":{_maybe(item.superseded_by)},"text":{_quoted(item.text)},"trust":{item.trust:d},'
        f'"updated_at":{_number(item.updated_at)},"utility":{parts.utility},'
        f'"valid_from":{_number(item.valid_from)},"valid_to":{_number(item.valid_to)},'
        f'"version":{item.version:d}}}'
    )


def _maybe(text: str | None) -> str:
    return "null" if text is None else _quoted(text)


def _number(value: float | None) -> str:
    return repr(value) if type(value) is float and isfinite(value) else dumps(value)


def item_values(item: Item, said: Said, parts: Parts, seq: int) -> dict[str, object]:
    """Column values of an item, all but its key."""
    return {
        "id": item.id,
        "namespace": item.namespace,
        "kind": item.kind,
        "scope": item.scope,
        "family": item.family,
        "text": item.text,
        "digest": said.digest,
        "dedupe": said.keys.dedupe,
        "body": said.body,
        "outcome": item.outcome,
        "status": item.status,
        "version": item.version,
        "channel": item.channel,
        "trust": item.trust,
        "author": item.author,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "valid_from": item.valid_from,
        "valid_to": item.valid_to,
        "superseded_by": item.superseded_by,
        "pinned": item.pinned,
        "lineage": parts.lineage,
        "utility": parts.utility,
        "seq": seq,
        "audience": item.audience,
        "twin": said.keys.twin,
    }


def item_of(row: AnyRow) -> Item:
    """The item of a row of FIELDS."""
    # In one go: a recall makes dozens of items, and would feel each slice on the way.
    id_, namespace, kind, scope, family, text, body, *plain, pinned, lineage, utility, audience = row
    nested = (
        ALONE if lineage == NO_LINEAGE else lineage_of(lineage),
        utility_of(utility),
    )
    said = (id_, namespace, kind, scope, family, text, body_of(kind, body))
    return _item(*(*said, *plain, bool(pinned), *nested, audience))


def body_of(kind: ItemKind, text: str) -> Body:
    """The body of an item of that kind; the first release kept notes for kinds that have their own now."""
    try:
        return _validator(kind)(text)
    except ValidationError:
        # Of another kind, or nested deeper than the validator goes.
        return _any_body(kind, text)


@cache
def _validator(kind: ItemKind) -> Callable[[str], Body]:
    validator = TypeAdapter(BODIES[kind]).validator
    return cast(Callable[[str], Body], validator.validate_json)


def lineage_of(text: str) -> Lineage:
    """The lineage behind its canonical JSON."""
    if text == NO_LINEAGE:
        return ALONE
    data = json.loads(text)
    evidence = tuple(Evidence(one["episode"], one["message"]) for one in data["evidence"])
    return Lineage(evidence, tuple(data["items"]), data["source"])


@lru_cache(maxsize=1024)
def utility_of(text: str) -> Utility:
    """The statistics behind their JSON; most items were never used, and all of those say the same."""
    data = json.loads(text)
    if data.get("lift") is not None:
        data["lift"] = Lift(**data["lift"])
    return Utility(**data)


def _any_body(kind: ItemKind, text: str) -> Body:
    type_: Any = BODIES[kind]
    data = json.loads(text)
    for one in fields(type_):
        if str(one.type).startswith("tuple") and one.name in data:
            data[one.name] = tuple(data[one.name])
    try:
        return cast(Body, type_(**data))
    except TypeError:
        return cast(Body, loads(cast(type[object], Body), text))


def episode_of(data: str, tools: str | None) -> Episode:
    """The episode behind its canonical JSON and that of the tools it was shown."""
    episode = loads(Episode, data)
    return episode if tools is None else replace(episode, tools=toolset_of(tools))


@lru_cache(maxsize=256)
def toolset_of(text: str) -> tuple[ToolSpec, ...]:
    """The tools behind their canonical JSON; thousands of episodes share a set."""
    return tuple(from_json(ToolSpec, one) for one in json.loads(text))


def toolset_values(episode: Episode) -> dict[str, object] | None:
    """TOOLSET row of what an episode was shown; None where that is nothing."""
    if not episode.tools:
        return None
    data = dumps(episode.tools)
    return {"namespace": episode.namespace, "digest": digest_of(data), "data": data}


def log_of(row: Any) -> LogEntry:
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


def links_of(item: Item) -> list[dict[str, object]]:
    """LINK rows of an item: what it was made from, once each."""
    lineage = item.lineage
    parents = [("episode", piece.episode) for piece in lineage.evidence]
    parents += [("item", parent) for parent in lineage.items]
    if lineage.source is not None:
        parents.append(("source", lineage.source))
    return [
        {"namespace": item.namespace, "kind": kind, "parent": parent, "item": item.id}
        for kind, parent in dict.fromkeys(parents)
    ]
