"""A dry run: what a recipe would make of a memory, and why, before anything is trained."""

from __future__ import annotations

from collections import Counter

from distill.types import Dataset
from memory.types import Json


def dry_json(dataset: Dataset) -> dict[str, Json]:
    """What would be kept, masked and rejected, and why; nothing was trained."""
    reasons = Counter(one.reason for one in dataset.rejected)
    rows: list[Json] = []
    masked: Counter[str] = Counter()
    for row in dataset.rows:
        why: Counter[str] = Counter(
            "a step that went wrong" if message.ok is False else "given no credit"
            for message in row.messages
            if message.role == "assistant" and not message.weight
        )
        masked += why
        rows.append(
            {
                "episode": row.episode,
                "stream": row.stream,
                "trained": sum(bool(message.weight) for message in row.messages),
                "masked": dict(why),
                "context": sum(message.role != "assistant" for message in row.messages),
            }
        )
    return {
        "dry_run": True,
        "kept": {"rows": rows, "episodes": list(dataset.episodes), "hash": dataset.hash},
        "masked": dict(masked),
        "rejected": {
            "reasons": dict(reasons.most_common()),
            "episodes": [{"episode": one.episode, "reason": one.reason} for one in dataset.rejected],
        },
    }
