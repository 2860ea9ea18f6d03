"""Programs made better by what they score: the model is told what it tried and how that went.

Source: AutoFlow (arXiv 2407.12821), in context: a flow, its score or error, the next flow; the best stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.generate.loop import Generator, Refusal, Refused, Round, Tried
from agent.planners.program import Program, parse
from agent.types import Ask, Judgement, Request
from memory.errors import BadInput
from memory.types import Message

Score = Callable[[Program], Awaitable[float]]
"""How well a program does on its training tasks, 0..1."""
FlowRound = Round[str, Program, float, "Scored"]
_GRAMMAR = """Write a program for an agent, one step a line:
name ::: process ::: what to do ::: next::name of the step after it
name ::: decision ::: a question ::: answer::name of a step::answer::name of a step
name ::: terminal ::: how to finish
Answer with the program alone."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A program and what it scored."""

    program: Program
    score: float


async def improve_flow(
    ask: Ask, score: Score, first: Program, *, goal: str, epochs: int = 10, max_tokens: int = 1024
) -> tuple[Scored, tuple[FlowRound, ...]]:
    """The best program found, which is the first unless another does better, and all that was tried.

    Raises what `ask` and `score` raise.
    """
    best = Scored(first, await score(first))

    async def propose(past: Sequence[FlowRound], refused: Sequence[Refusal[str]]) -> Sequence[str]:
        asked = Message("user", f"{_GRAMMAR}\n\nWhat it is for: {goal}")
        told = [*_told(first.text, f"score {begun:.2f}"), *_history(past), *_sent_back(refused)]
        said = Request((asked, *told), max_tokens=max_tokens)
        (reply,) = await ask(said)
        return [_bare(reply.message.text)]

    async def judge(_: Program, result: float) -> Judgement:
        return Judgement(result, result > best.score, f"score {result:.2f}")

    def keep(tried: Tried[Program, float]) -> Scored | None:
        nonlocal best
        if tried.result <= best.score:
            return None
        best = Scored(tried.instance, tried.result)
        return best

    begun = best.score
    found = await Generator(propose, _made, score, judge, keep).run(epochs)
    return best, found


@dataclass(frozen=True, slots=True)
class Proven:
    """What came of improving a program, in scores on training tasks and on others."""

    first: Scored
    best: Scored
    tried: int
    first_held_out: float = 0.0
    best_held_out: float = 0.0

    @property
    def is_better(self) -> bool:
        """Did it do more on tasks that had no part in making it?"""
        return self.best_held_out > self.first_held_out


async def proven_flow(
    ask: Ask, score: Score, held_out: Score, first: Program, *, goal: str, epochs: int = 10
) -> Proven:
    """An improvement and whether it holds on other tasks, which are only asked where there is one.

    Deviation from AutoFlow, which keeps what the training tasks liked best. Raises what the functions raise.
    """
    begun = Scored(first, await score(first))

    async def known(program: Program) -> float:
        return begun.score if program == first else await score(program)

    best, rounds = await improve_flow(ask, known, first, goal=goal, epochs=epochs)
    tried = sum(len(one.tried) for one in rounds)
    if best.program == first:
        return Proven(begun, best, tried)
    return Proven(begun, best, tried, await held_out(first), await held_out(best.program))


def _made(text: str) -> Program:
    try:
        return parse(text)
    except BadInput as error:
        raise Refused(str(error)) from error


def _history(past: Sequence[FlowRound]) -> list[Message]:
    told: list[Message] = []
    for one in past:
        told += _sent_back(one.refused)
        for tried in one.tried:
            told += _told(tried.instance.text, tried.judgement.feedback)
    return told


def _sent_back(refused: Sequence[Refusal[str]]) -> list[Message]:
    return [part for one in refused for part in _told(one.proposal, f"error: {one.reason}. Write it again.")]


def _told(program: str, came_of_it: str) -> tuple[Message, Message]:
    return Message("assistant", program), Message("user", came_of_it)


def _bare(text: str) -> str:
    """The program of an answer, without fences or words around it."""
    return "\n".join(line.strip() for line in text.splitlines() if ":::" in line)
