"""How alike runs are by the tools they call: five features, 1 for the same and 0 for nothing in common.

Source: Sengupta et al. 2024 (MAG-V), arXiv 2412.04494: exact match, edit distance, graph edit distance,
argument overlap, semantic similarity of a run and the runs of questions made from its answer. Deviation:
distances are given as shares, so that runs of any length are comparable. Pure, but for the encoder.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

from memory.codec import dumps
from memory.encoder import Encoder
from memory.types import ToolCall

Trajectory = Sequence[ToolCall]
MOST_TRIES = 20_000
"""Of matching the nodes of two graphs; beyond, the best found so far counts."""


@dataclass(frozen=True, slots=True)
class Features:
    """A run beside its alternates: the mean over them of each likeness."""

    exact: float
    """Share of those that call the same tools in the same order."""
    edit: float
    """By insertions, deletions and changes of tools."""
    graph: float
    """By the tools as nodes, and what follows what as edges."""
    arguments: float
    """Of what the tools were called with."""
    meaning: float
    """Cosine of the calls, told in words."""

    @property
    def row(self) -> tuple[float, ...]:
        """In the order above."""
        return astuple(self)


def features(base: Trajectory, alternates: Sequence[Trajectory], encoder: Encoder) -> Features:
    """Of a run beside one or more others."""
    told = encoder.encode([_told(base), *map(_told, alternates)])  # (1 + n, d)
    own, names = told[0], _names(base)
    rows = [
        (
            float(names == _names(one)),
            edit_likeness(names, _names(one)),
            graph_likeness(names, _names(one)),
            argument_overlap(base, one),
            max(0.0, float(own @ vector)),
        )
        for one, vector in zip(alternates, told[1:], strict=True)
    ]
    return Features(*(math.fsum(column) / len(rows) for column in zip(*rows, strict=True)))


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and changes that turn one into the other.

    >>> edit_distance("kitten", "sitting")
    3
    """
    above = list(range(len(other) + 1))
    for place, left in enumerate(one, start=1):
        row = [place]
        for at, right in enumerate(other, start=1):
            row.append(min(above[at] + 1, row[-1] + 1, above[at - 1] + (left != right)))
        above = row
    return above[-1]


def edit_likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """1 minus the edit distance as a share of the longer one."""
    longest = max(len(one), len(other))
    return 1.0 - edit_distance(one, other) / longest if longest else 1.0


@dataclass(frozen=True, slots=True)
class Graph:
    """The tools of a run, each once, and which directly follows which."""

    nodes: tuple[str, ...]
    edges: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, names: Sequence[str]) -> Graph:
        """Of the tools in the order they were called."""
        return cls(tuple(dict.fromkeys(names)), frozenset(pairwise(names)))

    @property
    def size(self) -> int:
        """Nodes and edges: what it costs to make it of nothing."""
        return len(self.nodes) + len(self.edges)


def graph_likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """1 minus the graph edit distance as a share of taking one apart and making the other."""
    first, second = Graph.of(one), Graph.of(other)
    size = first.size + second.size
    return 1.0 - graph_distance(first, second) / size if size else 1.0


def graph_distance(one: Graph, other: Graph) -> int:
    """Fewest nodes and edges to put in, take out, or (nodes) rename, to turn one into the other.

    Exact, by branch and bound; where that takes more than `MOST_TRIES`, no more than the truth by what was
    found until then.
    """
    return _Matching(one, other).best()


class _Matching:
    """Nodes of the first graph, one after the other, each matched with a node of the second or with none."""

    def __init__(self, one: Graph, other: Graph) -> None:
        self._one, self._other = one, other
        self._least, self._tries = one.size + other.size, 0

    def best(self) -> int:
        self._match((), 0)
        return self._least

    def _match(self, matched: tuple[str | None, ...], cost: int) -> None:
        self._tries += 1
        if cost >= self._least or self._tries > MOST_TRIES:
            return
        if len(matched) == len(self._one.nodes):
            self._least = min(self._least, cost + self._made(matched))
            return
        node = self._one.nodes[len(matched)]
        free = [name for name in self._other.nodes if name not in matched]
        for target in (*sorted(free, key=lambda name: name != node), None):
            self._match((*matched, target), cost + self._cost(matched, node, target))

    def _cost(self, matched: tuple[str | None, ...], node: str, target: str | None) -> int:
        """Of the node and of its edges with those before it and with itself."""
        pairs = zip((*self._one.nodes[: len(matched)], node), (*matched, target), strict=True)
        cost = int(target != node)
        for before, image in pairs:
            ways = ((before, node, image, target), (node, before, target, image))
            for start, end, from_, to in ways[: 1 if before == node else 2]:
                is_there = None not in (from_, to) and (from_, to) in self._other.edges
                cost += ((start, end) in self._one.edges) != is_there
        return cost

    def _made(self, matched: tuple[str | None, ...]) -> int:
        """What the second graph has beyond the matched nodes."""
        new = {name for name in self._other.nodes if name not in matched}
        return len(new) + sum(start in new or end in new for start, end in self._other.edges)


def argument_overlap(one: Trajectory, other: Trajectory) -> float:
    """What both pass to their tools, as a share of what either does."""
    first, second = _passed(one), _passed(other)
    return len(first & second) / len(first | second) if first | second else 1.0


def _passed(run: Trajectory) -> set[tuple[str, str, str]]:
    return {(call.name, name, dumps(value)) for call in run for name, value in call.arguments.items()}


def _names(run: Trajectory) -> list[str]:
    return [call.name for call in run]


def _told(run: Trajectory) -> str:
    calls = [" ".join([call.name.replace("_", " "), *map(str, call.arguments.values())]) for call in run]
    return "; ".join(calls) or "nothing"
