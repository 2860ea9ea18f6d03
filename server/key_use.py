"""When keys were used last: kept in memory, written to a file of its own at most once a minute."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from server.auth import write_private

log = logging.getLogger("apprentice.server")
WRITTEN_EVERY_S = 60.0


class KeyUse:
    """Times by principal. What was not yet written when a server is killed is lost, a minute at most.

    Servers that share the folder write one file in turn: each adds what it knows to what is there.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._written_at = clock()

    def note(self, principal: str) -> None:
        """It was used now."""
        now = self._clock()
        self._seen[principal] = now
        if now >= self._written_at + WRITTEN_EVERY_S:
            self.write()

    def all(self) -> Mapping[str, float]:
        """Seconds since 1970 by principal, other servers' included."""
        return _newest(_read(self._path), self._seen)

    def write(self) -> None:
        """Now; what cannot be written is told and tried again in a minute."""
        self._written_at = self._clock()
        if not self._seen:
            return
        try:
            write_private(self._path, json.dumps(self.all()))
        except OSError as error:
            log.warning("when keys were used cannot be written to %s: %s", self._path, error)


def _read(path: Path) -> Mapping[str, float]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(name): float(at) for name, at in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        # It is worth no error: the times begin anew.
        return {}


def _newest(one: Mapping[str, float], other: Mapping[str, float]) -> Mapping[str, float]:
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in one.keys() | other.keys()}
