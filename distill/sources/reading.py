"""Tasks that exercise what is only written down: principles, and what documents said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.types import Ask
from distill.sources.known import PROPOSED, Candidate, Known, Proposal, Rules
from distill.sources.writing import shown, tried, written
from memory.types import Item

_ANY = Rules()


@dataclass(frozen=True, slots=True)
class FromDocument:
    """Source: Synatra (arXiv 2409.15637): indirect knowledge is turned into tasks. Deviation: the tasks are
    lived, where the paper has a model write the demonstration; each carries the item it was made of.
    """

    per: int = 2
    """Tasks of one item at once."""
    shown: int = 4
    rules: Rules = _ANY
    temperature: float = 0.8
    over: int = 1

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "from_document"

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """Item by item, first those that fewest tasks were made of. None where memory holds no item."""
        made: list[Proposal] = []
        for item in self._order(known):
            if len(made) >= n:
                break
            made += await self._of(item, known, ask, min(self.per, n - len(made)))
        return made

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The first."""
        return found[:n]

    async def _of(self, item: Item, known: Known, ask: Ask, n: int) -> list[Proposal]:
        examples = [shown(known, one) for one, _ in tried(known.lived)[: self.shown]]
        if not examples and known.listed:
            examples = [json.dumps(next(iter(known.listed.values())).config)]
        text = (
            f"Something the agent was told: {json.dumps(item.text, ensure_ascii=False)}\n"
            "Tasks look like this:\n"
            + "\n".join(examples)
            + "\n\nNew tasks can only be done well by who heeds what was told."
        )
        said = await written(known, ask, text, n, temperature=self.temperature)
        return [Proposal(one, (item.id,), item.trust) for one in said]

    def _order(self, known: Known) -> list[Item]:
        used: Counter[str] = Counter()
        for one in known.episodes:
            told = one.feedback.get(PROPOSED)
            items = told.get("items") if isinstance(told, dict) else None
            used.update(map(str, items) if isinstance(items, list) else ())
        for candidate in known.accepted:
            used.update(candidate.proposal.items)
        for refusal in known.refused:
            used.update(refusal.proposal.items)
        return sorted(known.items, key=lambda item: used[item.id])
