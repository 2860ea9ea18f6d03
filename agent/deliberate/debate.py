"""Debate: two sides with opposed instructions, a moderator who may end it, a judge when nobody has won.

Source: Liang et al. 2023 (MAD), arXiv 2305.19118, §2: at most three rounds, adaptive break, moderate
opposition, a last judge who lists the answers before deciding. Deviation: all roles are one model, as a judge
of another kind favours its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from agent.deliberate.asking import about, json_of
from agent.deliberate.mechanism import (
    Candidate,
    Critic,
    Deliberation,
    Round,
    Rounds,
    accepted,
    after,
    deliberate,
    first_of,
)
from agent.deliberate.presets import is_open
from agent.types import Ask, Judgement, Request
from memory.types import Json, Message

FOR, AGAINST = "for", "against"
Opposition = Literal[0, 1, 2, 3]
_OPPOSITION: Mapping[Opposition, str] = {
    0: "Agree with the other side wherever you can.",
    1: "You need not agree on everything: what counts is that the answer is right.",
    2: "Find something to object to in most of what the other side says.",
    3: "Never agree with the other side, whatever it says.",
}
_OPEN = "You take part in a debate about this. Give your answer and the reasons for it."
_OPPOSE = """You take part in a debate about this. You disagree with the answer below. Give yours and the
reasons for it.

The other side: {other}"""
_REPLY = "The other side: {other}\n\nDo you agree with it? Say why, and give your answer."
_MODERATE = """You moderate a debate about this.

Side for: {pro}

Side against: {con}

Is one of them clearly right by now? Answer with JSON: `preference` yes or no, `side` for or against,
`reason`, and `answer`, the final answer in your words."""
_LIST = (
    "There was a debate about this.\n\nSide for: {pro}\n\nSide against: {con}\n\nList the different answers\
 that were given, without reasons, as JSON."
)
_DECIDE = (
    "There was a debate about this. The answers: {answers}\n\nDecide. Answer with JSON: `reason`, `answer`."
)
_RULING: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "preference": {"enum": ["yes", "no"]},
        "side": {"enum": [FOR, AGAINST]},
        "reason": {"type": "string"},
        "answer": {"type": "string"},
    },
    "required": ["preference"],
}
_ANSWERS: Mapping[str, Json] = {
    "type": "object",
    "properties": {"answers": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["answers"],
}
_DECISION: Mapping[str, Json] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["answer"],
}


@dataclass(frozen=True, slots=True)
class Debate:
    """How long, and how hard, two sides argue."""

    rounds: int = 3
    """Most statements of each side."""
    opposition: Opposition = 1
    """From agreeing where one can to never agreeing; 1 was best."""
    stops_early: bool = True
    """May the moderator end it?"""
    name: str = "debate"

    def takes(self, request: Request) -> bool:
        """Open questions."""
        return is_open(request)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """Statements of both sides, round by round, and the answer that the moderator or the judge gives."""

        async def opening() -> Round:
            pro = Candidate(given[0] if given else await self._says(ask, request, FOR, (), ()), FOR)
            return pro, Candidate(await self._says(ask, request, AGAINST, (), (pro,)), AGAINST)

        async def replies(sides: Round) -> Round:
            pro, con = sides
            first = Candidate(await self._says(ask, request, FOR, pro.versions, con.versions), FOR, pro)
            said = await self._says(ask, request, AGAINST, con.versions, first.versions)
            return first, Candidate(said, AGAINST, con)

        async def moderate(sides: Round) -> list[tuple[Judgement, ...]]:
            return await _moderated(ask, request, sides)

        async def decide(rounds: Rounds) -> Round:
            return (await _decided(ask, request, rounds[-1]),)

        enough = after(self.rounds - 1)
        stop = first_of(accepted, enough) if self.stops_early else enough
        return await deliberate(opening, (Critic("moderator", moderate),), replies, decide, stop)

    async def _says(self, ask: Ask, request: Request, side: str, own: Round, other: Round) -> Message:
        """The next statement of a side, which has heard all of the other's."""
        opening = _OPEN if side == FOR else _OPPOSE.format(other=other[0].text)
        heard = [_REPLY.format(other=one.text) for one in (other if side == FOR else other[1:])]
        asked = about(request, opening, temperature=request.temperature)
        messages = [Message("system", _OPPOSITION[self.opposition]), *asked.messages]
        for said, answer in zip(own, heard, strict=True):
            messages += [Message("assistant", said.text), Message("user", answer)]
        (reply,) = await ask(replace(asked, messages=tuple(messages)))
        return reply.message


async def _moderated(ask: Ask, request: Request, sides: Round) -> list[tuple[Judgement, ...]]:
    """For each side: preferred or not. Feedback on the preferred one is the moderator's answer."""
    pro, con = sides
    told = _MODERATE.format(pro=pro.text, con=con.text)
    ruling = await json_of(ask, about(request, told), _RULING)
    if ruling is None or ruling["preference"] == "no" or ruling.get("side") is None:
        return [(Judgement(0.5, None),), (Judgement(0.5, None),)]
    reason = str(ruling.get("reason", ""))
    return [
        (Judgement(1.0, True, str(ruling.get("answer", ""))),)
        if one.by == ruling["side"]
        else (Judgement(0.0, False, reason),)
        for one in sides
    ]


async def _decided(ask: Ask, request: Request, sides: Round) -> Candidate:
    for one in sides:
        if one.ok:
            answer = one.said[-1].judgement.feedback
            return Candidate(Message("assistant", answer), "moderator", one) if answer else one
    pro, con = sides
    listed = await json_of(ask, about(request, _LIST.format(pro=pro.text, con=con.text)), _ANSWERS)
    answers = listed["answers"] if listed else [pro.text, con.text]
    decision = await json_of(ask, about(request, _DECIDE.format(answers=answers)), _DECISION)
    return pro if decision is None else Candidate(Message("assistant", str(decision["answer"])), "judge")
