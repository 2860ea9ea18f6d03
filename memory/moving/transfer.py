"""Bundles into a store, page by page: no bundle has to fit into memory, no writer waits long.

Whose word counts on the way in:

- an operator who imports a bundle signed by a trusted key, or who vouches for it, restores: everything is as
  it was, and what episodes gave to items can still be taken back;
- anything else is a stranger's. Nothing is trusted more than the channel, an operator's that nobody vouched
  for counting as `external`. Its hash becomes the source of all, the importer the author; pins and statistics
  are claims and start anew, principles on trial. Its texts are encoded here, for a vector of its making could
  be near to any question. Its episodes are marked with the channel; what they recalled is dropped, for it
  names items of another memory.

Every page is one transaction. What is there already stays, so a killed import can be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from memory.author import Author
from memory.codec import loads
from memory.encoder import CachedEncoder
from memory.entry import Vector
from memory.errors import BadInput
from memory.moving import bundle
from memory.moving.bundle import CREDITS, EPISODES, ITEMS, Given, Opened
from memory.moving.intake import Counting, ImportReport, pages
from memory.store.engine import Store
from memory.store.reader import Credit
from memory.store.rows import said_of
from memory.store.writer import Newcomer, Writer
from memory.types import GLOBAL, TRUST, Body, Channel, Episode, Item, NoteBody, PrincipleBody, Scope, Utility
from memory.writing.admission import as_draft, check_draft, check_name
from memory.writing.limits import Limits, Rates
from memory.writing.redaction import without_secrets

T = TypeVar("T")
PAGE = 256


class Write(Protocol):
    """Runs an operation that brings texts, in a transaction; vectors of all open generations come along."""

    def __call__(self, namespace: str, texts: Sequence[str], run: Callable[[Writer], T], limits: Limits) -> T:
        """Returns what `run` does, once it is on disk."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On whose word a bundle comes in."""

    author: Author
    source: str
    is_restore: bool
    limits: Limits

    @property
    def channel(self) -> Channel:
        """What the trust of a stranger's things is bound by."""
        return "external" if self.author.channel == "operator" else self.author.channel


def take_in(
    store: Store,
    write: Write,
    encoder: CachedEncoder,
    author: Author,
    folder: Path,
    *,
    is_trusted: Callable[[str], bool],
    limits: Limits,
    rates: Rates,
) -> ImportReport:
    """Add a bundle's items and episodes to a namespace.

    Raises BadInput on a changed or forged bundle, OverQuota where a stranger's is too much; pages before that
    are in, and the next import goes on from there.
    """
    opened = bundle.open_bundle(folder)
    is_restore = author.channel == "operator" and is_trusted(opened.manifest.signer)
    if not is_restore:
        rates.take(author.namespace, author.principal, opened.manifest.items)
    terms = Terms(
        author, f"bundle:{opened.manifest.hash[:16]}", is_restore, Limits() if is_restore else limits
    )
    counting = Counting(terms.source)
    _take_items(write, encoder, opened, terms, counting)
    _take_episodes(store, opened, terms, counting)
    if is_restore:
        _take_credits(store, opened, terms, counting)
    return counting.report()


def _take_items(
    write: Write, encoder: CachedEncoder, opened: Opened, terms: Terms, counting: Counting
) -> None:
    # What the bundle itself says twice is two items of it; what the namespace said before is there already.
    own: set[str] = set()
    inner = encoder.inner
    is_same_encoder = (opened.manifest.encoder, opened.manifest.dim) == (inner.generation, inner.dim)
    for page in pages(opened.lines(ITEMS), PAGE):
        first = page[0][0]
        matrix = opened.vectors(first, len(page)) if is_same_encoder and terms.is_restore else None
        items: list[Item] = []
        rows: list[Vector | None] = []
        for number, line in page:
            try:
                item = _adopted(loads(Item, line), terms)
                _check(item, terms)
            except BadInput as error:
                counting.refuse(ITEMS, number, error)
                continue
            items.append(item)
            rows.append(None if matrix is None else matrix[number - first])
        added = write(
            terms.author.namespace,
            [item.text for item in items],
            _adding(items, _vectors(encoder, items, rows), terms, own),
            terms.limits,
        )
        counting.added += added
        counting.present += len(items) - added
        own.update(item.id for item in items)


