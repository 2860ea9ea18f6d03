"""What the truth adds to those candidates that may be shown: their vectors, and what came of them before."""

from __future__ import annotations

from collections.abc import Sequence

from memory.entry import Vector, found_as
from memory.recall.choosing import Candidate, RecallSettings, candidate
from memory.recall.rank import Sifted
from memory.recall.valuing import policy_of, valued
from memory.store.lived import Lived
from memory.store.reader import Reader
from memory.types import Query
from memory.value.reads import NEEDS_MEMOS, Memo


def with_vectors(candidates: Sequence[Candidate], reader: Reader, encoder: str) -> list[Candidate]:
    """The same with their stored vectors: their nearness to each other decides."""
    wanted: dict[str, dict[str, str]] = {}
    for one in candidates:
        if one.found.dense is not None and one.found.vector is None:
            wanted.setdefault(one.item.namespace, {})[one.item.id] = one.item.text
    vectors: dict[str, Vector] = {}
    for namespace, texts in wanted.items():
        vectors |= reader.vectors_found(namespace, encoder, texts)
    return [one if one.item.id not in vectors else _seen_as(one, vectors[one.item.id]) for one in candidates]


def _seen_as(one: Candidate, vector: Vector) -> Candidate:
    found = one.found
    seen = found_as(found.id, found.dense, found.lexical, found.coverage, vector, found.key)
    return candidate(seen, one.item, one.score)


def with_values(
    sifted: Sifted,
    n: int,
    reader: Reader,
    *,
    query: Query,
    question: Vector,
    encoder: str,
    settings: RecallSettings,
) -> Sifted:
    """With what the policy makes of the first `n`, where it looks at single episodes."""
    policy = policy_of(query, settings)
    if policy not in NEEDS_MEMOS:
        return sifted
    ids = [one.item.id for one in sifted.relevant[:n]]
    kept = Lived(reader.connection).memos(query.namespace, encoder, ids, settings.read.memos)
    memos = {
        id_: [
            Memo(float(question @ state), one.reward, one.centre, one.shown, one.propensity)
            for one, state in entries
        ]
        for id_, entries in kept.items()
    }
    pool = [one.item for one in (*sifted.relevant, *sifted.low, *sifted.barred)]
    first = valued(sifted.relevant[:n], pool, memos, policy=policy, question=question, settings=settings)
    return Sifted([*first, *sifted.relevant[n:]], sifted.low, sifted.barred)


def values_of(
    sifted: Sifted, n: int, query: Query, settings: RecallSettings
) -> tuple[tuple[str, float], ...]:
    """What a record must keep of that."""
    if policy_of(query, settings) not in NEEDS_MEMOS:
        return ()
    return tuple((one.item.id, one.score.utility) for one in sifted.relevant[:n])
