"""What servers said of their tools when they were first seen, or accepted: another word later is told.

A tool is believed on first use; one whose words or schema changed since (a "rug pull") is withheld until the
operator accepts it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agent.mcp.definitions import Definition
from memory.codec import from_json
from memory.errors import BadInput, StoreError
from memory.store.lock import turn
from memory.types import Json

Standing = Literal["new", "known", "changed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A tool of a server, beside what was known of it."""

    server: str
    definition: Definition
    before: Definition | None
    """None the first time."""

    @property
    def standing(self) -> Standing:
        """Is it what it was?"""
        if self.before is None:
            return "new"
        return "known" if self.before.digest == self.definition.digest else "changed"


class Known:
    """The definitions of one file, by server and tool; without a path they last as long as this object."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[str, dict[str, Definition]] = {}

    def look(self, server: str, definitions: Iterable[Definition]) -> tuple[Seen, ...]:
        """Each beside what was known; new ones are known from now on. Raises StoreError."""
        with self._turn():
            kept = self._read()
            known = kept.setdefault(server, {})
            seen = tuple(Seen(server, one, known.get(one.name)) for one in definitions)
            new = {one.definition.name: one.definition for one in seen if one.before is None}
            if new:
                known.update(new)
                self._write(kept)
            return seen

    def accept(self, server: str, definitions: Iterable[Definition]) -> None:
        """These are what the server's tools are, from now on. Raises StoreError."""
        with self._turn():
            kept = self._read()
            kept[server] = {one.name: one for one in definitions}
            self._write(kept)

    def _turn(self) -> AbstractContextManager[None]:
        """Servers that share the file must not undo each other's."""
        return nullcontext() if self._path is None else turn(self._path.with_suffix(".lock"))

    def _read(self) -> dict[str, dict[str, Definition]]:
        if self._path is None:
            return self._kept
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            return {
                server: {name: from_json(Definition, row) for name, row in tools.items()}
                for server, tools in rows.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, BadInput) as error:
            raise StoreError(
                f"what is known of MCP tools, {str(self._path)!r}, cannot be read: {error}"
            ) from error

    def _write(self, kept: dict[str, dict[str, Definition]]) -> None:
        self._kept = kept
        if self._path is None:
            return
        rows: Json = {
            server: {name: asdict(one) for name, one in tools.items()} for server, tools in kept.items()
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(rows, indent=1, sort_keys=True), "utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise StoreError(
                f"what is known of MCP tools cannot be written to {str(self._path)!r}: {error}"
            ) from error
