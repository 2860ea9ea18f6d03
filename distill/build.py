"""Recipe and bundle to dataset: a pure function, the same to the byte whatever the order of episodes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agent.types import ToolSpec
from agent.worlds.catalogue import catalogue
from distill.bundle import Admission, Bundle, admit
from distill.dataset import row_key, to_line
from distill.recipes import check
from distill.shapes.masks import trajectory
from distill.types import Dataset, Episodes, Objective, Recipe, Rejected, Row, Shape
from memory.errors import BadInput, DistillError
from memory.types import Episode, Kind

_BESIDE: frozenset[Kind | None] = frozenset({"plan", "reflect", "critique", "observe"})
"""Kinds of what is not said in a turn of the model."""


def build(
    recipe: Recipe,
    bundle: Bundle,
    seed: int,
    admission: Admission | None = None,
    general: Sequence[Row] = (),
) -> Dataset:
    """Rows of every admitted and selected episode, and of `general` as many as the recipe mixes in.

    Credit is given among all that were admitted, so that failures count as such. Raises DistillError when no
    row is left, or the recipe asks for general rows and there are none.
    """
    check(recipe)
    admitted, refused = admit(bundle, admission or Admission())
    selected = sorted(recipe.select(admitted), key=lambda episode: episode.id)
    credit = recipe.signal(admitted)
    taken = tuple(trajectory(episode, credit[episode.id]) for episode in selected)
    lived = {episode.id: episode for episode in admitted}
    main = _shaped(recipe.shape, taken, lived, "main", recipe.objective)
    mixed = _mixed_in(recipe, taken, lived, general, len(main), seed)
    rows = _unique(sorted((*main, *mixed), key=row_key))
    rejected = sorted((*refused, *_left_out(admitted, taken, main)), key=lambda r: (r.episode, r.reason))
    if not rows:
        reasons = sorted({r.reason for r in rejected})
        raise DistillError(f"recipe {recipe.name!r} finds nothing to learn from: {'; '.join(reasons[:3])}")
    hashed = _hash(recipe, seed, rows)
    return Dataset(recipe.name, seed, bundle.namespace, rows, tuple(rejected), hashed, recipe.objective)


def _shaped(
    shape: Shape, taken: Sequence[Row], lived: Episodes, stream: str, objective: Objective
) -> tuple[Row, ...]:
    return tuple(
        replace(kept, stream=stream, tools=kept.tools or _tools(kept, lived))
        for row in shape(taken, lived)
        if not (kept := _weighted(row, objective)).is_empty
    )


def _tools(row: Row, lived: Episodes) -> tuple[ToolSpec, ...]:
    """What the model is told of: nothing where it is asked beside its turns, or is to be the world."""
    if all(not one.tool_calls and one.kind in _BESIDE for one in row.messages if one.weight):
        return ()
    episode = lived[row.episode]
    return episode.tools or tools_of(episode.world)


def _weighted(row: Row, objective: Objective) -> Row:
    """Nobody but the assistant trains, and likelihood is not unlearned: what is below nothing is context."""
    floor = 0.0 if objective == "nll" else -math.inf
    messages = (
        replace(m, weight=max(floor, m.weight or 0.0) if m.role == "assistant" else 0.0) for m in row.messages
    )
    return replace(row, messages=tuple(messages))


def _left_out(admitted: Sequence[Episode], taken: Sequence[Row], rows: Sequence[Row]) -> Iterable[Rejected]:
    chosen, used = {row.episode for row in taken}, {id_ for row in rows for id_ in row.episodes}
    for episode in admitted:
        if episode.id in used:
            continue
        if episode.id in chosen:
            yield Rejected(episode.id, "nothing of it trains: every act was refused, or no row is made of it")
        else:
            yield Rejected(episode.id, "the recipe does not select it")


def tools_of(world: str) -> tuple[ToolSpec, ...]:
    """The tools of a bundled world, for episodes that do not say what they were shown."""
    try:
        return catalogue(world).make().tools()
    except BadInput:
        return ()


def _mixed_in(
    recipe: Recipe, taken: Sequence[Row], lived: Episodes, general: Sequence[Row], n_main: int, seed: int
) -> Iterable[Row]:
    """From each further stream as many rows as its share asks, chosen by a hash of seed and row."""
    mixture = [
        stream for stream in recipe.mixture if general or not (stream.of == "general" and stream.if_any)
    ]
    # What one goes without is made up for by all the others.
    main_share = 1 - sum(stream.share for stream in recipe.mixture)
    for stream in mixture:
        if stream.of == "general":
            rows = tuple(replace(row, stream=stream.name) for row in stream.shape(general, lived))
        else:
            rows = _shaped(stream.shape, taken, lived, stream.name, recipe.objective)
        wanted = round(n_main * stream.share / main_share)
        if wanted and not rows:
            raise DistillError(f"recipe {recipe.name!r} mixes in {stream.name!r}, of which there are no rows")
        yield from sorted(rows, key=lambda row: _lot(row, seed))[:wanted]


def _lot(row: Row, seed: int) -> str:
    return hashlib.sha256(f"{seed} {row_key(row)}".encode()).hexdigest()


def _unique(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The first of rows that read the same: repeating an episode must not raise its weight."""
    seen: dict[tuple[tuple[str, str, float | None], ...], Row] = {}
    for row in rows:
        worse = () if row.rejected is None else (row.rejected,)
        seen.setdefault(tuple((m.role, m.text, m.weight) for m in (*row.messages, *worse)), row)
    return tuple(seen.values())


def _hash(recipe: Recipe, seed: int, rows: Sequence[Row]) -> str:
    digest = hashlib.sha256(f"{recipe!r} {seed}\n".encode())
    for row in rows:
        digest.update(to_line(row).encode())
    return digest.hexdigest()
