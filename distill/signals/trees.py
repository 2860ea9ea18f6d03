"""Credit over a tree of attempts: retries of one task become its branches where they part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from distill.signals.stored import Credit, is_own, reward_of
from distill.value import turns_of
from memory.types import Episode, Message

_Key = tuple[str, str]


@dataclass(slots=True)
class _Tree:
    """Prefixes that attempts share, by number, each after the one it goes on from; lives within one call."""

    places: dict[tuple[int, _Key], int] = field(default_factory=dict)
    children: list[list[int]] = field(default_factory=lambda: [[]])
    ends: list[list[float]] = field(default_factory=lambda: [[]])
    """Rewards of attempts that end at a node."""

    def child(self, node: int, key: _Key) -> int:
        """The node that this leads to."""
        if (node, key) not in self.places:
            self.places[node, key] = len(self.children)
            self.children[node].append(len(self.children))
            self.children.append([])
            self.ends.append([])
        return self.places[node, key]

    def values(self) -> list[float]:
        """Of each node the mean of its children's; an attempt that ends there is a child of its own."""
        found = [0.0] * len(self.children)
        for node in reversed(range(len(found))):
            branches = [*self.ends[node], *(found[child] for child in self.children[node])]
            found[node] = math.fsum(branches) / max(1, len(branches))
        return found


@dataclass(frozen=True, slots=True)
class TreeValue:
    """What attempts at a task that begin alike came to, branch by branch.

    Prefixes are alike where the same acts had the same answers; thoughts, memory and case do not count. A
    message has the value of the node it leads to: the mean of its children's. With a `threshold` values above
    it are 1, all others -1: good and bad, for rows and for pairs.

    Source: MALT (arXiv 2412.01928): a node is worth the mean of its children, threshold one half. Deviation:
    the tree is made of whole attempts by merging their prefixes instead of by branching at every role.
    """

    threshold: float | None = None

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On each of the model's messages; on what is said between turns as on the turn before it."""
        tree = _Tree()
        paths = {one.id: _walk(tree, one) for one in episodes}
        values = tree.values()
        return {
            one.id: tuple(
                self._sign(values[node]) if is_own(message) else 0.0
                for message, node in zip(one.messages, paths[one.id], strict=True)
            )
            for one in episodes
        }

    def _sign(self, value: float) -> float:
        if self.threshold is None:
            return value
        return 1.0 if value > self.threshold else -1.0


def _walk(tree: _Tree, episode: Episode) -> list[int]:
    """Adds an attempt to the tree; the node that each message leads to."""
    acts = {turn.message: turn.action for turn in turns_of(episode)}
    node = tree.child(0, ("task", episode.task_id))
    path: list[int] = []
    for place, message in enumerate(episode.messages):
        key = _key(message, acts.get(place))
        if key is not None:
            node = tree.child(node, key)
        path.append(node)
    tree.ends[node].append(reward_of(episode))
    return path


def _key(message: Message, action: str | None) -> _Key | None:
    """What tells prefixes apart; None for what does not."""
    if action is not None:
        return "act", action
    if message.role != "tool" or message.kind == "memory":
        return None
    return "seen", " ".join(message.text.casefold().split())
