"""What the bundled model can do before: read what memory says, at sites that no pool is of."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import cache

from agent.models.local.model import LocalModel
from agent.types import Model
from distill.pretrain import replay
from distill.pretrain.measure import ARMS, episodes
from distill.types import Row
from notebooks.bench_distill.plan import TINY, WORLD

READING = ARMS[4]
"""Rules and four cases, one of which is relevant."""


def remembered(model: Model, n: int) -> dict[str, float]:
    """Success at so many held-out sites with memory in the prompt."""
    return asyncio.run(episodes(model, WORLD, READING, n))


@cache
def replayed(n: int) -> tuple[Row, ...]:
    """So many episodes of the bundled model itself with memory in its prompt, whatever came of them."""
    with closing(LocalModel.load(TINY, name="tiny")) as model:
        told = asyncio.run(replay.replayed(model, n, (READING,)))
    return tuple(Row("", messages, tuple(range(len(messages)))) for messages in told)
