"""The list of rules that a team shares: principles of scope `team`, bounded, changed with evidence.

Source: Li et al. 2025 (LIET), arXiv 2506.07232: a shared list of knowledge about working together, kept short
and rewritten after new experience. Deviation: a builder of the constitution proposes the changes, which need
evidence and are logged like all others, by the team's newest runs, after each that went well or badly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.builders.building import Applied, BuildSettings, apply, by_model
from agent.builders.ops import Builder, Operation, Window
from agent.types import Model
from memory.core import Memory
from memory.types import Draft, Episode, Item, Usage

MOST = 10
"""Rules of one team."""
NOTE = "team"
"""In an episode's feedback: the team that lived it."""
_LOOKED_AT = 50
"""Newest episodes of a namespace among which a team's are looked for."""
_SHOWN = 5
"""Newest runs of a team that its rules are revised by."""
_GROWS = {"add": 1, "retire": -1, "edit": 0, "keep": 0}


@dataclass(frozen=True, slots=True)
class Revised:
    """What became of a team's rules, and what it cost."""

    done: Applied = field(default_factory=Applied)
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class TeamRules:
    """The list of one team."""

    memory: Memory
    namespace: str
    team: str
    most: int = MOST

    def items(self) -> tuple[Item, ...]:
        """Those in force, oldest first."""
        return rules_of(self.memory, self.namespace, self.team)

    async def revise(
        self, episodes: Sequence[Episode], build: Builder, *, principal: str, key: str
    ) -> Revised:
        """What a builder makes of these episodes, as far as the list has room; the rest is named as refused.

        Again under the same key changes nothing more.
        """
        window = Window(tuple(episodes), self.items())
        built = await build(window)
        done = self.change(built.operations, window, principal=principal, key=key)
        return Revised(done, built.usage)

    def change(self, operations: Sequence[Operation], window: Window, *, principal: str, key: str) -> Applied:
        """Carry operations out on this list alone."""
        held, refused = bounded(operations, window.principles, self.most)
        confined = [replace(one, draft=one.draft and self._confined(one.draft)) for one in held]
        done = apply(confined, window, self.memory, self.namespace, principal=principal, key=key)
        return replace(done, refused=(*refused, *done.refused))

    def _confined(self, draft: Draft) -> Draft:
        return replace(draft, scope="team", family=None, audience=self.team)


def rules_of(memory: Memory, namespace: str, team: str) -> tuple[Item, ...]:
    """The rules of a team that are in force, oldest first."""
    found: list[Item] = []
    for status in ("active", "trial"):
        after: str | None = None
        while page := memory.items(namespace, kind="principle", status=status, limit=500, after=after):
            found += [item for item in page if item.scope == "team" and item.audience == team]
            after = page[-1].id
    return tuple(sorted(found, key=lambda item: (item.created_at, item.id)))


def team_of(episode: Episode) -> str | None:
    """The team that lived an episode."""
    said = episode.feedback.get(NOTE)
    return said if isinstance(said, str) else None


async def revise_after(episode: Episode, model: Model, memory: Memory, *, max_tokens: int) -> Revised:
    """A team's rules after one of its runs, which memory holds, by what a model makes of the newest ones.

    One call; none of a small model, which was not trained on it, nor after a run that teaches nothing.
    """
    team = team_of(episode)
    if team is None or model.style == "plain" or episode.outcome not in {"success", "failure"}:
        return Revised()
    lived = await asyncio.to_thread(memory.episodes, episode.namespace, limit=_LOOKED_AT, newest=True)
    own = [one for one in lived if team_of(one) == team and one.forgotten is None][:_SHOWN]
    if episode.id not in {one.id for one in own}:
        return Revised()
    build = by_model(model, BuildSettings(max_tokens=max_tokens))
    rules = TeamRules(memory, episode.namespace, team)
    key = f"team/{episode.id}/{episode.outcome}"
    return await rules.revise(own[::-1], build, principal=episode.principal, key=key)


def bounded(
    operations: Sequence[Operation], rules: Sequence[Item], most: int
) -> tuple[tuple[Operation, ...], tuple[str, ...]]:
    """The operations that leave the list no longer than `most`, taken in order, and why the others are not.

    What takes rules away comes first, for it makes room; rules that are not on the list are not touched.
    """
    known = {item.id for item in rules}
    size, held, refused = len(rules), list[Operation](), list[str]()
    for one in sorted(operations, key=lambda one: _growth(one) > 0):
        if not known.issuperset(one.targets):
            refused.append(f"{one.action}: it names a rule of somebody else")
        elif _growth(one) > 0 and size + _growth(one) > most:
            refused.append(f"{one.action}: the list has {size} rules, which is the most")
        else:
            size += _growth(one)
            held.append(one)
    return tuple(held), tuple(refused)


def _growth(one: Operation) -> int:
    return 1 - len(one.targets) if one.action == "merge" else _GROWS[one.action]
