"""Credit for looking back: did a reflection help, was a verdict on a search true?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.learning.midway import REFLECTION
from agent.planners.goals import GOALS
from distill.signals.judged import steps_judged
from distill.signals.stored import Credit, is_own, reward_of
from memory.types import Episode, Message

_SEARCH = re.compile(r"Goal: (?P<goal>.*)\nSearch: ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ReflectionEffect:
    """What a reflection changed: wrong to right is worth most, right to wrong little, wrong to wrong nothing.

    The first answer is what was done before the first reflection or critique, wrong where a step of it was;
    the second is how the episode ended. What came before a reflection is credited only if it was right.
    Reflections are worth up to a tenth more the nearer the whole is to twice the length of the first answer.

    Source: SRPO (arXiv 2506.01713), the values of its code; its length term exp(-((L - 2 l) / (l / 2))^2) is
    a factor here, so that a reflection that changed nothing is worth nothing however long it is.
    """

    mended: float = 1.0
    kept: float = 0.75
    alone: float = 0.5
    """Right without a reflection."""
    spoilt: float = 0.25
    length: float = 0.1

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On the model's messages."""
        return {one.id: tuple(self._of(one)) for one in episodes}

    def _of(self, episode: Episode) -> Iterator[float]:
        first = next((n for n, one in enumerate(episode.messages) if is_reflection(one)), None)
        was_right = first is None or not _has_error(episode, first)
        worth = self._worth(was_right, episode.outcome == "success", is_reflected=first is not None)
        factor = 1.0 if first is None else 1.0 + self.length * _bell(episode.messages, first)
        for place, message in enumerate(episode.messages):
            if not is_own(message) or (first is not None and place < first and not was_right):
                yield 0.0
            else:
                yield worth * factor if is_reflection(message) else worth

    def _worth(self, was_right: bool, is_right: bool, *, is_reflected: bool) -> float:
        if not is_reflected:
            return self.alone if is_right else 0.0
        if is_right:
            return self.kept if was_right else self.mended
        return self.spoilt if was_right else 0.0


@dataclass(frozen=True, slots=True)
class ReflectAgreement:
    """A verdict on a search is worth 1 where it turned out true, a search where it led to what was sought.

    What planner `goals` leaves is read: in a success "met" was true, and "not met" was where the same goal
    was met later; in a failure nobody knows, which is worth 0. Turns beside the search have the reward.

    Source: RE-Searcher (arXiv 2509.26048), the reflection reward. Deviation: the label is the episode's own
    end in the place of a judge's.
    """

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On goals, verdicts and turns."""
        return {one.id: self._of(one) for one in episodes}

    def _of(self, episode: Episode) -> tuple[float, ...]:
        worth = max(0.0, reward_of(episode))
        credit = [worth if one.role == "assistant" and is_own(one) else 0.0 for one in episode.messages]
        if episode.outcome != "success":
            return tuple(credit)
        later: set[str] = set()
        for search, verdict, goal, is_met in reversed(list(_hunts(episode.messages))):
            later |= {goal} if is_met else set()
            for place in range(search, verdict):
                credit[place] = float(is_met and is_own(episode.messages[place]))
            credit[verdict] = float(goal in later)
        return tuple(credit)


def is_reflection(message: Message) -> bool:
    """Does the run look back here? What it learned of itself in the middle counts too."""
    return message.kind in ("reflect", "critique") or message.agent == REFLECTION


def _has_error(episode: Episode, end: int) -> bool:
    return any(one.verdict == "error" and one.message < end for one in steps_judged(episode))


def _bell(messages: Sequence[Message], first: int) -> float:
    """How near the words of the whole are to twice those of the first answer, 0..1."""
    lengths = [len(one.text.split()) if is_own(one) else 0 for one in messages]
    before = sum(lengths[:first])
    return math.exp(-(((sum(lengths) - 2 * before) / (before / 2)) ** 2)) if before else 0.0


def _hunts(messages: Sequence[Message]) -> Iterator[tuple[int, int, str, bool]]:
    """Searches with their verdicts: both places, the goal, and whether it was called met."""
    search: tuple[int, str] | None = None
    for place, message in enumerate(messages):
        if message.agent != GOALS:
            continue
        if found := _SEARCH.match(message.text):
            search = place, found["goal"]
        elif search is not None and message.kind == "reflect" and message.text.startswith("Goal "):
            yield search[0], place, search[1], message.text.startswith("Goal met: ")
            search = None
