"""Questions with the calls that answer them, and tasks at the edge of what can be done.

Sources: MAG-V's investigator (arXiv 2412.04494): questions in the style of known ones, kept apart from each
other, answered several times; the most common trajectory counts. KnowRL's introspection: the model writes
tasks that it believes it can or cannot do, and says so again and again; where it agrees with itself they
become examples of the next round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from agent.deliberate.asking import json_of
from agent.generate.loop import Generator, Refusal, Refused, Round, Tried, kept_of
from agent.guards.feasible import agreement
from agent.types import Ask, Judgement, Request
from memory.encoder import Encoder, HashEncoder
from memory.types import Json, Message

Path = tuple[str, ...]
"""Names of the tools that were called, in order."""
_LIST: Mapping[str, Json] = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
    "required": ["questions"],
}
_TASKS: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "feasible": {"type": "array", "items": {"type": "string"}},
        "infeasible": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["feasible", "infeasible"],
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the calls that answer it."""

    text: str
    path: Path


QuestionRound = Round[str, str, tuple[Path, ...], Question]


@dataclass(frozen=True, slots=True)
class Questions:
    """The setting of MAG-V."""

    seeds: tuple[Question, ...]
    """Known ones with their right calls; each is shown with the calls of the next."""
    writer: Ask
    answer: Callable[[str], Awaitable[Path]]
    """Lets the assistant answer once; its calls."""
    n: int = 10
    """Questions a round."""
    runs: int = 5
    """Times that each is answered."""
    least: float = 0.6
    """Share of runs that must take the same way."""
    most_alike: float = 0.8
    """Cosine from which two questions are one."""
    encoder: Encoder = field(default_factory=HashEncoder)
    temperature: float = 0.8

    def generator(self) -> Generator[str, str, tuple[Path, ...], Question]:
        """The loop with this setting's functions; it remembers its questions, so take a new one each time."""
        seen = [one.text for one in self.seeds]
        return Generator(self._written, partial(self._apart, seen), self._answered, _common, self._kept)

    async def _written(self, past: Sequence[QuestionRound], refused: Sequence[Refusal[str]]) -> list[str]:
        place = len(past) % len(self.seeds)
        shown, other = self.seeds[place], self.seeds[(place + 1) % len(self.seeds)]
        text = (
            f"A customer asked: {shown.text}\nIt was answered by these calls: {', '.join(shown.path)}\n\n"
            f"Write {len(refused) or self.n} different questions of customers in the same manner that are "
            f"answered by these calls: {', '.join(other.path)}\n"
            + "".join(f"Not this: {one.proposal} ({one.reason})\n" for one in refused)
            + 'Answer with JSON {"questions": ["…"]}.'
        )
        value = await json_of(self.writer, _asked(text, self.temperature), _LIST)
        return _texts(value, "questions")[: len(refused) or self.n]

    def _apart(self, seen: list[str], text: str) -> str:
        text = text.strip()
        if not text:
            raise Refused("a question was empty or could not be read")
        vectors = self.encoder.encode([text, *seen])
        nearest = int((vectors[1:] @ vectors[0]).argmax())
        if float(vectors[1 + nearest] @ vectors[0]) >= self.most_alike:
            raise Refused(f"it says what {seen[nearest]!r} says")
        seen.append(text)
        return text

    async def _answered(self, text: str) -> tuple[Path, ...]:
        return tuple([await self.answer(text) for _ in range(self.runs)])

    def _kept(self, tried: Tried[str, tuple[Path, ...]]) -> Question | None:
        if tried.judgement.score < self.least:
            return None
        return Question(tried.instance, _most_common(tried.result)[0])


@dataclass(frozen=True, slots=True)
class Claim:
    """A task, and whether the model believes that it can be done."""

    text: str
    feasible: bool


Votes = tuple[bool, ...]
ClaimRound = Round[Claim, Claim, Votes, Claim]


@dataclass(frozen=True, slots=True)
class BoundaryTasks:
    """The setting of KnowRL; `edge` gives the tasks on which the model is of two minds, for exploring."""

    seeds: tuple[Claim, ...]
    """Checked by somebody."""
    writer: Ask
    vote: Callable[[str], Awaitable[Votes]]
    """Several answers to: can you do this?"""
    n: int = 5
    """Tasks of each kind a round."""
    least: float = 0.75
    """Agreement from which a task joins the examples, if it agrees with how it was meant."""
    temperature: float = 0.8

    def generator(self) -> Generator[Claim, Claim, Votes, Claim]:
        """The loop with this setting's functions."""
        return Generator(self._written, _claim, self._voted, _agreed, self._kept)

    async def _written(self, past: Sequence[ClaimRound], _: Sequence[Refusal[Claim]]) -> list[Claim]:
        examples = (*self.seeds, *kept_of(past))
        told = {is_so: [one.text for one in examples if one.feasible is is_so] for is_so in (True, False)}
        text = (
            "Tasks that you can do:\n"
            + "\n".join(told[True])
            + "\n\nTasks that you cannot do:\n"
            + "\n".join(told[False])
            + f"\n\nWrite {self.n} new ones of each kind, close to the edge between them, "
            'as JSON {"feasible": ["…"], "infeasible": ["…"]}.'
        )
        value = await json_of(self.writer, _asked(text, self.temperature), _TASKS)
        kinds = (("feasible", True), ("infeasible", False))
        known = {one.text for one in examples}
        found = [Claim(one, is_so) for name, is_so in kinds for one in _texts(value, name)[: self.n]]
        return [one for one in found if one.text.strip() not in known]

    async def _voted(self, claim: Claim) -> Votes:
        return await self.vote(claim.text)

    def _kept(self, tried: Tried[Claim, Votes]) -> Claim | None:
        return tried.instance if tried.judgement.ok and tried.judgement.score >= self.least else None


def edge(rounds: Sequence[ClaimRound], *, least: float = 0.25) -> tuple[str, ...]:
    """Tasks with at least this share of votes on either side: those that trying says most about."""
    tried = [one for found in rounds for one in found.tried]
    return tuple(one.instance.text for one in tried if 1.0 - agreement(one.result) >= least)


def _claim(claim: Claim) -> Claim:
    if not claim.text.strip():
        raise Refused("a task was empty or could not be read")
    return Claim(claim.text.strip(), claim.feasible)


async def _agreed(claim: Claim, votes: Votes) -> Judgement:
    """Agreement among the votes; ok where the majority is as the task was meant, a tie is not."""
    with_it = sum(vote is claim.feasible for vote in votes)
    return Judgement(agreement(votes), 2 * with_it > len(votes))


async def _common(_: str, paths: tuple[Path, ...]) -> Judgement:
    """Share of the most common way."""
    count = _most_common(paths)[1]
    return Judgement(count / len(paths), None)


def _most_common(paths: Sequence[Path]) -> tuple[Path, int]:
    return Counter(paths).most_common(1)[0]


def _asked(text: str, temperature: float) -> Request:
    return Request((Message("user", text),), temperature=temperature)


def _texts(value: Mapping[str, Json] | None, name: str) -> list[str]:
    """The list under a name; one empty text where there is none, which is sent back."""
    found = None if value is None else value.get(name)
    return [str(one) for one in found] if isinstance(found, list) else [""]
