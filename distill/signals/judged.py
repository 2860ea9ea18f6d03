"""Credit by what somebody said of single messages: verifiers, guards, judges, critics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.guards.safety import Safety as ByOutcome
from agent.types import Guard, GuardContext, Spent, Task
from distill.signals.stored import Credit, is_own, number, reward_of, spread
from memory.types import TRUST, Episode, StepVerdict
from memory.value.states import acted

Judge: TypeAlias = Callable[[Episode, Sequence[int]], float]
"""How good these messages of an episode are, 0..1."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """max(0, score x confidence) of each step, by the verdicts that are stored with the episode.

    The score of an error is -1, of anything else 1. Confidence is what the verdict says; where it says
    none, it is that of whoever gave it. Without verdicts the marks of the acts count as a miner's. What
    nobody judged has 0.

    Source: Agent0-VL (arXiv 2511.19900), the verifier's part of the step reward. Deviation: scores are signs.
    """

    world: float = 1.0
    model: float = 0.7
    miner: float = 0.9

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On the judged turns."""
        return {one.id: self._of(one) for one in episodes}

    def _of(self, episode: Episode) -> tuple[float, ...]:
        sure = {"world": self.world, "model": self.model, "miner": self.miner}
        credit = [0.0] * len(episode.messages)
        for one in steps_judged(episode):
            if 0 <= one.message < len(credit) and is_own(episode.messages[one.message]):
                known = sure[one.by] if one.confidence is None else one.confidence
                credit[one.message] = 0.0 if one.verdict == "error" else known
        return tuple(credit)


@dataclass(frozen=True, slots=True)
class Safety:
    """1 for turns whose every call a guard allows, 0 for the others; words alone do no harm.

    The guard is asked again about what was done, so that episodes of a time without it are judged too. Of
    what is not stored it sees the defaults: the trust of a user's word, one step spent for each message.

    Source: AutoSafe (arXiv 2505.17735), its evaluator's 0/1 for each action.
    """

    guard: Guard = field(default_factory=ByOutcome)

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On the model's messages."""
        return {
            one.id: tuple(
                float(is_own(message) and self._is_safe(one, place))
                for place, message in enumerate(one.messages)
            )
            for one in episodes
        }

    def _is_safe(self, episode: Episode, place: int) -> bool:
        task = Task(episode.task_id, episode.task, episode.world, episode.family)
        # As the dispatcher has it: the guard sees the turn that makes the call.
        seen = episode.messages[: place + 1]
        context = GuardContext(seen, Spent(place), TRUST["user"], task)
        calls = episode.messages[place].tool_calls
        return all(self.guard.check(call, context).action == "allow" for call in calls)


@dataclass(frozen=True, slots=True)
class Quality:
    """What a judge wrote into the episode's feedback under a name, 0..1.

    Nothing of the server's own writes one: it comes by feedback on the task. `otherwise` is for episodes that
    nobody judged.

    Source: the proposer's quality reward of MAE (arXiv 2510.23595); plan quality of PilotRL (arXiv
    2508.00344).
    """

    name: str = "quality"
    otherwise: float = 0.0

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """The same on all the model's messages of an episode."""
        return {one.id: spread(one, self._of(one)) for one in episodes}

    def _of(self, episode: Episode) -> float:
        told = number(episode.feedback.get(self.name))
        return self.otherwise if told is None else min(1.0, max(0.0, told))


@dataclass(frozen=True, slots=True)
class ByVerdicts:
    """The share of judged turns that are no errors; where none was judged, the episode's reward."""

    def __call__(self, episode: Episode, places: Sequence[int]) -> float:
        """Of the turns at these places."""
        said = [one for one in steps_judged(episode) if one.message in places]
        if not said:
            return min(1.0, max(0.0, reward_of(episode)))
        return sum(one.verdict != "error" for one in said) / len(said)


@dataclass(frozen=True, slots=True)
class ZeroSum:
    """Who criticises earns what the criticised lose: s for a solution, 1 - s for its critique, less the mean.

    A solution are the turns between two critiques (`kind="critique"`: a verifier's word on a part, or other
    agents' in what was imported); what nobody criticised has 0. The judge says s.

    Source: CoMAS (arXiv 2510.08529): the scorer's (tau - 1) / 2 and 1 minus it, batch-normalised later.
    Deviation: a model's score is not stored; verdicts and outcome stand for it.
    """

    judge: Judge = field(default_factory=ByVerdicts)

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On criticised turns and on critiques, of either sign."""
        said = {one.id: self._scores(one) for one in sorted(episodes, key=lambda one: one.id)}
        scores = [score for found in said.values() for score in found.values()]
        mean = math.fsum(scores) / max(1, len(scores))
        return {
            one.id: tuple(
                said[one.id][place] - mean if place in said[one.id] else 0.0
                for place in range(len(one.messages))
            )
            for one in episodes
        }

    def _scores(self, episode: Episode) -> dict[int, float]:
        found: dict[int, float] = {}
        solution: list[int] = []
        for place, message in enumerate(episode.messages):
            if message.kind == "critique" and is_own(message):
                score = self.judge(episode, solution) if solution else 0.0
                found |= {place: 1.0 - score, **dict.fromkeys(solution, score)} if solution else {}
                solution = []
            elif message.role == "assistant" and is_own(message):
                solution.append(place)
        return found


def steps_judged(episode: Episode) -> tuple[StepVerdict, ...]:
    """The verdicts on an episode's steps; without any what its acts are marked with."""
    if episode.verdicts:
        return episode.verdicts
    marks = {one.message: one.ok for one in acted(episode.task, episode.messages) if one.ok is not None}
    return tuple(StepVerdict(place, "ok" if ok else "error") for place, ok in marks.items())
