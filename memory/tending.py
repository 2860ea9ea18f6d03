"""What is done to a whole namespace: consolidation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memory import changes, consolidation
from memory.admission import check_draft
from memory.author import Author
from memory.changes import Change, Merger
from memory.errors import BadInput, Conflict, NotFound
from memory.proposals import Action, ConsolidationSettings, Proposal
from memory.revision import Revision
from memory.store.writer import Writer
from memory.types import TRUST, Channel, Item


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
    """Why it was not done: somebody changed an item meanwhile."""


@dataclass(frozen=True, slots=True)
class Consolidation:
    """What was done, or would be: a dry run gives the same report."""

    items: int
    """Items looked at."""
    steps: tuple[Step, ...]
    stopped: bool
    """Was it asked to stop before it was through? Running it again goes on."""


class Tending(Revision):
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
        generation = self._author(namespace, principal, "reflection").encoder
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

    def _apply(self, author: Author, proposal: Proposal) -> str | None:
        """Why it was skipped; None when it was done."""
        try:
            act = self._prepared(author, proposal)
            self._store.write(act)
        except (Conflict, NotFound, BadInput) as error:
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
