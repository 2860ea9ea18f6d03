"""Versions of a namespace's constitution, folded from the log; how two of them differ. Pure.

Nothing is written for a version: every change of a principle that is in force makes one. Its id names the log
position it stands at and what it holds. Freezing writes a row of its own, so that a constitution, or the part
of it that holds for one family, can be served to other agents as it was, whatever is learned later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from memory.codec import from_json
from memory.errors import BadInput
from memory.types import Constitution, Item, LogEntry
from memory.writing.restoring import FieldChange, difference

FREEZE = "freeze"
"""What the log calls it."""
LONGEST = 19
"""Digits that no log position has."""
IN_FORCE = frozenset({"trial", "active"})


@dataclass(frozen=True, slots=True)
class ConstitutionVersion:
    """The principles in force from one log position to the next change."""

    id: str
    parent: str | None
    """The version before; of a frozen one, what it is a part of."""
    seq: int
    """Log position: restoring to it brings this back."""
    at: float
    principal: str
    """Who made the change."""
    change: str
    """What the log calls it: add, merge, edit, promote, demote, …, freeze."""
    principles: tuple[str, ...]
    """As `id@version`: by id, of a frozen one in the order they are shown."""
    builders: tuple[str, ...]
    """Who worded them: symbolic, neural, neuro-symbolic, operator."""
    frozen: bool = False
    family: str | None = None
    """Whose part was frozen; None is all of it."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the log keeps of a freeze."""

    family: str | None
    principles: tuple[str, ...]
    builders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrincipleChange:
    """One principle that two versions do not have alike; None where a version lacks it."""

    item: str
    before: str | None
    after: str | None
    fields: tuple[FieldChange, ...] = ()
    """What it says differently where both have it."""


def name_of(seq: int, principles: Iterable[str]) -> str:
    """Id of a version, whatever the order of its principles.

    >>> name_of(7, ["a@1", "b@2"]) == name_of(7, ["b@2", "a@1"]), name_of(7, []).startswith("7-")
    (True, True)
    """
    return f"{seq}-{sha256(chr(10).join(sorted(principles)).encode()).hexdigest()[:12]}"


def seq_of(version: str) -> int:
    """The log position in an id. Raises BadInput."""
    seq, _, digest = version.partition("-")
    if not (seq.isascii() and seq.isdigit() and len(seq) < LONGEST and digest):
        raise BadInput(f"{version!r} is no version of a constitution: take an id from the list of versions")
    return int(seq)


def folded(entries: Iterable[LogEntry]) -> tuple[ConstitutionVersion, ...]:
    """Every version, oldest first, from the rows that wrote a principle whole or froze, in log order."""
    held: dict[str, Item] = {}
    found: list[ConstitutionVersion] = []
    parent: str | None = None
    last: tuple[str, ...] = ()
    for entry in entries:
        if entry.op == FREEZE:
            found.append(_frozen(entry, parent))
            continue
        assert entry.item is not None, f"log row {entry.seq} is of no principle"
        # What was erased has no text left, here as everywhere.
        item = None if entry.after is None else from_json(Item, entry.after)
        if item is not None and item.status in IN_FORCE:
            held[entry.item] = item
        else:
            held.pop(entry.item, None)
        names = tuple(sorted(named(held.values())))
        if names != last:
            found.append(_version(entry, parent, names, held.values()))
            parent, last = found[-1].id, names
    return tuple(found)


def named(principles: Iterable[Item]) -> tuple[str, ...]:
    """As versions name them."""
    return tuple(f"{item.id}@{item.version}" for item in principles)


def builders_of(principles: Iterable[Item]) -> tuple[str, ...]:
    """Who worded them, each once, by name."""
    return tuple(sorted({getattr(item.body, "builder", "operator") for item in principles}))


def frozen_of(constitution: Constitution) -> Frozen:
    """What is kept of a constitution that is frozen: its principles in the order they are shown."""
    principles = constitution.principles
    return Frozen(constitution.family, named(principles), builders_of(principles))


def compared(before: Mapping[str, Item], after: Mapping[str, Item]) -> tuple[PrincipleChange, ...]:
    """What came, what went and what says something else, by id; statistics are not compared."""
    found = []
    for id_ in sorted(before.keys() | after.keys()):
        old, new = before.get(id_), after.get(id_)
        fields = difference(old, new) if old is not None and new is not None else ()
        if fields or old is None or new is None:
            found.append(PrincipleChange(id_, _text(old), _text(new), fields))
    return tuple(found)


def _text(item: Item | None) -> str | None:
    return None if item is None else item.text


def _version(
    entry: LogEntry, parent: str | None, names: tuple[str, ...], held: Iterable[Item]
) -> ConstitutionVersion:
    return ConstitutionVersion(
        name_of(entry.seq, names),
        parent,
        entry.seq,
        entry.at,
        entry.principal,
        entry.op,
        names,
        builders_of(held),
    )


def _frozen(entry: LogEntry, parent: str | None) -> ConstitutionVersion:
    kept = from_json(Frozen, entry.after)
    return ConstitutionVersion(
        name_of(entry.seq, kept.principles),
        parent,
        entry.seq,
        entry.at,
        entry.principal,
        entry.op,
        kept.principles,
        kept.builders,
        frozen=True,
        family=kept.family,
    )
