"""Procedures out of cases: where several attempts went well in one way, it is written down. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from memory.consolidation import patterns
from memory.consolidation.duplicates import standing
from memory.consolidation.proposals import ConsolidationSettings, Proposal, id_of
from memory.entry import Vector, cosine, digest_of, reach_of
from memory.types import CaseBody, Draft, Item, Lineage, ProcedureBody

N_LEADERS = 16
"""Nearest clusters whose plans a case is compared with."""


def inductions(
    items: Sequence[Item],
    living: Sequence[Item],
    vectors: Mapping[str, Vector],
    settings: ConsolidationSettings,
) -> Iterator[Proposal]:
    """A procedure on trial for every cluster of cases that none was drawn from yet."""
    known = _covered(items, living)
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in living:
        if _may_teach(item) and digest_of(item.text) in vectors:
            reach = reach_of(item.scope, item.family, item.audience)
            groups.setdefault((item.scope, reach or ""), []).append(item)
    for key in sorted(groups):
        for cases in _clusters(sorted(groups[key], key=standing), vectors, settings):
            proposal = None if len(cases) < settings.min_cases else _induce(cases, settings)
            if proposal is not None and known.isdisjoint(proposal.items):
                yield proposal


def _may_teach(item: Item) -> bool:
    """Successful cases with a plan; nothing is drawn from what came from outside."""
    body = item.body
    return isinstance(body, CaseBody) and item.outcome == "success" and item.trust > 0 and len(body.plan) > 1


def _covered(items: Sequence[Item], living: Sequence[Item]) -> frozenset[str]:
    """Cases that a procedure was drawn from once, retired ones included, and what took their place."""
    known = {id_ for item in items if item.kind == "procedure" for id_ in item.lineage.items}
    for item in [*items, *living]:
        if item.kind == "case" and not known.isdisjoint(item.lineage.items):
            known.add(item.id)
    return frozenset(known)


def _clusters(
    cases: Sequence[Item], vectors: Mapping[str, Vector], settings: ConsolidationSettings
) -> list[list[Item]]:
    """Cases of one sort of task whose plans follow one pattern, around the first of each."""
    matrix = np.stack([vectors[digest_of(case.text)] for case in cases])  # (n, d)
    forms = [[patterns.skeleton(step) for step in _plan(case)] for case in cases]
    leaders: list[int] = []
    members: dict[int, list[Item]] = {}
    for place, case in enumerate(cases):
        cosines = matrix[leaders] @ matrix[place]  # (leaders,)
        nearest = [leaders[i] for i in np.argsort(-cosines, kind="stable")[:N_LEADERS]]
        for leader in nearest:
            if cosine(matrix[leader], matrix[place]) < settings.alike_cosine:
                continue
            if patterns.likeness(forms[leader], forms[place]) >= settings.alike_plan:
                members[leader].append(case)
                break
        else:
            leaders.append(place)
            members[place] = [case]
    return list(members.values())


def _plan(case: Item) -> tuple[str, ...]:
    assert isinstance(case.body, CaseBody)
    return case.body.plan


def _induce(cases: Sequence[Item], settings: ConsolidationSettings) -> Proposal | None:
    steps = patterns.common_steps([_plan(case) for case in cases])
    if len(steps) < settings.min_steps:
        return None
    first = cases[0]
    assert isinstance(first.body, CaseBody)
    evidence = dict.fromkeys(piece for case in cases for piece in case.lineage.evidence)
    task = " ".join(first.body.task.split())
    draft = Draft(
        "procedure",
        f"How to do tasks like: {task}\n" + "\n".join(steps),
        ProcedureBody(
            application=f"tasks like: {task}",
            operation=f"what {len(cases)} successful attempts did alike",
            preconditions=(),
            steps=steps,
        ),
        first.scope,
        first.family,
        status="trial",
        lineage=Lineage(tuple(evidence), tuple(case.id for case in cases)),
        audience=first.audience,
    )
    reason = f"{len(cases)} cases have {len(steps)} steps in common"
    versions = tuple(case.version for case in cases)
    made = id_of("induce", cases)
    return Proposal("induce", tuple(case.id for case in cases), versions, reason, draft, made)
