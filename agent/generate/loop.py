"""The one loop that makes things up: propose, instantiate, roll out, judge, keep, and tell what came of it.

Sources: AutoSafe (arXiv 2505.17735) for risks, EnvGen (arXiv 2403.12014) for worlds, MAG-V for questions,
KnowRL for tasks, AutoFlow for flows: they differ in these five functions alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.types import Judgement

P = TypeVar("P")
"""What is proposed, as it was read."""
I = TypeVar("I")  # noqa: E741 - the pipeline's letters: proposal, instance, result, kept
R = TypeVar("R")
K = TypeVar("K")


class Refused(ValueError):  # control flow: it is told to whoever proposes
    """A proposal that nothing can be made of; the message says why, in words a model can mend it by."""


@dataclass(frozen=True, slots=True)
class Refusal(Generic[P]):
    """A proposal that was sent back."""

    proposal: P
    reason: str


@dataclass(frozen=True, slots=True)
class Tried(Generic[I, R]):
    """One instance, what happened with it, and what that was found to be."""

    instance: I
    result: R
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Round(Generic[P, I, R, K]):
    """One pass through the loop."""

    tried: tuple[Tried[I, R], ...] = ()
    refused: tuple[Refusal[P], ...] = ()
    kept: tuple[K, ...] = ()


@dataclass(frozen=True, slots=True)
class Generator(Generic[P, I, R, K]):
    """The five functions of a setting."""

    propose: Callable[[Sequence[Round[P, I, R, K]], Sequence[Refusal[P]]], Awaitable[Sequence[P]]]
    """New proposals, given the rounds so far and what was just sent back and is asked for again."""
    instantiate: Callable[[P], I]
    """The thing itself. Raises Refused."""
    roll_out: Callable[[I], Awaitable[R]]
    judge: Callable[[I, R], Awaitable[Judgement]]
    keep: Callable[[Tried[I, R]], K | None]

    async def run(self, rounds: int = 1, *, retries: int = 2) -> tuple[Round[P, I, R, K], ...]:
        """So many rounds, one thing at a time; in each, what was refused is asked for again `retries` times.

        A round without a proposal ends it. Raises what the functions raise.
        """
        past: tuple[Round[P, I, R, K], ...] = ()
        for _ in range(rounds):
            instances, refused = await self._instances(past, retries)
            if not instances and not refused:
                break
            tried = tuple([await self._tried(one) for one in instances])
            kept = tuple(found for one in tried if (found := self.keep(one)) is not None)
            past = (*past, Round(tried, refused, kept))
        return past

    async def _instances(
        self, past: Sequence[Round[P, I, R, K]], retries: int
    ) -> tuple[list[I], tuple[Refusal[P], ...]]:
        made: list[I] = []
        refused: list[Refusal[P]] = []
        sent_back: list[Refusal[P]] = []
        for _ in range(1 + retries):
            proposals, sent_back = await self.propose(past, sent_back), []
            for one in proposals:
                try:
                    made.append(self.instantiate(one))
                except Refused as error:
                    sent_back.append(Refusal(one, str(error)))
            refused += sent_back
            if not sent_back:
                break
        return made, tuple(refused)

    async def _tried(self, instance: I) -> Tried[I, R]:
        result = await self.roll_out(instance)
        return Tried(instance, result, await self.judge(instance, result))


def kept_of(rounds: Sequence[Round[P, I, R, K]]) -> tuple[K, ...]:
    """What all rounds kept, in order."""
    return tuple(one for found in rounds for one in found.kept)
