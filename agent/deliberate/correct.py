"""Self-correction: an answer rewritten in the open, or a choice made again with a reason for it.

Source: Rahmani et al. 2025, arXiv 2511.09381: rewriting gains in its first rounds and then drifts away from
right answers; choosing is stable and seldom changes its mind. So one explores by rewriting and decides by a
forced choice among all versions seen, the first among them. Deviation: votes can be
drawn, for models without likelihoods.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

from agent.deliberate.asking import about, again, draft, picked
from agent.deliberate.mechanism import (
    Candidate,
    Deliberation,
    Key,
    Round,
    Rounds,
    after,
    deliberate,
    first_of,
    last_line,
    newest,
    unchanged,
)
from agent.deliberate.presets import is_open
from agent.types import Ask, Request
from memory.types import Message

_REWRITE = """Look at your answer again. Where could it be wrong? Then give the whole answer once more,
changed only where it has to be. End with the answer alone, on a line of its own."""
_DECIDE = "There are several answers:\n\n{answers}\n\nWhich one is right?"
_WHY = "You would choose: {choice}\nSay in a few sentences what speaks for it and what against it."
_AGAIN = "Now choose again."


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Rewrites in the open, a round at a time, until nothing changes."""

    rounds: int = 2
    """Most rewrites; more of them drift."""
    decides: bool = True
    """Choose among all versions seen; False takes the last."""
    votes: int = 1
    """Forced choices to decide by; more than one are drawn at `temperature`."""
    temperature: float = 0.7
    key: Key = last_line
    """What makes two versions one answer."""
    name: str = "rewrite"

    def takes(self, request: Request) -> bool:
        """Open questions."""
        return is_open(request)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """One answer, its rewrites with all before them in sight, and a decision."""

        async def generate() -> Round:
            said = given[:1] or [(await ask(again(request)))[0].message]
            return (Candidate(said[0]),)

        async def rewrite(candidates: Round) -> Round:
            (reply,) = await ask(again(request, *_story(candidates[0])))
            return (Candidate(reply.message, parent=candidates[0]),)

        async def decide(rounds: Rounds) -> Round:
            versions = {self.key(one): one for candidates in rounds for one in candidates}
            if not self.decides or len(versions) == 1:
                return await newest(rounds)
            return (await self._decided(request, ask, tuple(versions.values())),)

        return await deliberate(generate, (), rewrite, decide, first_of(unchanged, after(self.rounds)))

    async def _decided(self, request: Request, ask: Ask, versions: Round) -> Candidate:
        letters = ascii_uppercase[: len(versions)]
        listed = "\n\n".join(f"{letter}:\n{one.text}" for letter, one in zip(letters, versions, strict=True))
        warm = self.temperature if self.votes > 1 else 0.0
        asked = about(request, _DECIDE.format(answers=listed), temperature=warm)
        return versions[await picked(ask, asked, letters, votes=self.votes)]


@dataclass(frozen=True, slots=True)
class Choose:
    """Makes a forced choice again, with its own reasons in sight, until it stays."""

    rounds: int = 2
    name: str = "choose"

    def takes(self, request: Request) -> bool:
        """Questions with choices."""
        return bool(request.choices)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """A choice, reasons for and against, the choice again. Candidates are choices, word for word."""

        async def generate() -> Round:
            return (Candidate(given[0]) if given else await choose(request, None),)

        async def choose(asked: Request, before: Candidate | None) -> Candidate:
            choice = request.choices[await picked(ask, asked, request.choices)]
            return Candidate(Message("assistant", choice), parent=before)

        async def reconsider(candidates: Round) -> Round:
            why = Message("user", _WHY.format(choice=candidates[0].text))
            opened = Request((*request.messages, why), max_tokens=request.max_tokens, seed=request.seed)
            (reply,) = await ask(opened)
            asked = Request((*opened.messages, draft(reply.message), Message("user", _AGAIN)))
            return (await choose(asked, candidates[0]),)

        return await deliberate(generate, (), reconsider, newest, first_of(unchanged, after(self.rounds)))


def _story(candidate: Candidate) -> tuple[Message, ...]:
    """All versions so far, each followed by the wish for another."""
    wish = Message("user", _REWRITE)
    return tuple([said for one in candidate.versions for said in (draft(one.message), wish)])
