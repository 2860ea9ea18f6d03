"""Who serves a namespace: one small file each, replaced at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from distill.manifest import put
from memory.errors import AdapterRefused

_OLD = "current.json"
"""Of releases in which one adapter served everybody; it is read, and never written again."""
_FOLDER = "serving"


@dataclass(frozen=True, slots=True)
class Canary:
    """An adapter that answers a share of what the one in service is asked."""

    adapter: str
    share: float


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which adapter serves a namespace, and which served before, newest last."""

    current: str | None = None
    history: tuple[str | None, ...] = ()
    canary: Canary | None = None

    def chosen(self, lot: str) -> str | None:
        """Who answers the episode of this id: the canary for its share of ids, else the one in service.

        >>> tried = Pointer("old", canary=Canary("new", 0.25))
        >>> [tried.chosen(f"ep_{n}") for n in range(6)]
        ['old', 'new', 'old', 'new', 'old', 'old']
        """
        if self.canary is None:
            return self.current
        digest = hashlib.sha256(f"{self.canary.adapter}/{lot}".encode()).digest()
        is_drawn = int.from_bytes(digest[:8]) / 2.0**64 < self.canary.share
        return self.canary.adapter if is_drawn else self.current

    def without(self, adapter_id: str) -> Pointer:
        """The one before takes over from an adapter that may serve no more."""
        history = tuple(one for one in self.history if one != adapter_id)
        current, canary = self.current, self.canary
        if current == adapter_id:
            current, history = (history[-1], history[:-1]) if history else (None, ())
        return Pointer(
            current, history, None if canary is not None and canary.adapter == adapter_id else canary
        )

    def among(self, mine: Collection[str]) -> Pointer:
        """Of one that served everybody, what is a namespace's: its newest goes on.

        >>> Pointer("b1", (None, "a1", "a2")).among({"a1", "a2"})
        Pointer(current='a2', history=(None, 'a1'), canary=None)
        """
        served = [one for one in (*self.history, self.current) if one is None or one in mine]
        canary = self.canary if self.canary is not None and self.canary.adapter in mine else None
        return Pointer(served[-1], tuple(served[:-1]), canary) if served else Pointer(canary=canary)


_POINTERS = TypeAdapter(Pointer)


def read(folder: Path, namespace: str) -> tuple[Pointer, bool]:
    """The pointer of a registry's namespace, and whether it is everybody's of an older release.

    Raises AdapterRefused when it cannot be read.
    """
    own = _place(folder, namespace)
    for path in (own, folder / _OLD):
        try:
            return _POINTERS.validate_json(path.read_bytes()), path != own
        except FileNotFoundError:
            continue
        except (ValidationError, OSError) as error:
            raise AdapterRefused(f"the pointer {str(path)!r} cannot be read: {error}") from error
    return Pointer(), False


def write(folder: Path, namespace: str, pointer: Pointer) -> None:
    """In the place of what is there, at once."""
    path = _place(folder, namespace)
    path.parent.mkdir(exist_ok=True)
    put(path, _POINTERS.dump_json(pointer))


def _place(folder: Path, namespace: str) -> Path:
    return folder / _FOLDER / f"{quote(namespace, safe='')}.json"
