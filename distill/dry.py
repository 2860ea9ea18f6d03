"""A dry run: what a recipe would make of a memory, and why, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from distill.types import Dataset
from memory.types import Json


def dry_json(stages: Sequence[Dataset]) -> dict[str, Json]:
    """What would be kept, masked and rejected, and why, in any stage; nothing was trained.

    What the last stage leaves out and an earlier one learns from is not rejected.
    """
    learned: list[Json] = [*sorted({id_ for dataset in stages for id_ in dataset.episodes})]
    rejected = [one for one in stages[-1].rejected if one.episode not in learned]
    reasons = Counter(one.reason for one in rejected)
    rows: list[Json] = []
    masked: Counter[str] = Counter()
    for stage, row in ((dataset.recipe, row) for dataset in stages for row in dataset.rows):
        why: Counter[str] = Counter(
            "a step that went wrong" if message.ok is False else "given no credit"
            for message in row.messages
            if message.role == "assistant" and not message.weight
        )
        masked += why
        rows.append(
            {
                "stage": stage,
                "episode": row.episode,
                "stream": row.stream,
                "trained": sum(bool(message.weight) for message in row.messages),
                "masked": dict(why),
                "context": sum(message.role != "assistant" for message in row.messages),
            }
        )
    return {
        "dry_run": True,
        "kept": {"rows": rows, "episodes": learned, "hash": stages[-1].hash},
        "masked": dict(masked),
        "rejected": {
            "reasons": dict(reasons.most_common()),
            "episodes": [{"episode": one.episode, "reason": one.reason} for one in rejected],
        },
    }
