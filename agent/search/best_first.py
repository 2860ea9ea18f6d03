"""One best-first search over a tree: which leaf is next, what grows from it, what that says of those above.

Sources: Zhuang et al. 2023 (ToolChain*), arXiv 2310.13227: A*, a leaf is worth −(g + h); Zhang et al. 2024
(WebPilot), arXiv 2408.15978: roll-outs by value and visits. They differ in `priority` and `backup` alone.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")
"""What stands at a place of the tree."""


@dataclass(slots=True, eq=False)
class Node(Generic[S]):
    """A place in the tree."""

    state: S
    parent: Node[S] | None = None
    reward: float = 0.0
    """What itself is worth: a guess until it was entered."""
    value: float = 0.0
    """What it is worth by all that is known below it."""
    children: list[Node[S]] = field(default_factory=list)
    visits: int = 0
    """How often the search came through it."""
    is_entered: bool = False
    is_open: bool = True
    """Is there a leaf left to enter, here or below?"""

    @property
    def path(self) -> tuple[Node[S], ...]:
        """From the root to here, the root left out."""
        return () if self.parent is None else (*self.parent.path, self)

    @property
    def depth(self) -> int:
        """Steps from the root."""
        return 0 if self.parent is None else self.parent.depth + 1


@dataclass(frozen=True, slots=True)
class Grown(Generic[S]):
    """What came of entering a leaf."""

    children: tuple[tuple[S, float], ...] = ()
    """Leaves from now on, with a guess of what each is worth."""
    state: S | None = None
    """What stands there now; None leaves it as it was."""
    reward: float | None = None
    """What it is worth; None leaves the guess."""
    is_goal: bool = False
    is_gone: bool = False
    """It turned out to be nothing of its own: it leaves the tree."""


@dataclass(frozen=True, slots=True)
class Found(Generic[S]):
    """What a search came to."""

    root: Node[S]
    goal: Node[S] | None
    entered: int
    """Leaves that were entered, the goal not counted."""


Expand = Callable[[Node[S]], Awaitable[Grown[S]]]
"""Enters a leaf."""
Priority = Callable[[Node[S]], float]
"""Among siblings the greatest is gone down to, the first of equals."""
Backup = Callable[[Node[S]], float]
"""The value of an entered node, by its reward and its children."""


async def search(
    root: S, expand: Expand[S], priority: Priority[S], backup: Backup[S], *, most: int
) -> Found[S]:
    """Enter leaf after leaf, the most promising first, until one is the goal, none is left, or `most` were.

    One leaf at a time, so that a journal replays it. Raises what `expand` raises.
    """
    top = Node(root)
    entered = 0
    while top.is_open and entered < most:
        leaf = frontier(top, priority)
        grown = await expand(leaf)
        leaf.is_entered = True
        leaf.state = leaf.state if grown.state is None else grown.state
        leaf.reward = leaf.reward if grown.reward is None else grown.reward
        if grown.is_goal:
            leaf.value, leaf.is_open = leaf.reward, False
            return Found(top, leaf, entered)
        entered += 1
        leaf.children = [Node(state, leaf, guess, guess) for state, guess in grown.children]
        if grown.is_gone and leaf.parent is not None:
            leaf.parent.children.remove(leaf)
            leaf.is_open = False
        told(leaf, backup)
    return Found(top, None, entered)


def frontier(node: Node[S], priority: Priority[S]) -> Node[S]:
    """The leaf that is next below an open node."""
    while node.is_entered:
        node = max((child for child in node.children if child.is_open), key=priority)
    return node


def told(leaf: Node[S], backup: Backup[S]) -> None:
    """Tell all above a leaf what was found there."""
    node: Node[S] | None = leaf
    while node is not None:
        node.visits += 1
        node.is_open = any(child.is_open for child in node.children)
        node.value = backup(node)
        node = node.parent


def best_leaf(root: Node[S]) -> Node[S]:
    """The entered node that is itself worth most, the first of equals; the root where it is alone."""
    below = [node for node in every(root) if node.is_entered and node is not root]
    return max(below, key=lambda node: node.reward, default=root)


def every(node: Node[S]) -> tuple[Node[S], ...]:
    """A node and all below it, the upper before the lower."""
    return (node, *(one for child in node.children for one in every(child)))


def by_value(node: Node[S]) -> float:
    """Priority of A*: what the best open leaf below is worth."""
    return node.value


def best_open(node: Node[S]) -> float:
    """Back-up of A*: the best leaf that is left below; what is closed is worth nothing any more."""
    return max((child.value for child in node.children if child.is_open), default=-math.inf)


def best_known(node: Node[S]) -> float:
    """Back-up by the maximum (WebPilot): the best that was entered, here or below."""
    return max([node.reward, *(child.value for child in node.children if child.is_entered)])


def mean_known(discount: float = 0.9) -> Backup[S]:
    """Back-up by the mean over visits, what lies below discounted by its distance."""

    def mean(node: Node[S]) -> float:
        below = [child for child in node.children if child.is_entered]
        total = node.reward + discount * math.fsum(child.visits * child.value for child in below)
        return total / (1 + sum(child.visits for child in below))

    return mean


def by_visits(weight: float = 0.5) -> Priority[S]:
    """Priority of WebPilot: value + w · √(visits above) / (1 + visits).

    Deviation: scores are 0..1 here and 0..10 there, and so is the weight, 5 there.
    """

    def upper(node: Node[S]) -> float:
        above = 0 if node.parent is None else node.parent.visits
        return node.value + weight * math.sqrt(above) / (1 + node.visits)

    return upper
