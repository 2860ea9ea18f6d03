"""Credit for form: is what was written well formed, is what was done what was planned?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from agent.automaton.dfa import Automaton
from agent.automaton.formats import GOALS, searching_score, tags
from agent.automaton.syntax import specification
from agent.planners.plan import PLANNER
from distill.signals.stored import Credit, is_own, spread
from distill.value import turns_of
from memory.encoder import open_encoder
from memory.types import Episode, Message

Grammar = Literal["searching", "goals", "question", "calls"]
_LINE = re.compile(r"^\s*\d+\.\s+(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Format:
    """How well the model's words keep a format, 0..1.

    `searching`: SSRL's tags, graded as its code does (arXiv 2508.10874); `goals`: RE-Searcher's (arXiv
    2509.26048); `question`: MAE's proposer (arXiv 2510.23595): 1 for one <question>, one half for several;
    these are of all that the model wrote in the episode. `calls` is by turn: 1 for one that calls or answers,
    0 for one without an action in it, to which the loop says so.
    """

    grammar: Grammar = "calls"

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On the model's messages."""
        return {one.id: self._of(one) for one in episodes}

    def _of(self, episode: Episode) -> tuple[float, ...]:
        if self.grammar == "calls":
            return tuple(float(is_own(one) and _acts(one)) for one in episode.messages)
        own = (one for one in episode.messages if one.role == "assistant" and is_own(one))
        return spread(episode, _score(self.grammar, "\n".join(one.text for one in own)))


@dataclass(frozen=True, slots=True)
class Adherence:
    """How near each act is to a step of the newest plan, and how many of a plan's steps were acted on.

    Cosines, at least 0; acts without a plan before them have 0. Plans are those of planner `plan`: a plan is
    worth the mean over its steps of the nearest act before the next plan.

    Source: stage 1 of PilotRL (arXiv 2508.00344). Deviation: vectors compare act and step, no judge; the
    order of the steps does not count.
    """

    encoder: str = "hash-256"
    """By name, as in `memory.encoder.open_encoder`."""
    otherwise: float = 0.0
    """Of the turns of an episode without a plan."""

    def __call__(self, episodes: Sequence[Episode]) -> Credit:
        """On turns and on plans. Raises EncoderError."""
        return {one.id: self._of(one) for one in episodes}

    def _of(self, episode: Episode) -> tuple[float, ...]:
        if not any(map(plan_steps, episode.messages)):
            return spread(episode, self.otherwise)
        credit = [0.0] * len(episode.messages)
        for plan, steps, acts in _planned(episode):
            if not acts:
                continue
            vectors = open_encoder(self.encoder).encode([*steps, *acts.values()])
            near = np.maximum(vectors[: len(steps)] @ vectors[len(steps) :].T, 0.0)  # (steps, acts)
            credit[plan] = round(float(near.max(axis=1).mean()), 5)
            for place, best in zip(acts, near.max(axis=0).tolist(), strict=True):
                credit[place] = round(best, 5)
        return tuple(credit)


def plan_steps(message: Message) -> tuple[str, ...]:
    r"""The steps of a plan as planner `plan` tells it; none where the message is no plan.

    >>> plan_steps(Message("user", "Plan:\n1. find mug\n2. wash it", kind="plan", agent=PLANNER))
    ('find mug', 'wash it')
    """
    is_plan = message.kind == "plan" and message.agent == PLANNER and message.text.startswith("Plan:")
    return tuple(_LINE.findall(message.text)) if is_plan else ()


def _planned(episode: Episode) -> Iterator[tuple[int, tuple[str, ...], dict[int, str]]]:
    """Each plan's place and steps, and the acts from there to the next plan, by place."""
    plans = [(n, steps) for n, one in enumerate(episode.messages) if (steps := plan_steps(one))]
    if not plans:
        return
    ends = [*(n for n, _ in plans[1:]), len(episode.messages)]
    turns = turns_of(episode)
    for (start, steps), end in zip(plans, ends, strict=True):
        yield start, steps, {one.message: one.action for one in turns if start < one.message < end}


def _acts(message: Message) -> bool:
    return bool(message.tool_calls) or message.kind in ("answer", "plan", "reflect", "critique")


def _score(grammar: Grammar, text: str) -> float:
    if grammar == "searching":
        return searching_score(text)
    if grammar == "question":
        n = (tags(text) or ()).count("question")
        return 1.0 if n == 1 else 0.5 if n else 0.0
    names = tags(text)
    return float(names is not None and _goals().accepts(names))


@cache
def _goals() -> Automaton:
    return specification(GOALS).automaton
