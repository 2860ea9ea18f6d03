"""What an action costs from here, in steps to the end, by episodes that came to a good one. Pure.

Source: Li et al. 2025 (LIET), arXiv 2506.07232: a local utility from what is seen and what is to be done to
its cost in steps. Deviations: a kernel mean over remembered steps, nothing is fitted; a step counts by the
best way on from where it led that anybody took, for explorers go round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from memory.entry import Matrix
from memory.types import Episode
from memory.value.plans import cost_to_go
from memory.value.reads import ReadSettings
from memory.value.states import action_of

Encode = Callable[[Sequence[str]], Matrix]
"""Texts as unit rows (n, d)."""
COSTS = ReadSettings(width=0.1, prior_n=0.1)
"""Steps that were taken outweigh the mean of all soon."""


@dataclass(frozen=True, slots=True)
class Step:
    """One remembered step from which an end is known."""

    seen: str
    """What its agent saw before it."""
    action: str
    left: int
    """The fewest steps to a good end, this one included."""

    @property
    def text(self) -> str:
        """What it is found by."""
        return f"{self.seen} {self.action}"


def explored(episodes: Sequence[Episode]) -> tuple[Step, ...]:
    """Every step that leads to a good end over steps that somebody took; refused ones teach nothing."""
    walked = [step for episode in episodes for step in _walked(episode)]
    before: dict[str | None, set[str]] = {}
    for seen, _, after in walked:
        before.setdefault(after, set()).add(seen)
    left: dict[str | None, int] = {None: 0}
    queue: deque[str | None] = deque([None])
    while queue:
        after = queue.popleft()
        for seen in sorted(before.get(after, set()) - left.keys()):
            left[seen] = left[after] + 1
            queue.append(seen)
    known = dict.fromkeys((seen, action, left[after] + 1) for seen, action, after in walked if after in left)
    return tuple(Step(*one) for one in known)


def _walked(episode: Episode) -> Iterator[tuple[str, str, str | None]]:
    """What was seen, what was done, and what was seen then; None is a good end."""
    answers = {one.tool_call_id: one for one in episode.messages if one.role == "tool"}
    seen = next((one.text for one in episode.messages if one.kind == "task"), "")
    calls = [call for one in episode.messages for call in one.tool_calls]
    for place, call in enumerate(calls, 1):
        answer = answers.get(call.id)
        if answer is None or answer.ok is False:
            continue
        ended = place == len(calls) and episode.outcome == "success"
        yield seen, action_of(call), None if ended else answer.text
        seen = answer.text


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Remembered steps, to be asked about any other."""

    steps: tuple[Step, ...]
    vectors: Matrix
    """(n, d) float32, unit rows."""
    encode: Encode
    settings: ReadSettings = COSTS

    @classmethod
    def of(cls, episodes: Sequence[Episode], encode: Encode) -> Costs:
        """Those of some episodes."""
        steps = explored(episodes)
        return cls(steps, encode([step.text for step in steps]), encode)

    def cost(self, seen: str, action: str) -> float:
        """Steps to the end by this action; the mean of all where nothing is near."""
        left = [step.left for step in self.steps]
        near = np.asarray(self.vectors @ self.encode([f"{seen} {action}"])[0], dtype=np.float64).tolist()
        return cost_to_go(near, left, float(np.mean(left)), self.settings)

    def known(self, seen: str, most: int) -> tuple[tuple[str, float], ...]:
        """Actions that were taken where the same was seen, the cheapest first, with their costs."""
        actions = sorted({step.action for step in self.steps if step.seen == seen})
        priced = ((action, self.cost(seen, action)) for action in actions)
        return tuple(sorted(priced, key=lambda one: (one[1], one[0]))[:most])
