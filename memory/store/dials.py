"""Dials of namespaces in the database. Each turn appends a log row with what was and what is."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from sqlalchemy import delete, insert, select

from memory.author import Author
from memory.codec import canonical
from memory.dials import DialName, Dials
from memory.store.rows import DIAL
from memory.store.session import Session
from memory.store.writer import Writer
from memory.types import Json


class Turned(Session):
    """The dials as they stand."""

    def all(self, namespace: str) -> dict[str, Json]:
        """Values by name."""
        query = select(DIAL.c.name, DIAL.c.value).where(DIAL.c.namespace == namespace)
        return {name: json.loads(value) for name, value in self.connection.execute(query)}

    def dials(self, namespace: str) -> Dials:
        """The same as a noun; what a later release kept besides is passed over."""
        known: dict[str, Any] = self.all(namespace)  # checked when they were turned
        return Dials(**{field.name: known.get(field.name) for field in fields(Dials)})


def turn(writer: Writer, author: Author, name: DialName, value: Json) -> Dials:
    """Put a dial at a value, None for where it came from; one that stands there leaves no trace."""
    turned = Turned(writer.connection)
    before = turned.all(author.namespace).get(name)
    if before == value:
        return turned.dials(author.namespace)
    seq = writer.append(
        author.namespace,
        author.principal,
        "dial",
        at=author.at,
        before={"dial": name, "value": before},
        after={"dial": name, "value": value},
    )
    here = (DIAL.c.namespace == author.namespace) & (DIAL.c.name == name)
    writer.connection.execute(delete(DIAL).where(here))
    if value is not None:
        row = {
            "namespace": author.namespace,
            "name": name,
            "value": canonical(value),
            "principal": author.principal,
            "at": author.at,
            "seq": seq,
        }
        writer.connection.execute(insert(DIAL), row)
    return turned.dials(author.namespace)
