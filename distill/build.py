"""Recipe and bundle to dataset: a pure function, the same to the byte whatever the order of episodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.types import ToolSpec
from agent.worlds.catalogue import catalogue
from distill.bundle import Admission, Bundle, admit
from distill.dataset import row_key, to_line
from distill.recipes import check
from distill.shape import trajectory
from distill.types import Dataset, Recipe, Rejected, Row, Shape
from memory.errors import BadInput, DistillError
from memory.types import Episode


def build(recipe: Recipe, bundle: Bundle, seed: int, admission: Admission | None = None) -> Dataset:
    """Rows of every admitted and selected episode. Raises DistillError when none is left."""
    check(recipe)
    admitted, refused = admit(bundle, admission or Admission())
    selected = sorted(recipe.select(admitted), key=lambda episode: episode.id)
    chosen = {episode.id for episode in selected}
    unselected = (Rejected(e.id, "the recipe does not select it") for e in admitted if e.id not in chosen)
    main, emptied = _shaped(recipe, selected, recipe.shape, "main")
    rows = _unique(sorted([*main, *_mixed_in(recipe, selected, len(main), seed)], key=row_key))
    rejected = tuple(sorted((*refused, *unselected, *emptied), key=lambda r: (r.episode, r.reason)))
    if not rows:
        reasons = sorted({r.reason for r in rejected})
        raise DistillError(f"recipe {recipe.name!r} finds nothing to learn from: {'; '.join(reasons[:3])}")
    return Dataset(recipe.name, seed, bundle.namespace, rows, rejected, _hash(recipe, seed, rows))


def _shaped(
    recipe: Recipe, episodes: Sequence[Episode], shape: Shape, stream: str
) -> tuple[list[Row], list[Rejected]]:
    credit = recipe.signal(episodes)
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for episode in episodes:
        base = trajectory(episode, credit[episode.id])
        kept = [row for row in shape(base) if not row.is_empty]
        rows += [replace(row, stream=stream, tools=tools_of(episode.world)) for row in kept]
        if not kept:
            rejected.append(Rejected(episode.id, "no message of it has weight: every act was refused"))
    return rows, rejected


def tools_of(world: str) -> tuple[ToolSpec, ...]:
    """The tools of a bundled world; episodes do not record what other worlds offered."""
    try:
        return catalogue(world).make().tools()
    except BadInput:
        return ()


def _mixed_in(recipe: Recipe, episodes: Sequence[Episode], n_main: int, seed: int) -> Iterable[Row]:
    """From each further stream as many rows as its share asks, chosen by a hash of seed and row."""
    main_share = 1 - sum(stream.share for stream in recipe.mixture)
    for stream in recipe.mixture:
        rows, _ = _shaped(recipe, episodes, stream.shape, stream.name)
        wanted = round(n_main * stream.share / main_share)
        yield from sorted(rows, key=lambda row: _lot(row, seed))[:wanted]


def _lot(row: Row, seed: int) -> str:
    return hashlib.sha256(f"{seed} {row_key(row)}".encode()).hexdigest()


def _unique(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The first of rows that read the same: repeating an episode must not raise its weight."""
    seen: dict[tuple[tuple[str, str, float | None], ...], Row] = {}
    for row in rows:
        seen.setdefault(tuple((m.role, m.text, m.weight) for m in row.messages), row)
    return tuple(seen.values())


def _hash(recipe: Recipe, seed: int, rows: Sequence[Row]) -> str:
    digest = hashlib.sha256(f"{recipe!r} {seed}\n".encode())
    for row in rows:
        digest.update(to_line(row).encode())
    return digest.hexdigest()
