"""What is better than what: siblings in a trie of attempts, labels, safe acts in the place of unsafe ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from agent.planners.team import turns_of
from agent.prompt import command_of
from distill.shapes.masks import context_of
from distill.shapes.roles import turned
from distill.types import Episodes, Row
from memory.types import Message

_Said = tuple[str, str]
_Node = tuple[str, tuple[_Said, ...]]


@dataclass(frozen=True, slots=True)
class _Branch:
    """One act as a child of the node it was done at."""

    row: Row
    at: int

    @property
    def message(self) -> Message:
        return self.row.messages[self.at]

    @property
    def value(self) -> float:
        return self.message.weight or 0.0


@dataclass(frozen=True, slots=True)
class SiblingPairs:
    """Of two acts after the same words, the one of the higher value is preferred: one message each.

    Attempts at a task are merged into a trie by what was said and seen, so that plain retries are a tree.
    The weights of acts are taken as values (of signal `tree_value`: what came of an act on the whole). In a
    team an act stands behind what its member was shown, and siblings are one role's.
    Source: MALT (arXiv 2412.01928), good and bad siblings by a threshold, role by role.
    """

    theta: float = 0.5
    """A good act is worth more than this, a bad one no more."""
    most: int = 1
    """Pairs at one node."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Best against worst, second best against second worst, at every node with both."""
        found: list[Row] = []
        for branches in _siblings(_by_role(rows), lived).values():
            ranked = sorted(_merged(branches), key=lambda one: (-one[0], said(one[1].message)))
            good = [one for value, one in ranked if value > self.theta]
            bad = [one for value, one in reversed(ranked) if value <= self.theta]
            found += [preferred(*pair) for pair in zip(good[: self.most], bad[: self.most], strict=False)]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Each act with whether it is desired, nothing to compare it with: weight 1 or -1.

    Source: KTO (arXiv 2402.01306), by any signal.
    """

    theta: float = 0.0
    """An act is desired when it is worth more than this."""

    def __call__(self, rows: Sequence[Row], _: Episodes) -> tuple[Row, ...]:
        """One row for each act."""
        return tuple(
            replace(
                row,
                messages=(
                    *context_of(row, at),
                    replace(one, weight=1.0 if (one.weight or 0.0) > self.theta else -1.0),
                ),
                indices=row.indices[: at + 1],
            )
            for row in rows
            for at, one in enumerate(row.messages)
            if one.role == "assistant" and one.kind != "memory"
        )


@dataclass(frozen=True, slots=True)
class SafeSteps:
    """The situation before an unsafe act, and what is safe there; the unsafe act is never learned.

    An act is unsafe when its weight is below 0 (of signal `safety`). What is safe is the next act of the same
    episode that is worth more than 0 (sent back, the agent did otherwise), else that of another attempt which
    stood at the same place. Source: AutoSafe (arXiv 2505.17735). With `pairs` the unsafe act is what the safe
    one is preferred to.
    """

    pairs: bool = False

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """One row for each unsafe act that something safe is known for."""
        siblings = _siblings(_branches(rows), lived)
        return tuple(
            made
            for row in rows
            for at, one in enumerate(row.messages)
            if one.role == "assistant" and (one.weight or 0.0) < 0.0
            if (made := self._instead(_Branch(row, at), siblings, lived)) is not None
        )

    def _instead(
        self, unsafe: _Branch, siblings: Mapping[_Node, Sequence[_Branch]], lived: Episodes
    ) -> Row | None:
        own = (_Branch(unsafe.row, at) for at in range(unsafe.at + 1, len(unsafe.row.messages)))
        safe = next((one for one in own if one.message.role == "assistant" and one.value > 0.0), None)
        if safe is None:
            there = siblings[_node(unsafe.row, unsafe.at, lived)]
            ranked = sorted(there, key=lambda one: (-one.value, said(one.message), one.row.episode))
            safe = next((one for one in ranked if one.value > 0.0), None)
        if safe is None:
            return None
        row = unsafe.row
        made = replace(
            row,
            messages=(*context_of(row, unsafe.at), safe.message),
            indices=(*row.indices[: unsafe.at], _index(row, safe)),
            also=row.also if safe.row is row else (*row.also, safe.row.episode),
        )
        return replace(made, rejected=_rejected(unsafe.message)) if self.pairs else made


def preferred(better: _Branch, worse: _Branch) -> Row:
    """A row whose last message is preferred to another; each weighs the same."""
    row, others = better.row, (worse.row.episode,) if worse.row.episode != better.row.episode else ()
    return replace(
        row,
        messages=(*context_of(row, better.at), replace(better.message, weight=1.0)),
        indices=row.indices[: better.at + 1],
        rejected=_rejected(worse.message),
        also=(*row.also, *others),
    )


def said(message: Message) -> str:
    """What a message says and does, for comparing."""
    return "\n".join([" ".join(message.text.split()), *map(command_of, message.tool_calls)])


def _siblings(branches: Iterable[_Branch], lived: Episodes) -> dict[_Node, list[_Branch]]:
    nodes: dict[_Node, list[_Branch]] = {}
    for branch in branches:
        nodes.setdefault(_node(branch.row, branch.at, lived), []).append(branch)
    return nodes


def _merged(branches: Sequence[_Branch]) -> list[tuple[float, _Branch]]:
    """Each act once, with the mean of its values, as the first attempt did it."""
    acts: dict[str, list[_Branch]] = {}
    for one in sorted(branches, key=lambda one: one.row.episode):
        acts.setdefault(said(one.message), []).append(one)
    return [(fmean(one.value for one in same), same[0]) for same in acts.values()]


def _branches(rows: Sequence[Row]) -> Iterator[_Branch]:
    for row in rows:
        for at, one in enumerate(row.messages):
            if one.role == "assistant" and one.kind != "memory":
                yield _Branch(row, at)


def _by_role(rows: Sequence[Row]) -> Iterator[_Branch]:
    """The acts of a team turn by turn; all of a row where there is no team."""
    for row in rows:
        turns = [part for _, part in turned(row)]
        for branch in _branches(turns or [row]):
            last = turns_of(branch.row.messages)[1][-1:]
            own = len(last[0].messages) if last else len(branch.row.messages)
            if branch.at >= len(branch.row.messages) - own:
                yield branch


def _node(row: Row, at: int, lived: Episodes) -> _Node:
    """Where an act was done: the task, and all that was said and seen but for what memory told."""
    seen = (one for one in row.messages[:at] if one.kind != "memory" and one.role != "system")
    return lived[row.episode].task_id, tuple((one.role, said(one)) for one in seen)


def _index(row: Row, safe: _Branch) -> int:
    return safe.row.indices[safe.at] if safe.row is row else -1


def _rejected(message: Message) -> Message:
    return replace(message, weight=0.0)
