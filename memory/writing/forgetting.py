"""Forgetting with all that follows: what was made of a thing falls with it unless something else supports it.

An item whose whole support falls is retired. One that keeps some loses the rest of it: its lineage is trimmed
and a principle's support lowered. One that stands in the place of a fallen item, or that the forgotten
principal reworded, is quarantined, for its words may be those of what fell. Episodes that fall may never
teach again, and what they gave to items is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from memory.author import Author
from memory.entry import digest_of, reach_of
from memory.errors import NotFound
from memory.store.erasure import Erasure, Remains
from memory.store.traces import Traces
from memory.store.writer import Writer
from memory.types import Item, Json, Lineage, PrincipleBody
from memory.writing import credit
from memory.writing.changes import put

RootKind = Literal["item", "episode", "principal", "source", "namespace"]
Fate = Literal["retired", "quarantined", "trimmed"]


@dataclass(frozen=True, slots=True)
class Root:
    """What is to be forgotten; of a namespace the id is its own name."""

    kind: RootKind
    id: str


@dataclass(frozen=True, slots=True)
class Fallen:
    """What becomes of one item."""

    item: str
    version: int
    """Before."""
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True)
class Cascade:
    """Everything that is touched; a dry run gives the same report."""

    root: Root
    items: tuple[Fallen, ...]
    episodes: tuple[str, ...]
    """Those that may no longer teach."""
    credits: int
    """Rewards taken back from items that stay."""

    def of(self, *fates: Fate) -> tuple[str, ...]:
        """Ids of the items with one of these fates."""
        return tuple(fallen.item for fallen in self.items if fallen.fate in fates)


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure took, and what a search for it finds afterwards: nothing."""

    cascade: Cascade
    items: tuple[str, ...]
    """Items that are gone: what fell, what was quarantined, and what said the same word for word."""
    episodes: tuple[str, ...]
    """Episodes of which only the outcome is left."""
    quotes: int
    """Other episodes in which a text of theirs was replaced."""
    rows: int
    """Log rows that were blanked."""
    remains: Remains


class _Cascade:
    """Follows lineage until nothing more falls."""

    def __init__(self, writer: Writer, namespace: str, root: Root, *, influence: bool) -> None:
        self._writer = writer
        self._traces = Traces(writer.connection)
        self._namespace = namespace
        self._influence = influence
        self.reason = f"{root.kind} {root.id!r} was forgotten"
        self.items: dict[str, Item] = {}
        self.fates: dict[str, Fate] = {}
        self.episodes: set[str] = set()

    def follow(self, items: Iterable[str], episodes: Iterable[str]) -> None:
        """Let these fall, then all that rests on them alone."""
        new_items, new_episodes = self._fall(items), set(episodes) - self.episodes
        while new_items or new_episodes:
            self.episodes |= new_episodes
            made = [
                *self._traces.made_from(self._namespace, "episode", new_episodes).values(),
                *self._traces.made_from(self._namespace, "item", new_items).values(),
            ]
            shown = self._traces.shown(self._namespace, new_items) if self._influence else set()
            new_episodes = shown - self.episodes
            new_items = self._weigh(set().union(*made))

    def suspect(self, items: Iterable[str]) -> None:
        """Quarantine these unless they fall."""
        for item in self._load(items):
            if item.status != "retired":
                self.fates.setdefault(item.id, "quarantined")

    def trimmed(self, item: Item) -> Item:
        """The item without what fell."""
        evidence = tuple(piece for piece in item.lineage.evidence if piece.episode not in self.episodes)
        parents = tuple(id_ for id_ in item.lineage.items if self.fates.get(id_) != "retired")
        body = item.body
        if isinstance(body, PrincipleBody):
            body = self._uncounted(body, item.lineage)
        return replace(item, body=body, lineage=Lineage(evidence, parents, item.lineage.source))

    def _uncounted(self, body: PrincipleBody, lineage: Lineage) -> PrincipleBody:
        """Without the episodes that fell, each counted once."""
        lost = self.episodes & {piece.episode for piece in lineage.evidence}
        broken = self.episodes & {piece.episode for piece in body.against}
        return replace(
            body,
            support=max(0, body.support - len(lost)),
            violations=max(0, body.violations - len(broken)),
            against=tuple(piece for piece in body.against if piece.episode not in self.episodes),
        )

    def _weigh(self, ids: set[str]) -> set[str]:
        """Judge items that lost something; returns those that fell now."""
        fallen: set[str] = set()
        for item in self._load(ids):
            if self.fates.get(item.id) == "retired":
                continue
            left = self.trimmed(item).lineage
            if not left.evidence and not left.items:
                fallen.add(item.id)
                self.fates[item.id] = "retired"
            elif self._stands_for_fallen(item):
                self.fates[item.id] = "quarantined"
            else:
                self.fates.setdefault(item.id, "trimmed")
        return fallen

    def _stands_for_fallen(self, item: Item) -> bool:
        parts = [self.items[id_] for id_ in item.lineage.items if self.fates.get(id_) == "retired"]
        return any(part.superseded_by == item.id for part in parts)

    def _fall(self, ids: Iterable[str]) -> set[str]:
        found = {item.id for item in self._load(ids)}
        self.fates.update((id_, "retired") for id_ in found)
        return found

    def _load(self, ids: Iterable[str]) -> list[Item]:
        ids = list(ids)
        self.items |= self._writer.items_by_id(self._namespace, [id_ for id_ in ids if id_ not in self.items])
        return [self.items[id_] for id_ in sorted(ids) if id_ in self.items]


