"""Programs by tests: plans, tests, programs and advice, each pruned; programs run on tests, repaired, ranked.

Source: Pan et al. 2025 (CodeCoR), arXiv 2501.07811. Deviations: what is pruned is pruned by a forced
choice; it is over when a program passes all tests, as others could only be ranked below it.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice

from agent.deliberate.asking import again, draft, is_kept, words_of
from agent.deliberate.mechanism import (
    Candidate,
    Critic,
    Deliberation,
    Round,
    accepted,
    after,
    deliberate,
    each,
    each_wrong,
    first_of,
    kept,
    nothing,
    ranked,
)
from agent.deliberate.presets import is_open
from agent.deliberate.running import Execute, code_of, is_program
from agent.types import Ask, Judgement, Request
from memory.types import Message

_PLAN = "Do not write code yet. Think through this step by step: inputs, edge cases, the way to a solution."
_TEST = """Write at most {n} tests for a program that does this: `assert` statements, each on one line, that
follow from the task alone. Plans that were made:

{plans}"""
_PROGRAM = "Write the whole program in Python, in one code block. A plan that was made:\n\n{plan}"
_ADVISE = "The program fails:\n\n{faults}\n\nSay in a few sentences what is wrong in it. Write no code."
_TRY = """
try:
    {test}
    print("{mark}")
except BaseException:
    pass"""
_MEND = "The program has to be changed:\n\n{advice}\n\nWrite the whole program once more, in one code block."


@dataclass(frozen=True, slots=True)
class ByTests:
    """How much of each there is, and where programs are run."""

    execute: Execute
    plans: int = 3
    tests: int = 5
    programs: int = 3
    rounds: int = 3
    """Most repairs of a program."""
    prunes: bool = True
    """Does a model drop plans, tests and advice that do not fit? What cannot be parsed is always dropped."""
    temperature: float = 0.7
    """Of plans and programs, where there are more than one."""
    name: str = "tests"

    def takes(self, request: Request) -> bool:
        """Open questions; they should ask for a program."""
        return is_open(request)

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """Programs, best first; a given answer that is none is left as it is. Raises what running raises."""
        if given and not is_program(given[0].text):
            answers = tuple(map(Candidate, given))
            return Deliberation((answers,), answers, "no program")
        work = _Work(self, request, ask)
        plans = await work.plans()
        tests = await work.tests(plans)

        async def generate() -> Round:
            return await work.programs(plans, given)

        async def mend(candidate: Candidate) -> Round:
            return () if _is_stuck(candidate) else (await work.mended(candidate),)

        critics = (each("runs", self._runs), each("tests", self._passes(tests)))
        stop = first_of(accepted, after(self.rounds))
        return await deliberate(generate, critics, each_wrong(mend), ranked, stop)

    async def _runs(self, candidate: Candidate) -> Judgement:
        ran = await self.execute(code_of(candidate.text))
        return Judgement(float(ran.ok), None if ran.ok else False, ran.error)

    def _passes(self, tests: Sequence[str]) -> Callable[[Candidate], Awaitable[Judgement]]:
        async def judge(candidate: Candidate) -> Judgement:
            if not tests:
                return Judgement(0.5, None, "no test was kept")
            failed = await self._failed(code_of(candidate.text), tests)
            return Judgement(1.0 - len(failed) / len(tests), not failed, "\n".join(failed))

        return judge

    async def _failed(self, program: str, tests: Sequence[str]) -> list[str]:
        """The tests that do not pass: all in one process, one by one where that did not come to its end.

        The line after a test must be reached: a program that ends early, and well, has passed nothing.
        """
        marks = [blake2b(f"{program}\n{test}".encode(), digest_size=16).hexdigest() for test in (*tests, "")]
        tried = [_TRY.format(test=test, mark=mark) for test, mark in zip(tests, marks, strict=False)]
        ran = await self.execute("\n".join([program, *tried, f"print({marks[-1]!r})"]))
        reached = set(ran.out.split())
        if marks[-1] not in reached and len(tests) > 1:
            return [test for test in tests if await self._failed(program, (test,))]
        return [test for test, mark in zip(tests, marks, strict=False) if mark not in reached]


class _Work:
    """What the roles say about one task."""

    def __init__(self, settings: ByTests, request: Request, ask: Ask) -> None:
        self._settings, self._request, self._ask = settings, request, ask

    async def plans(self) -> tuple[str, ...]:
        said = await self._many(Message("user", _PLAN), self._settings.plans)
        return await self._pruned(said, "A plan", ())

    async def tests(self, plans: Sequence[str]) -> tuple[str, ...]:
        wish = _TEST.format(n=self._settings.tests, plans="\n\n".join(plans))
        (said,) = await self._many(Message("user", wish), 1)
        lines = dict.fromkeys(line.strip() for line in said.splitlines() if "assert" in line)
        return (await self._pruned(tuple(lines), "A test", (each("parses", _parses),)))[
            : self._settings.tests
        ]

    async def programs(self, plans: Sequence[str], given: Sequence[Message]) -> Round:
        made = list(given[: self._settings.programs])
        for plan in islice(cycle(plans or ("none",)), self._settings.programs - len(made)):
            (reply,) = await self._ask(
                again(self._request, Message("user", _PROGRAM.format(plan=plan)), temperature=self._warm())
            )
            made.append(reply.message)
        return tuple(Candidate(message) for message in made)

    async def mended(self, candidate: Candidate) -> Candidate:
        faults = "\n".join(one.judgement.feedback for one in candidate.faults)
        program = draft(candidate.message)
        asked = again(self._request, program, Message("user", _ADVISE.format(faults=faults)))
        advice = await self._pruned(await words_of(self._ask, asked), "Advice on a program", ())
        told = Message("user", _MEND.format(advice="\n".join(advice) or faults))
        (reply,) = await self._ask(again(self._request, program, told))
        return Candidate(reply.message, parent=candidate)

    async def _many(self, wish: Message, n: int) -> tuple[str, ...]:
        return await words_of(self._ask, again(self._request, wish, n=n, temperature=self._warm(n)))

    def _warm(self, n: int = 2) -> float:
        return self._settings.temperature if n > 1 else self._request.temperature

    async def _pruned(self, said: Sequence[str], what: str, critics: Sequence[Critic]) -> tuple[str, ...]:
        async def generate() -> Round:
            return tuple(Candidate(Message("assistant", one)) for one in said)

        async def fits(candidate: Candidate) -> Judgement:
            told = f"{what} for this:\n\n{candidate.text}\n\nIs it clear, to the point and right?"
            keeps = await is_kept(self._ask, self._request, told)
            return Judgement(float(keeps), keeps)

        critics = (*critics, each("fits", fits)) if self._settings.prunes else critics
        found = await deliberate(generate, critics, nothing, kept, after(0))
        return tuple(one.text for one in found.chosen)


async def _parses(candidate: Candidate) -> Judgement:
    try:
        body = ast.parse(candidate.text).body
    except (SyntaxError, ValueError) as error:
        return Judgement(0.0, False, str(error))
    is_one = len(body) == 1 and isinstance(body[0], ast.Assert)
    return Judgement(float(is_one), None if is_one else False)


def _is_stuck(candidate: Candidate) -> bool:
    """The same fails as in the version before."""
    before = candidate.parent
    return before is not None and [*before.faults] == [*candidate.faults]
