"""What reaches through a whole namespace: consolidation, forgetting with all that follows, erasure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from memory.author import Author
from memory.consolidation import policy as consolidation
from memory.consolidation.proposals import Action, ConsolidationSettings, Proposal
from memory.errors import BadInput, Conflict, NotFound, OverQuota
from memory.facade.governing import Governing
from memory.index.ask import Ask, Searchable
from memory.store.reader import Reader
from memory.store.writer import Writer
from memory.types import BODIES, TRUST, Channel, Item
from memory.writing import changes, forgetting
from memory.writing.admission import check_draft
from memory.writing.changes import Change, Merger
from memory.writing.forgetting import Cascade, Erased, Root, Said

AT_MOST = 64
"""Erased texts that recall is asked for, and candidates looked at for each."""


@dataclass(frozen=True, slots=True)
class Step:
    """One proposal and what became of it."""

    action: Action
    items: tuple[str, ...]
    reason: str
    made: str | None
    """Id of the merged item or the procedure."""
    text: str
    """What it says."""
    skipped: str | None = None
    """Why it was not done: somebody changed an item meanwhile, or the namespace is full."""


@dataclass(frozen=True, slots=True)
class Consolidation:
    """What was done, or would be: a dry run gives the same report."""

    items: int
    """Items looked at."""
    steps: tuple[Step, ...]
    stopped: bool
    """Was it asked to stop before it was through? Running it again goes on."""


class Tending(Governing):
    """The part of `Memory` that tends whole namespaces."""

    def consolidate(
        self,
        namespace: str,
        *,
        principal: str = "memory",
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
        settings: ConsolidationSettings | None = None,
    ) -> Consolidation:
        """Merge near-duplicates, archive what is of no use, draw procedures from cases; undoable one by one.

        Each step is a transaction of its own and is skipped when somebody changed an item meanwhile. `stop`
        is asked before each. A second run finds nothing to do.
        """
        at = self._clock()
        generation = self._author(namespace, principal, "operator").encoder
        with self._store.read() as reader:
            items = reader.items(
                namespace, kind=None, status=None, family=None, words=None, limit=None, after=None
            )
            vectors = reader.vectors(namespace, generation)
        known = {item.id: item for item in items}
        steps: list[Step] = []
        for proposal in consolidation.plan(
            items, vectors, at=at, settings=settings or ConsolidationSettings()
        ):
            if stop():
                return Consolidation(len(items), tuple(steps), stopped=True)
            channel = _channel(proposal, [known[id_] for id_ in proposal.items if id_ in known])
            author = Author(namespace, principal, channel, at, generation)
            skipped = None if dry_run else self._apply(author, proposal)
            text = "" if proposal.draft is None else proposal.draft.text
            steps.append(Step(proposal.action, proposal.items, proposal.reason, proposal.made, text, skipped))
        return Consolidation(len(items), tuple(steps), stopped=False)

    def forget_all(self, namespace: str, root: Root, *, principal: str, dry_run: bool = False) -> Cascade:
        """Forget an item, an episode, a principal, a source or the namespace, and all that rests on it alone.

        Nothing is deleted: items are retired, quarantined or trimmed (`memory.writing.forgetting`) and can be
        restored; episodes may never teach again. Raises NotFound when there is nothing of that name.
        """
        return self._forget(namespace, root, principal, influence=False, dry_run=dry_run)

    def revoke(self, namespace: str, source: str, *, principal: str, dry_run: bool = False) -> Cascade:
        """Take back a source that is not trusted any more: an import, a document, a channel.

        As `forget_all`, and further: episodes that had anything of it in their prompt may not teach either,
        and what was learned from them falls too. Raises NotFound when nothing came from there.
        """
        return self._forget(namespace, Root("source", source), principal, influence=True, dry_run=dry_run)

    def erase(self, namespace: str, root: Root, *, principal: str) -> Erased:
        """Forget, then remove every word: from items, log, full text, vectors, episodes and index files.

        Cannot be undone. What stays: ids, times, names of principals, outcomes, and digests that keep the log
        verifiable. Texts under 16 characters are not looked for in other episodes. The report says what a
        search still finds: nothing. Out of reach: backups and bundles made before; an agent that has the text
        in its prompt right now may record it again; on PostgreSQL, dead rows until it vacuums.

        Erasing the same again finishes what was cut short, and proves it by ids, for the words are gone.
        Raises NotFound when nothing of that name is or was here.
        """
        author = self._author(namespace, principal, "operator")
        influence = root.kind == "source"
        erased, said = self._store.write(
            lambda writer: forgetting.erase(writer, author, root, influence=influence)
        )
        self._generations.purge(namespace)
        remains = replace(erased.remains, recall=len(self._considered(namespace, said)))
        return replace(erased, remains=remains)

    def _considered(self, namespace: str, said: Said) -> set[str]:
        """Erased items that the index finds when it is asked for their own words."""

        def use(indexes: Mapping[str, Searchable], _reader: Reader, _seq: int) -> set[str]:
            asks = [
                Ask(self._encoder.query(text), text, tuple(BODIES), said.reaches, AT_MOST)
                for text in sorted(said.texts)[:AT_MOST]
            ]
            found = {one.id for ask in asks for one in indexes[namespace].search(ask).found}
            return found & set(said.items)

        if not said.texts:
            return set()
        self._shelves.complete(namespace)
        found = self._shelves.look_at([namespace], use)
        # They were asked for by words that must not stay.
        self._encoder.clear()
        return found

    def _forget(
        self, namespace: str, root: Root, principal: str, *, influence: bool, dry_run: bool
    ) -> Cascade:
        author = self._author(namespace, principal, "operator")
        return self._store.write(
            lambda writer: forgetting.forget(writer, author, root, influence=influence, dry_run=dry_run)
        )

    def _apply(self, author: Author, proposal: Proposal) -> str | None:
        """Why it was skipped; None when it was done."""
        try:
            act = self._prepared(author, proposal)
            texts = [] if proposal.draft is None else [proposal.draft.text]
            self._write(author.namespace, texts, act)
        except (Conflict, NotFound, BadInput, OverQuota) as error:
            return str(error)
        return None

    def _prepared(self, author: Author, proposal: Proposal) -> Callable[[Writer], Item]:
        if proposal.draft is None or proposal.made is None:
            item_id, version = proposal.items[0], proposal.versions[0]
            change = Change(status="retired")
            return lambda writer: changes.edit(
                writer, author, item_id, change, vector=None, expect_version=version
            )
        check_draft(proposal.draft)
        vector = self._encoder.items([proposal.draft.text])[0]
        merger = Merger(proposal.draft, vector, proposal.made, proposal.items, proposal.versions)
        act = changes.merge if proposal.action == "merge" else changes.induce
        return lambda writer: act(writer, author, merger)


def _channel(proposal: Proposal, parts: Sequence[Item]) -> Channel:
    """Drawing conclusions is reflection; what only people said stays theirs when it is merged."""
    channels: list[Channel] = [part.channel for part in parts]
    if proposal.action == "induce":
        channels.append("reflection")
    return min(channels, key=TRUST.__getitem__, default="reflection")