def forget(writer: Writer, author: Author, root: Root, *, influence: bool, dry_run: bool) -> Cascade:
    """Forget a thing and all that rests on it alone; with `influence` also what was learned under its eyes.

    Raises NotFound when there is nothing of that name.
    """
    cascade = _Cascade(writer, author.namespace, root, influence=influence)
    traces = Traces(writer.connection)
    items, episodes, reworded = _start(writer, traces, author.namespace, root)
    cascade.follow(items, episodes)
    cascade.suspect(reworded)
    report = Cascade(
        root,
        tuple(
            Fallen(id_, cascade.items[id_].version, fate, cascade.reason)
            for id_, fate in sorted(cascade.fates.items())
        ),
        tuple(sorted(cascade.episodes)),
        sum(len(writer.credits(author.namespace, id_)) for id_ in cascade.episodes),
    )
    if not dry_run:
        _apply(writer, author, cascade, traces)
    return report


def _start(writer: Writer, traces: Traces, namespace: str, root: Root) -> tuple[set[str], set[str], set[str]]:
    """Items and episodes that fall by themselves, and items of others that were reworded."""
    items: set[str] = set()
    episodes: set[str] = set()
    reworded: set[str] = set()
    if root.kind == "item":
        items = {writer.item(namespace, root.id).id}
    elif root.kind == "episode":
        episodes = {writer.episode(namespace, root.id).id}
    elif root.kind == "principal":
        items, reworded = (
            set(writer.items_by_id(namespace, list(ids))) for ids in traces.written_by(namespace, root.id)
        )
        episodes = traces.recorded_by(namespace, root.id)
    elif root.kind == "source":
        items = traces.made_from(namespace, "source", [root.id]).get(root.id, set())
        episodes = traces.came_from(namespace, root.id)
    elif root.id == namespace:
        everything = writer.items(
            namespace, kind=None, status=None, family=None, words=None, limit=None, after=None
        )
        items = {item.id for item in everything}
        episodes = traces.episode_ids(namespace)
    if not items and not episodes and not reworded:
        raise NotFound(f"nothing here is of the {root.kind} {root.id!r}")
    return items, episodes, reworded


def _apply(writer: Writer, author: Author, cascade: _Cascade, traces: Traces) -> None:
    for episode in traces.episodes_by_id(author.namespace, cascade.episodes).values():
        if episode.forgotten is None:
            after = replace(episode, forgotten=cascade.reason)
            writer.change_episode(episode, after, author.principal, author.at, "forget")
            credit.credit(writer, after, author.principal, author.at)
    for id_, fate in sorted(cascade.fates.items()):
        # Read again: taking credit back has changed its statistics.
        item = writer.item(author.namespace, id_)
        if fate == "retired":
            after_item = replace(item, status="retired")
        else:
            after_item = cascade.trimmed(item)
            if fate == "quarantined" and item.status != "retired":
                after_item = replace(after_item, status="quarantined")
        if after_item != item:
            op = {"retired": "retire", "quarantined": "quarantine", "trimmed": "withdraw"}[fate]
            put(writer, author, item, after_item, None, op)


@dataclass(frozen=True, slots=True)
class Said:
    """What was erased, for the search that proves it."""

    items: tuple[str, ...]
    texts: frozenset[str]
    inner: frozenset[str]
    """Strings of bodies."""
    reaches: frozenset[str]
    """Where the items could be recalled."""


def erase(writer: Writer, author: Author, root: Root, *, influence: bool) -> tuple[Erased, Said]:
    """Forget, then take every word of it out of items, log, full text, vectors and episodes.

    Of something that was erased before: what is left of it. Raises NotFound.
    """
    erasure, traces, namespace = Erasure(writer.connection), Traces(writer.connection), author.namespace
    # By its digest, for the name of a source may say something.
    of = digest_of(f"{root.kind} {root.id}")
    try:
        cascade = forget(writer, author, root, influence=influence, dry_run=False)
    except NotFound:
        earlier = erasure.earlier(namespace, of, root.id if root.kind == "item" else None)
        if earlier is None:
            raise
        erasure.finish()
        return _again(erasure, namespace, root, *earlier)
    ids = set(cascade.of("retired", "quarantined"))
    texts, inner = erasure.texts(namespace, ids)
    while more := erasure.copies(namespace, texts) - ids:
        ids |= more
        texts, inner = erasure.texts(namespace, ids)
    items = sorted(writer.items_by_id(namespace, list(ids)).values(), key=lambda item: item.id)
    rows = erasure.items(namespace, items, texts)
    for episode in traces.episodes_by_id(namespace, cascade.episodes).values():
        rows |= erasure.episode(episode)
    n_quotes = erasure.quotes(namespace, texts | inner)
    for item in items:
        writer.append(
            namespace, author.principal, "erase", at=author.at, item=item.id, version=item.version + 1
        )
    listed: Json = [*sorted(rows)]
    writer.append(namespace, author.principal, "erase", at=author.at, after={"of": of, "rows": listed})
    erasure.finish()
    reaches = {reach_of(item.scope, item.family, item.audience) for item in items} - {None}
    said = Said(tuple(item.id for item in items), texts, inner, frozenset(map(str, reaches)))
    remains = erasure.remains(namespace, said.items, texts, inner)
    return Erased(cascade, said.items, cascade.episodes, n_quotes, len(rows), remains), said


def _again(
    erasure: Erasure, namespace: str, root: Root, items: tuple[str, ...], n_rows: int
) -> tuple[Erased, Said]:
    remains = erasure.remains(namespace, items, frozenset(), frozenset())
    erased = Erased(Cascade(root, (), (), 0), items, (), 0, n_rows, remains)
    return erased, Said(items, frozenset(), frozenset(), frozenset())
