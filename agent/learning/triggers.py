"""When a run is to look back at itself: every so many steps, when it stalls, when something goes wrong. Pure.

Source: the self-sustaining mode of OmniReflect (arXiv 2506.17449). What counts as a stall or an error is not
published; these signs are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from agent.builders.steps import Step

Trigger = Literal["stall", "error", "every", "end"]
STALL = 3
"""Times of the same action with the same answer, whatever lay between, that are no progress."""


def due(taken: Sequence[Step], looked: int, every: int, *, is_over: bool = False) -> Trigger | None:
    """Why to look back now, the most telling reason first; None where there is none.

    `looked` of the steps were there at the last look, `every` is at least 1. An error counts the first time:
    repeated, it is a stall.
    """
    if is_over:
        return "end"
    times: Counter[tuple[str, str]] = Counter()
    is_stalled = has_failed = False
    for place, step in enumerate(taken):
        times[step.command, step.answer] += 1
        if place >= looked:
            is_stalled |= times[step.command, step.answer] % STALL == 0
            has_failed |= step.ok is False and times[step.command, step.answer] == 1
    if is_stalled:
        return "stall"
    if has_failed:
        return "error"
    return "every" if len(taken) // every > looked // every else None
