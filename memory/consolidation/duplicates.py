"""Near-duplicates: which items of a namespace say so nearly the same that one will do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from memory.consolidation.proposals import ConsolidationSettings, Proposal, id_of
from memory.entry import Vector, cosine, digest_of, reach_of
from memory.types import BODIES, CaseBody, Item, PrincipleBody
from memory.words import numbers, words
from memory.writing.admission import as_draft

MERGEABLE = frozenset({"case", "principle", "procedure", "tool_note", "safety", "profile"})
"""Kinds of prose; code, flows and policies are never taken for one another."""
BLOCK = 1024
"""Rows of one product of vectors."""


def merges(
    items: Sequence[Item], vectors: Mapping[str, Vector], settings: ConsolidationSettings
) -> Iterator[Proposal]:
    """One proposal for each item with the others that say nearly the same; pinned ones are left alone."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        if (
            item.kind in MERGEABLE
            and not item.pinned
            and item.valid_to is None
            and digest_of(item.text) in vectors
        ):
            groups.setdefault(_alike_key(item), []).append(item)
    for key in sorted(groups, key=repr):
        group = sorted(groups[key], key=standing)
        if len(group) > 1:
            for leader, others in _duplicates(group, vectors, settings):
                yield _merge(leader, others)


def _alike_key(item: Item) -> tuple[object, ...]:
    """What must be equal before two items may be one; trust too, or the less trusted would drag one down."""
    body = item.body
    tier = body.tier if isinstance(body, PrincipleBody) else ""
    reach = reach_of(item.scope, item.family, item.audience)
    said = tuple(sorted(numbers(item.text)))
    return (
        item.kind,
        item.scope,
        reach or "",
        item.family or "",
        str(item.outcome),
        item.status,
        item.trust,
        tier,
        said,
    )


def standing(item: Item) -> tuple[int, float, str]:
    """Whose words stand for the others': the most used, then the oldest."""
    return (-item.utility.n, item.created_at, item.id)


def _duplicates(
    group: Sequence[Item], vectors: Mapping[str, Vector], settings: ConsolidationSettings
) -> Iterator[tuple[Item, list[Item]]]:
    """Each item with the later ones that say nearly the same, none of them twice."""
    matrix = np.stack([vectors[digest_of(item.text)] for item in group])  # (n, d)
    taken = np.zeros(len(group), dtype=bool)
    for start in range(0, len(group), BLOCK):
        near = matrix[start : start + BLOCK] @ matrix.T >= settings.same_cosine - 1e-3  # (block, n)
        for row in np.flatnonzero(near.sum(axis=1) > 1):
            leader = start + int(row)
            if taken[leader]:
                continue
            places = [int(p) for p in np.flatnonzero(near[row] & ~taken) if p > leader]
            found = [
                p
                for p in places
                if _say_the_same(group[leader], group[p], matrix[leader], matrix[p], settings)
            ]
            taken[found] = True
            if found:
                yield group[leader], [group[p] for p in found]


def _say_the_same(
    one: Item, other: Item, left: Vector, right: Vector, settings: ConsolidationSettings
) -> bool:
    if cosine(left, right) < settings.same_cosine:
        return False
    mine, others = _said(one), _said(other)
    if numbers(mine) != numbers(others):
        return False
    a, b = set(words(mine)), set(words(others))
    return len(a & b) >= settings.same_words * len(a | b)


def _said(item: Item) -> str:
    """What a body says beside the text; of a success not the way it went, for any will do."""
    body = item.body
    if isinstance(body, PrincipleBody):
        return ""
    if isinstance(body, CaseBody):
        return f"{body.lesson} {body.cause or ''}"
    fields = (getattr(body, name) for name in BODIES[item.kind].__dataclass_fields__)
    return " ".join(" ".join(value) if isinstance(value, tuple) else str(value) for value in fields)


def _merge(leader: Item, others: Sequence[Item]) -> Proposal:
    parts = (leader, *others)
    body = leader.body
    if isinstance(body, PrincipleBody):
        bodies = [part.body for part in parts if isinstance(part.body, PrincipleBody)]
        support, violations = sum(b.support for b in bodies), sum(b.violations for b in bodies)
        body = replace(body, support=support, violations=violations)
    draft = replace(as_draft(leader), body=body, valid_from=min(part.valid_from for part in parts))
    return Proposal(
        "merge",
        tuple(part.id for part in parts),
        tuple(part.version for part in parts),
        f"{len(parts)} items of kind {leader.kind} say nearly the same",
        draft,
        id_of("merge", parts),
    )
