"""Generator, verifier, refiner: an answer, a critique of it, the answer rewritten; then a vote.

Source: Motwani et al. 2024 (MALT), arXiv 2412.01928, inference. Deviations: one model plays all roles (an ask
may route them to three); the branching of the paper's training tree can be had here too.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.deliberate.asking import about, again, draft, words_of
from agent.deliberate.mechanism import (
    Candidate,
    Critic,
    Deliberation,
    Key,
    Round,
    after,
    deliberate,
    last_line,
    voted,
)
from agent.deliberate.presets import is_open
from agent.types import Ask, Judgement, Request
from memory.types import Message

_VERIFY = """Somebody answered:
{answer}

Check this step by step. Say what is wrong and where, or that nothing is. Do not write a new answer."""
_REFINE = """Somebody checked your answer:
{critique}

Keep what is right, mend what is wrong, and give the whole answer once more. End with the answer alone, on a
line of its own."""


@dataclass(frozen=True, slots=True)
class Gvr:
    """How wide each role branches: `Gvr()` is one pass, `Gvr(3, 3, 3)` the tree of 27 leaves."""

    answers: int = 1
    critiques: int = 1
    """Of each answer."""
    rewrites: int = 1
    """By each critique."""
    temperature: float = 0.7
    """Of roles that are asked for more than one."""
    key: Key = last_line
    """What is counted as one answer in the vote."""
    name: str = "gvr"

    def takes(self, request: Request) -> bool:
        """Open questions."""
        return is_open(request)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """The tree under the question, and its leaves by votes."""

        async def generate() -> Round:
            said, missing = given[: self.answers], self.answers - len(given)
            if missing > 0:
                asked = again(request, n=missing, temperature=self._warm(request, self.answers))
                said = (*said, *(reply.message for reply in await ask(asked)))
            return tuple(Candidate(message, "generator") for message in said)

        async def verify(candidates: Round) -> list[tuple[Judgement, ...]]:
            return [await self._critiques(request, ask, one) for one in candidates]

        async def refine(candidates: Round) -> Round:
            return tuple([child for one in candidates for child in await self._refined(request, ask, one)])

        critics = (Critic("verifier", verify),)
        return await deliberate(generate, critics, refine, voted(self.key), after(1))

    async def _critiques(self, request: Request, ask: Ask, candidate: Candidate) -> tuple[Judgement, ...]:
        if candidate.parent is not None:
            return ()
        told = _VERIFY.format(answer=candidate.text)
        asked = about(request, told, n=self.critiques, temperature=self._warm(request, self.critiques))
        return tuple(Judgement(0.5, None, words) for words in await words_of(ask, asked))

    async def _refined(self, request: Request, ask: Ask, candidate: Candidate) -> Round:
        warm = self._warm(request, self.rewrites)
        children: list[Candidate] = []
        for one in candidate.said:
            told = Message("user", _REFINE.format(critique=one.judgement.feedback), kind="critique")
            asked = again(request, draft(candidate.message), told, n=self.rewrites, temperature=warm)
            children += [Candidate(reply.message, "refiner", candidate) for reply in await ask(asked)]
        return tuple(children)

    def _warm(self, request: Request, n: int) -> float:
        return request.temperature if n == 1 else max(self.temperature, request.temperature)