def _adding(
    items: Sequence[Item], vectors: Sequence[Vector], terms: Terms, own: Set[str]
) -> Callable[[Writer], int]:
    def run(writer: Writer) -> int:
        namespace, at = terms.author.namespace, terms.author.at
        there = writer.items_by_id(namespace, [item.id for item in items])
        fresh: dict[str, Newcomer] = {}
        said_here: set[str] = set()
        for item, vector in zip(items, vectors, strict=True):
            said = said_of(item)
            if item.id in there or item.id in fresh:
                continue
            if item.status != "retired":
                same = writer.same(namespace, said.keys.dedupe, at)
                if same is not None and not (terms.is_restore and same.id in own):
                    continue
                if said.keys.dedupe in said_here and not terms.is_restore:
                    continue
                said_here.add(said.keys.dedupe)
            fresh[item.id] = Newcomer(item, said, vector)
        writer.add_items(list(fresh.values()), terms.author, "import")
        return len(fresh)

    return run


def _take_episodes(store: Store, opened: Opened, terms: Terms, counting: Counting) -> None:
    for page in pages(opened.lines(EPISODES), PAGE):
        episodes: list[Episode] = []
        for number, line in page:
            try:
                episodes.append(_lived(loads(Episode, line), terms))
            except BadInput as error:
                counting.refuse(EPISODES, number, error)
        counting.episodes += store.write(adding_episodes(episodes, terms.author))


def adding_episodes(episodes: Sequence[Episode], author: Author) -> Callable[[Writer], int]:
    """An operation that adds those whose ids are new; it returns how many were."""

    def run(writer: Writer) -> int:
        n_added = 0
        for episode in episodes:
            if writer.find_episode(author.namespace, episode.id) is None:
                writer.add_episode(episode, None, author.principal, author.at)
                n_added += 1
        return n_added

    return run


def _take_credits(store: Store, opened: Opened, terms: Terms, counting: Counting) -> None:
    namespace = terms.author.namespace
    for page in pages(opened.lines(CREDITS), PAGE):
        given: list[Given] = []
        for number, line in page:
            try:
                given.append(loads(Given, line))
            except BadInput as error:
                counting.refuse(CREDITS, number, error)
        store.write(_crediting(namespace, given))


def _crediting(namespace: str, given: Sequence[Given]) -> Callable[[Writer], None]:
    def run(writer: Writer) -> None:
        for one in given:
            if one.item not in writer.credits(namespace, one.episode):
                said = (one.item, one.shown, one.place, one.reward, one.propensity, one.centre)
                credit = Credit(*said, writer.position(namespace, one.episode) or 0, one.test)
                writer.put_credit(namespace, one.episode, credit)

    return run


def _vectors(encoder: CachedEncoder, items: Sequence[Item], rows: Sequence[Vector | None]) -> list[Vector]:
    missing = [item.text for item, row in zip(items, rows, strict=True) if row is None or not row.any()]
    made = dict(zip(missing, encoder.items(missing), strict=True)) if missing else {}
    return [
        made[item.text] if row is None or not row.any() else row
        for item, row in zip(items, rows, strict=True)
    ]


def _adopted(item: Item, terms: Terms) -> Item:
    """The item as it is at home here."""
    namespace = terms.author.namespace
    home: Scope = "namespace" if item.scope == "global" else item.scope
    scope: Scope = "global" if namespace == GLOBAL else home
    item = replace(item, namespace=namespace, scope=scope)
    if terms.is_restore:
        return item
    trust = min(item.trust, TRUST[terms.channel])
    is_principle = item.kind == "principle" and item.status == "active"
    return replace(
        item,
        body=_uncounted(item.body),
        trust=trust,
        channel=item.channel if trust == item.trust else terms.channel,
        author=terms.author.principal,
        pinned=False,
        utility=Utility(),
        status="trial" if is_principle else item.status,
        lineage=replace(item.lineage, source=terms.source),
    )


def _uncounted(body: Body) -> Body:
    """A body without what a stranger says that it counted."""
    if not isinstance(body, PrincipleBody):
        return body
    return PrincipleBody(body.tier, body.builder, pattern=body.pattern)


def _check(item: Item, terms: Terms) -> None:
    """The door that drafts come through. Raises BadInput."""
    check_name("the item's id", item.id)
    # The first release kept notes for kinds that have bodies of their own now.
    is_old = terms.is_restore and isinstance(item.body, NoteBody)
    check_draft(as_draft(replace(item, kind="tool_note") if is_old else item))


def _lived(episode: Episode, terms: Terms) -> Episode:
    """The episode as it is at home here. Raises BadInput."""
    check_name("the episode's id", episode.id)
    episode = without_secrets(replace(episode, namespace=terms.author.namespace))
    if terms.is_restore:
        return episode
    return replace(
        episode,
        recall=None,
        principal=terms.author.principal,
        channel=terms.channel,
        source=terms.source,
    )
