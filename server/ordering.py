"""What a distillation is asked to do: by a request, by the night, or again for one that was taken back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from distill.suites import Suite
from memory.types import Json
from server.distilling import DistillOrder
from server.suites import Declared

if TYPE_CHECKING:  # imports what adapters are made of
    from distill.manifest import AdapterManifest

Drawn = tuple[Suite, tuple[int, ...]]
"""A suite and the seeds that draw its tasks."""


def suites_for(
    declared: Declared, namespace: str, asked: Iterable[Drawn] = ()
) -> tuple[dict[str, Json], ...]:
    """The declared suites of a namespace, whoever asks, and then those asked for besides."""
    found = declared.of(namespace)
    always = [] if found is None else [(suite, found.seeds) for suite in found.suites]
    return tuple({**asdict(suite), "seeds": list(seeds)} for suite, seeds in (*always, *asked))


def again(declared: Declared, namespace: str, manifest: AdapterManifest, *, proposer: str) -> DistillOrder:
    """The same recipe into the same base, judged on the same suites, over the memory that is left."""
    scores = manifest.scores
    return DistillOrder(
        recipe=manifest.recipe,
        base=manifest.base,
        suites=suites_for(declared, namespace, [(one.suite, one.seeds) for one in scores]),
        seed=manifest.seed,
        seeds=scores[0].seeds if scores else (0,),
        train=dict(manifest.settings),
        promote=True,
        proposer=proposer,
        rebuilds=manifest.id,
    )
