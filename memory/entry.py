"""What the derived index knows of an item: enough to find it, never enough to show it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from memory.nouns.making import maker
from memory.types import Item, ItemKind, Scope

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]

RECALLABLE = frozenset({"trial", "active"})
"""Statuses that recall may find; drafts, quarantined and retired items stay in the store alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One findable item; `vector` (d,) is None until it is encoded under the generation asked for."""

    id: str
    kind: ItemKind
    text: str
    reach: str | None
    """The one family, run or team it may be recalled in, see `reach_of`; None is any."""
    digest: str
    vector: Vector | None
    key: int = 0
    """Its row in the database, for good; 0 where nobody said."""


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate of a search, with what each ranker saw in it."""

    id: str
    dense: float | None
    """Cosine, -1..1, from a large index one of quantised vectors; None without a vector of the generation."""
    lexical: float | None
    """BM25; None without a common word."""
    coverage: float
    """Share of the question's words found in it, weighted by how rare they are, 0..1."""
    vector: Vector | None
    """(d,) as it is stored; None also where the index does not hold it."""
    key: int = 0
    """Its row in the database; 0 where the index does not know it."""


found_as = maker(Found)
"""The same, for searches."""


def reach_of(scope: Scope, family: str | None, audience: str | None) -> str | None:
    """Where an item may be recalled: `family:…`, `run:…`, `team:…`, or None for anywhere in its namespace.

    A narrow scope without its name matches nothing, so it fails closed.

    >>> reach_of("family", "maple 27", None)
    'family:maple 27'
    """
    if scope in {"namespace", "global"}:
        return None
    name = family if scope == "family" else audience
    return f"{scope}:{name}" if name is not None else ""


def entry_of(item: Item, vector: Vector | None) -> Entry:
    """What the index keeps of an item."""
    reach = reach_of(item.scope, item.family, item.audience)
    return Entry(item.id, item.kind, item.text, reach, digest_of(item.text), vector)


def digest_of(text: str) -> str:
    """Name of a text's vectors."""
    return sha256(text.encode()).hexdigest()


def cosines(matrix: Matrix, vector: Vector) -> NDArray[np.float64]:
    """Cosines (n,) of unit vectors (n, d) with one (d,), in float64.

    Each row is added up by itself in one fixed order: its company does not matter, as in a matrix product.
    """
    products: NDArray[np.float64] = matrix.astype(np.float64) * vector.astype(np.float64)  # (n, d)
    sums: NDArray[np.float64] = np.add.reduce(products, axis=1)
    return sums


def cosine(one: Vector, other: Vector) -> float:
    """Cosine of two unit vectors (d,)."""
    return float(cosines(one.reshape(1, -1), other)[0])


def from_blob(data: bytes) -> Vector:
    """The stored form of a vector, little-endian float32."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32)


def to_blob(vector: Vector) -> bytes:
    """The other way."""
    return vector.astype("<f4").tobytes()
