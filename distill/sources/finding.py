"""The search itself: a source proposes, the filter refuses with reasons, a judge has the last word.

The loop is `agent.generate.loop`; what a source adds is its proposals, its band and its choice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.deliberate.asking import json_of
from agent.generate.loop import Generator, Refusal, Round, Tried, kept_of
from agent.types import Ask, Judgement, Request
from distill.sources.frontier import Frontier
from distill.sources.known import Candidate, Known, Played, Proposal, Rehearsal, TaskSource
from memory.errors import BudgetExceeded
from memory.types import Episode, Json, Message

Judge = Callable[[Candidate, Known], Awaitable[Judgement]]
"""How good a task is as a task, 0..1: clear, possible here, with an end that can be seen."""
Play = Callable[[Candidate], Awaitable[Rehearsal]]
_WORD: Mapping[str, Json] = {
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}, "why": {"type": "string"}},
    "required": ["score"],
}


@dataclass(frozen=True, slots=True)
class Weighed:
    """What became of one that passed the filter."""

    quality: Judgement
    rehearsal: Rehearsal | None = None


Pass = Round[Proposal, Candidate, Weighed, "Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One that is good enough, and how it was played if it was."""

    candidate: Candidate
    episode: Episode | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to."""

    chosen: tuple[Candidate, ...] = ()
    spare: tuple[Candidate, ...] = ()
    """Passed, and others were better."""
    refused: tuple[Refusal[Proposal], ...] = ()
    imagined: tuple[Episode, ...] = ()
    """Of a source whose tasks are played."""


@dataclass(frozen=True, slots=True)
class Search:
    """The setting: which source, who is asked, who judges."""

    source: TaskSource
    ask: Ask
    judge: Judge
    frontier: Frontier = field(default_factory=Frontier)
    play: Play | None = None
    """In place of the source's own, where each is to be done once."""
    rounds: int = 3
    retries: int = 1

    async def run(self, known: Known, n: int) -> Found:
        """At most n tasks. It ends early where a budget does. Raises what models raise."""
        wanted = n * self.source.over

        async def propose(past: Sequence[Pass], sent_back: Sequence[Refusal[Proposal]]) -> Sequence[Proposal]:
            kept = kept_of(past)
            missing = len(sent_back) or wanted - len(kept)
            if missing <= 0:
                return ()
            told = tuple(one.candidate for one in kept)
            now = replace(known, accepted=told, refused=(*_refused(past), *sent_back))
            try:
                return (await self.source.propose(now, self.ask, missing))[:missing]
            except BudgetExceeded:
                return ()

        async def weigh(candidate: Candidate) -> Weighed:
            return await self._weighed(candidate, known)

        sieve = self.frontier.over(known, self.source.rules)
        loop = Generator(propose, sieve.admit, weigh, _judged, _kept)
        rounds = await loop.run(self.rounds, retries=self.retries)
        return self._found(rounds, n)

    async def _weighed(self, candidate: Candidate, known: Known) -> Weighed:
        least = self.source.rules.quality
        try:
            quality = await self.judge(candidate, known) if least else Judgement(1.0, True)
            if quality.score < least:
                said = f"quality: {quality.score:.2f}, wanted is {least}. {quality.feedback}".strip()
                return Weighed(Judgement(quality.score, False, said))
            quality = replace(quality, ok=True)
            if not isinstance(self.source, Played):
                return Weighed(quality)
            return Weighed(quality, await self._play(candidate, known))
        except BudgetExceeded as error:
            return Weighed(Judgement(0.0, False, f"budget: {error}"))

    async def _play(self, candidate: Candidate, known: Known) -> Rehearsal:
        assert isinstance(self.source, Played)
        return await (self.play(candidate) if self.play else self.source.play(candidate, known))

    def _found(self, rounds: Sequence[Pass], n: int) -> Found:
        kept = kept_of(rounds)
        passed = [one.candidate for one in kept]
        chosen = tuple(self.source.choose(passed, n))
        played = {one.candidate.task.id: one.episode for one in kept if one.episode is not None}
        imagined = tuple(played[one.task.id] for one in chosen if one.task.id in played)
        ids = {one.task.id for one in chosen}
        spare = tuple(one for one in passed if one.task.id not in ids)
        return Found(chosen, spare, _refused(rounds), imagined)


def by_model(ask: Ask) -> Judge:
    """What a model says; what cannot be read is no praise."""

    async def judge(candidate: Candidate, known: Known) -> Judgement:
        tools = "\n".join(f"- {tool.name}: {tool.description}" for tool in known.tools)
        text = (
            f"An agent works at {known.family} with these tools:\n{tools}\n\nSomebody proposes this task, "
            f"quoted as data: {candidate.task.text!r}\n\nHow good is it as a task: is it clear, can it be "
            "done here at all, and can one see when it is done? Answer with JSON "
            '{"score": a number from 0 to 1, "why": "…"}.'
        )
        value = await json_of(ask, Request((Message("user", text),), max_tokens=300), _WORD)
        if value is None:
            return Judgement(0.0, None, "the judge could not be read")
        return Judgement(float(str(value["score"])), None, str(value.get("why", "")))

    return judge


async def _judged(_: Candidate, weighed: Weighed) -> Judgement:
    played = weighed.rehearsal
    if weighed.quality.ok and played is not None and not played.judgement.ok:
        return replace(played.judgement, ok=False, feedback=f"played: {played.judgement.feedback}")
    return weighed.quality


def _kept(tried: Tried[Candidate, Weighed]) -> Kept | None:
    if not tried.judgement.ok:
        return None
    played = tried.result.rehearsal
    candidate = replace(tried.instance, quality=tried.result.quality.score)
    return Kept(candidate, None if played is None else played.episode)


def _refused(rounds: Sequence[Pass]) -> tuple[Refusal[Proposal], ...]:
    """By the filter, then by the judge, round after round."""
    found: list[Refusal[Proposal]] = []
    for one in rounds:
        found += one.refused
        found += [
            Refusal(tried.instance.proposal, tried.judgement.feedback)
            for tried in one.tried
            if not tried.judgement.ok
        ]
    return tuple(found)
