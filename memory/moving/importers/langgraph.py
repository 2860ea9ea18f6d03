"""Items of a LangGraph store: JSON Lines, an array, or `{"items": […]}`, as its search answers.

Documented at reference.langchain.com (`langgraph.store.base.Item`): `namespace` (a list), `key`, `value` (an
object), `created_at`, `updated_at`. The text is the value's `content`, `text`, `memory` or `data`, else the
value as JSON. Each becomes a profile item; its path is the subject.
"""

from __future__ import annotations

from collections.abc import Iterator

from memory.codec import canonical
from memory.errors import BadInput
from memory.moving.importers.records import (
    Found,
    Thing,
    as_list,
    as_object,
    as_text,
    document,
    read_each,
    rows,
)
from memory.moving.intake import Refused
from memory.types import Draft, Json, NoteBody

TEXTS = ("content", "text", "memory", "data")


def read(data: bytes) -> Iterator[Found | Refused]:
    """One item a record."""
    try:
        whole = document(data)
    except BadInput:
        whole = None
    if isinstance(whole, dict) and "items" in whole:
        return read_each(enumerate(as_list(whole["items"], "`items`"), 1), _read)
    return read_each(rows(data), _read)


def _read(record: dict[str, Json]) -> Iterator[Thing]:
    path = [
        as_text(part, "a part of `namespace`") for part in as_list(record.get("namespace"), "`namespace`")
    ]
    subject = "/".join([*path, as_text(record.get("key"), "`key`")])
    text = _text(as_object(record.get("value"), "`value`"))
    if not text:
        raise BadInput("the value is empty")
    yield Draft("profile", text, NoteBody(subject, text))


def _text(value: dict[str, Json]) -> str:
    for name in TEXTS:
        found = value.get(name)
        if isinstance(found, dict):
            # LangMem wraps its memories: {"kind": "Memory", "content": {"content": "…"}}.
            return _text(found)
        if isinstance(found, str) and found.strip():
            return found.strip()
    return canonical(value) if value else ""
