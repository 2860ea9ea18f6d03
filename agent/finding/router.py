"""Whether a model knows the answer itself: its samples agree, or it is as sure as it was before.

Source: Fan et al. 2025 (SSRL), arXiv 2508.10874, the entropy-guided variant. Deviations: the mean entropy of
a query's tokens is estimated by the surprise of those that were sampled; models that tell no likelihoods are
asked for several short answers instead, which have to agree.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.deliberate.asking import words_of
from agent.types import Ask, Reply, Request
from memory.types import Message
from memory.words import words

_SHORT = "Answer from what you know, in as few words as you can; if you do not know, guess.\n"


def agreement(answers: Sequence[str]) -> float:
    """Share of the answers that are the most frequent one, by their words; 0 of none.

    >>> agreement(["Paris", "paris.", "Rome", "Paris"])
    0.75
    """
    said = Counter(" ".join(words(answer)) for answer in answers)
    said.pop("", None)
    return max(said.values(), default=0) / len(answers) if answers else 0.0


def surprise(reply: Reply) -> float | None:
    """Bits per token of what was sampled; None where the model tells no likelihoods.

    Its mean over samples is the mean entropy of the tokens.
    """
    logprob, n = reply.message.logprob, reply.usage.completion_tokens
    return None if logprob is None or n <= 0 else -logprob / n / math.log(2)


@dataclass(frozen=True, slots=True)
class Router:
    """When the model's own word is taken in the place of a search."""

    by: Literal["agreement", "entropy"] = "agreement"
    """`entropy` falls back to agreement where no likelihoods are told."""
    samples: int = 5
    least: float = 0.6
    """Agreement from which on it is taken."""
    temperature: float = 1.0
    """Of the samples."""
    max_tokens: int = 32

    async def knows(self, ask: Ask, query: str, now: float | None, before: float | None) -> bool:
        """Is the model's own word enough for this query?

        `now` and `before` are the surprise of this query and of the one before it, None where unknown: the
        first query is always looked up, later ones when they are less sure.
        """
        if self.by == "entropy" and now is not None:
            return before is not None and now <= before
        request = Request(
            (Message("user", f"{_SHORT}{query}"),),
            n=self.samples,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )
        return agreement(await words_of(ask, request)) >= self.least
