"""Deliberation: generate, judge, repair, select, stop. What papers call a system is five of these functions.

Sources: MAD (arXiv 2305.19118), MALT (arXiv 2412.01928), CodeCoR, PlotGen and studies of self-correction
differ in roles, their order, how many candidates there are, and when it is enough; here each is a preset.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agent.types import ANSWER_TOOL, Judgement
from memory.codec import dumps
from memory.types import Message


@dataclass(frozen=True, slots=True)
class Said:
    """What one critic said."""

    critic: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of the answer."""

    message: Message
    by: str = ""
    """Whose it is, where sides or roles differ."""
    parent: Candidate | None = None
    """The version it was made from."""
    said: tuple[Said, ...] = ()

    @property
    def text(self) -> str:
        """What it says."""
        return spoken(self.message)

    @property
    def ok(self) -> bool | None:
        """False if anybody finds it wrong, True if nobody does and somebody finds it right."""
        words = {one.judgement.ok for one in self.said}
        return False if False in words else True if True in words else None

    @property
    def score(self) -> float:
        """Mean of its scores, 0..1; one half where nobody judged it."""
        return math.fsum(one.judgement.score for one in self.said) / len(self.said) if self.said else 0.5

    @property
    def faults(self) -> tuple[Said, ...]:
        """What was said by those that find it wrong."""
        return tuple(one for one in self.said if one.judgement.ok is False)

    @property
    def versions(self) -> Round:
        """Those it was made from, oldest first, and itself."""
        return (self,) if self.parent is None else (*self.parent.versions, self)

    @property
    def age(self) -> int:
        """Repairs that led to it."""
        return len(self.versions) - 1


Round = tuple[Candidate, ...]
Rounds = tuple[Round, ...]
Generate = Callable[[], Awaitable[Round]]
Repair = Callable[[Round], Awaitable[Round]]
"""The next versions of the candidates of a round; none: nothing is left to repair."""
Select = Callable[[Rounds], Awaitable[Round]]
"""The best of all that was seen, best first."""
Stop = Callable[[Rounds], str | None]
"""Why it is enough, or None."""
Key = Callable[[Candidate], str]
"""What makes two candidates one answer."""


@dataclass(frozen=True, slots=True)
class Critic:
    """Judges the candidates of a round, which it sees together: any number of judgements for each."""

    name: str
    judge: Callable[[Round], Awaitable[Sequence[tuple[Judgement, ...]]]]


@dataclass(frozen=True, slots=True)
class Deliberation:
    """All that was considered, and what came of it."""

    rounds: Rounds
    chosen: Round
    """Best first; empty where nothing held."""
    stopped: str

    def course(self, is_right: Callable[[str], bool]) -> tuple[bool, ...]:
        """Whether it was right: the first answer, as a single shot; the best after each repair; the end's."""
        repaired = [leader(candidates) for candidates in self.rounds[1:]]
        answers = [*self.rounds[0][:1], *repaired, *self.chosen[:1]]
        return tuple(is_right(one.text) for one in answers)


async def deliberate(
    generate: Generate, critics: Sequence[Critic], repair: Repair, select: Select, stop: Stop
) -> Deliberation:
    """Candidates, judged and repaired round by round until it is enough; then the best of all rounds.

    Critics are asked in order, and a later one is not shown what an earlier one found wrong. One thing is
    done at a time, so that a journal replays it. Raises what its parts raise.
    """
    rounds: Rounds = (await _judged(await generate(), critics),)
    while (why := stop(rounds)) is None:
        repaired = await repair(rounds[-1])
        if not repaired:
            why = "nothing left to repair"
            break
        rounds = (*rounds, await _judged(repaired, critics))
    return Deliberation(rounds, await select(rounds), why)


async def _judged(candidates: Round, critics: Sequence[Critic]) -> Round:
    judged = list(candidates)
    for critic in critics:
        places = [place for place, one in enumerate(judged) if one.ok is not False]
        if not places:
            break
        words = await critic.judge(tuple(judged[place] for place in places))
        for place, found in zip(places, words, strict=True):
            said = tuple(Said(critic.name, one) for one in found)
            judged[place] = replace(judged[place], said=judged[place].said + said)
    return tuple(judged)


def each(name: str, judge: Callable[[Candidate], Awaitable[Judgement]]) -> Critic:
    """A critic that looks at one candidate at a time."""

    async def all_of(candidates: Round) -> list[tuple[Judgement, ...]]:
        return [(await judge(one),) for one in candidates]

    return Critic(name, all_of)


def each_wrong(repair: Callable[[Candidate], Awaitable[Round]]) -> Repair:
    """Repairs what was found wrong, one at a time, and leaves the rest."""

    async def all_of(candidates: Round) -> Round:
        return tuple([child for one in candidates if one.ok is False for child in await repair(one)])

    return all_of


async def nothing(_: Round) -> Round:
    """The repair of what is only judged."""
    return ()


def after(repairs: int) -> Stop:
    """Enough after so many rounds of repair."""
    return lambda rounds: f"{repairs} repairs" if len(rounds) > repairs else None


def accepted(rounds: Rounds) -> str | None:
    """Enough when a candidate of the last round is found right and by nobody wrong."""
    return "accepted" if any(one.ok for one in rounds[-1]) else None


def unchanged(rounds: Rounds) -> str | None:
    """Enough when a round says word for word what the one before said."""
    said = [[one.text.strip() for one in candidates] for candidates in rounds[-2:]]
    return "no change" if len(said) == 2 and said[0] == said[1] else None


def first_of(*stops: Stop) -> Stop:
    """Enough when one of them says so."""
    return lambda rounds: next((why for stop in stops if (why := stop(rounds)) is not None), None)


async def newest(rounds: Rounds) -> Round:
    """The last round's, as they stand."""
    return rounds[-1]


async def kept(rounds: Rounds) -> Round:
    """All that nobody found wrong, in order."""
    return tuple(one for candidates in rounds for one in candidates if one.ok is not False)


async def ranked(rounds: Rounds) -> Round:
    """All by their scores; what took fewer repairs goes before."""
    every = [one for candidates in rounds for one in candidates]
    return tuple(sorted(every, key=lambda one: (-one.score, one.age)))


def voted(key: Key) -> Select:
    """The last round's, the most common answer first; ties to the one that was given first."""

    async def by_votes(rounds: Rounds) -> Round:
        last = rounds[-1]
        votes = Counter(map(key, last))  # in order of their first vote
        order = {answer: place for place, (answer, _) in enumerate(votes.most_common())}
        return tuple(sorted(last, key=lambda one: order[key(one)]))

    return by_votes


def leader(candidates: Round) -> Candidate:
    """The best judged of a round, the first of equals."""
    return max(candidates, key=lambda one: one.score)


def last_line(candidate: Candidate) -> str:
    r"""The answer that a text comes to: its last line, without case and marks.

    >>> last_line(Candidate(Message("assistant", "I add them up.\nAnswer: **42**.")))
    '42'
    """
    lines = [line for line in candidate.text.splitlines() if line.strip()]
    said = lines[-1].casefold() if lines else ""
    return said.removeprefix("answer:").strip(" *`'\".:")


def spoken(message: Message) -> str:
    """A message in words: its text, the answer it gives by a call, other calls by name and arguments."""
    calls = [
        str(call.arguments.get("answer", ""))
        if call.name == ANSWER_TOOL
        else f"{call.name} {dumps(call.arguments)}"
        for call in message.tool_calls
    ]
    return "\n".join(part for part in (message.text, *calls) if part)
