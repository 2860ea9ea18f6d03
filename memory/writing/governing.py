"""What happens to a namespace's principles as a whole: review, freezing, looking at a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memory.author import Author
from memory.codec import from_json, to_json
from memory.constitution.court import Backing, Bench, CourtSettings, Decision, Judge, decide
from memory.constitution.select import version_of
from memory.constitution.versions import (
    FREEZE,
    IN_FORCE,
    ConstitutionVersion,
    Frozen,
    folded,
    frozen_of,
    name_of,
    named,
    seq_of,
)
from memory.errors import Conflict, NotFound
from memory.store.principles import Principles
from memory.store.reader import Reader
from memory.store.writer import Writer
from memory.types import Constitution, Dropped, Item
from memory.writing.changes import put


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a constitution may be."""

    tokens: int
    cost: Callable[[Item], int]


def decisions(reader: Reader, namespace: str, judge: Judge, settings: CourtSettings) -> tuple[Decision, ...]:
    """What the court would change now."""
    judged = (*reader.principles(namespace), *reader.tools(namespace))
    asked = Principles(reader.connection)

    def backing(item: Item) -> Backing:
        names = {piece.episode for piece in item.lineage.evidence}
        lived = asked.lived(namespace, names)
        return Backing(len(lived), len(set(lived)))

    is_tested = any(item.utility.lift is not None for item in judged)
    bench = Bench(
        asked.arrivals(namespace) if is_tested else {},
        backing,
        known=lambda: asked.principals(namespace, settings.principals),
    )
    return decide(judged, bench, judge, settings)


def review(writer: Writer, author: Author, judge: Judge, settings: CourtSettings) -> tuple[Decision, ...]:
    """Decide and carry it out; each decision is a new version of its item, and can be undone."""
    found = decisions(writer, author.namespace, judge, settings)
    for one in found:
        item = writer.item(author.namespace, one.item)
        put(writer, author, item, replace(item, status=one.status), None, one.op)
    return found


def freeze(writer: Writer, author: Author, constitution: Constitution) -> ConstitutionVersion:
    """Keep a constitution as it is, to be served by the version's id. Raises Conflict when it is empty."""
    if not constitution.principles:
        raise Conflict("there is no principle in force to freeze: learn or write some first")
    kept = to_json(frozen_of(constitution))
    writer.append(author.namespace, author.principal, FREEZE, at=author.at, after=kept)
    return versions(writer, author.namespace)[-1]


def versions(reader: Reader, namespace: str) -> tuple[ConstitutionVersion, ...]:
    """All of them, oldest first."""
    return folded(Principles(reader.connection).changes(namespace, (FREEZE,)))


def held_by(reader: Reader, namespace: str, version: str) -> dict[str, Item]:
    """The principles of a version as they were, by id. Raises BadInput, NotFound."""
    seq = seq_of(version)
    frozen = _frozen(reader, namespace, seq)
    if frozen is not None:
        there = _as_they_were(reader, namespace, seq, frozen.principles)
        names = frozen.principles
    else:
        ids = list(Principles(reader.connection).arrivals(namespace))
        then = reader.past(namespace, seq, ids).items
        there = {id_: item for id_, item in sorted(then.items()) if item.status in IN_FORCE}
        names = named(there.values())
    if name_of(seq, names) != version:
        raise NotFound(f"there is no version {version!r} here, or something of it was erased since")
    return there


def served(reader: Reader, namespace: str, version: str, budget: Budget) -> Constitution:
    """A frozen version as it is shown, within a budget; what was taken back since is left out.

    Raises BadInput, NotFound, Conflict on a version that nobody froze.
    """
    seq = seq_of(version)
    frozen = _frozen(reader, namespace, seq)
    if frozen is None or name_of(seq, frozen.principles) != version:
        held_by(reader, namespace, version)
        raise Conflict(f"version {version!r} is not frozen: freeze it before others are served it")
    there = _as_they_were(reader, namespace, seq, frozen.principles)
    now = reader.items_by_id(namespace, list(there))
    kept: list[Item] = []
    dropped: list[Dropped] = []
    left = budget.tokens
    for id_ in (name.rpartition("@")[0] for name in frozen.principles):
        if id_ not in now or _is_taken_back(now[id_]):
            dropped.append(Dropped(id_, "withdrawn"))
        elif (cost := budget.cost(there[id_])) > left:
            dropped.append(Dropped(id_, "budget"))
        else:
            kept.append(there[id_])
            left -= cost
    shown = version if len(kept) == len(frozen.principles) else version_of(kept)
    return Constitution(namespace, frozen.family, shown, tuple(kept), tuple(dropped))


def _frozen(reader: Reader, namespace: str, seq: int) -> Frozen | None:
    """What was frozen at a log position of the namespace; None when nothing was. Raises NotFound."""
    entry = next(iter(reader.log(namespace, after=seq - 1, limit=1)), None)
    if entry is None or entry.seq != seq:
        raise NotFound(f"there is no version at log position {seq} in this namespace")
    return from_json(Frozen, entry.after) if entry.op == FREEZE else None


def _as_they_were(reader: Reader, namespace: str, seq: int, names: Sequence[str]) -> dict[str, Item]:
    ids = [name.rpartition("@")[0] for name in names]
    then = reader.past(namespace, seq, ids).items
    return {id_: then[id_] for id_ in ids if id_ in then}


def _is_taken_back(item: Item) -> bool:
    """By people or by the court; what another principle took the place of still says what it said."""
    return item.status == "quarantined" or (item.status == "retired" and item.superseded_by is None)
