"""Programs by tests: pruning, repair, the stuck rule, small problems really solved."""

import random
from dataclasses import dataclass

import pytest

from agent.deliberate.mechanism import Deliberation
from agent.deliberate.running import Limited, code_of
from agent.deliberate.tests import ByTests
from agent.forge.confine import lacking
from agent.forge.sandbox import Sandbox
from agent.types import Request
from memory.types import Message
from tests.agent.asks import Asked, last, question
from tests.agent.problems import PROBLEMS, Problem

RUN = Limited(seconds=120.0)
GOOD = "def double(n):\n    return 2 * n"
OFF = "def double(n):\n    return 2 * n + (n > 2)"
WORSE = "def double(n):\n    return n"
BROKEN = "def double(n)\n    return 2 * n"
TESTS = ("assert double(1) == 2", "assert double(0) == 0", "assert double(5) == 10")
LIE = "assert double(4) == 9"


# The roles.


@dataclass(slots=True)
class Script:
    """Roles with fixed words: plans, tests, programs in order, then repairs in order, one piece of advice."""

    programs: list[str]
    repairs: list[str]
    tests: tuple[str, ...] = TESTS
    dropped: tuple[str, ...] = ()
    plan: str = "a plan"

    def __call__(self, request: Request) -> str:
        said = last(request)
        if request.choices:
            return "no" if any(one in said for one in self.dropped) else "yes"
        for mark, answer in (
            ("Do not write code yet", lambda: self.plan),
            ("Write at most", lambda: "Here:\n" + "\n".join(self.tests)),
            ("Write no code", lambda: "mind large numbers"),
            ("has to be changed", lambda: fenced(self.repairs.pop(0))),
        ):
            if mark in said:
                return answer()
        return fenced(self.programs.pop(0))


def fenced(program: str) -> str:
    return f"Here it is:\n```python\n{program}\n```\nDone."


async def solved(script: Script, **settings: int) -> tuple[Deliberation, Asked]:
    ask = Asked(script)
    numbers = {"plans": 1, "programs": len(script.programs), **settings}
    return await ByTests(RUN, **numbers).on(question("write double(n)"), ask), ask


def programs_of(found: Deliberation) -> list[list[str]]:
    return [[code_of(one.text).strip() for one in candidates] for candidates in found.rounds]


async def test_the_right_program_wins_over_a_broken_and_a_wrong_one() -> None:
    """One that cannot be parsed is not run on the tests."""
    found, _ = await solved(Script([BROKEN, WORSE, GOOD], []))
    assert code_of(found.chosen[0].text).strip() == GOOD
    assert found.stopped == "accepted"
    critics = [[one.critic for one in candidate.said] for candidate in found.rounds[0]]
    assert critics == [["runs"], ["runs", "tests"], ["runs", "tests"]]
    assert found.rounds[0][1].faults[0].judgement.feedback == f"{TESTS[0]}\n{TESTS[2]}"


async def test_a_failing_program_is_repaired_with_advice_and_the_failures_in_sight() -> None:
    """Advice is asked for with the failing tests; the coder is shown the advice."""
    found, ask = await solved(Script([OFF], [GOOD]))
    assert programs_of(found) == [[OFF], [GOOD]]
    assert any(TESTS[2] in last(one) and "Write no code" in last(one) for one in ask.heard)
    assert any("mind large numbers" in last(one) and "changed" in last(one) for one in ask.heard)


async def test_where_no_advice_is_kept_the_failing_tests_are_the_advice() -> None:
    """The failures themselves say what is wrong."""
    _, ask = await solved(Script([OFF], [GOOD], dropped=("mind large numbers",)))
    (told,) = [last(one) for one in ask.heard if "has to be changed" in last(one)]
    assert TESTS[2] in told
    assert "mind large numbers" not in told


async def test_a_program_that_fails_as_before_is_given_up() -> None:
    """The stuck rule: the third version is never asked for."""
    script = Script([OFF], [OFF, GOOD])
    found, _ = await solved(script)
    assert found.stopped == "nothing left to repair"
    assert script.repairs == [GOOD]


async def test_one_test_that_hangs_does_not_fail_the_others() -> None:
    """Where they do not come to their end together, they are run one by one."""
    endless = "def double(n):\n    while n == 5:\n        pass\n    return 2 * n"
    found = await ByTests(Limited(seconds=120.0, cpu_s=1), plans=1, programs=1, rounds=0).on(
        question("write double(n)"), Asked(Script([endless], []))
    )
    assert found.rounds[0][0].faults[0].judgement.feedback == TESTS[2]


async def test_repairs_are_limited() -> None:
    """Other failures each time, three rounds at most."""
    wrong = [f"def double(n):\n    return {n} if n == {n} else 2 * n + {n}" for n in range(1, 9)]
    found, _ = await solved(Script([BROKEN], wrong), rounds=2)
    assert (len(found.rounds), found.stopped) == (3, "2 repairs")


async def test_a_wrong_test_is_pruned_or_outvoted() -> None:
    """Pruned where a model sees it; else the right program still passes most."""
    script = Script([OFF, GOOD], [], tests=(*TESTS, LIE), dropped=(LIE,))
    pruned, _ = await solved(script)
    assert (code_of(pruned.chosen[0].text).strip(), pruned.stopped) == (GOOD, "accepted")
    outvoted, _ = await solved(Script([WORSE, GOOD], [WORSE, GOOD], tests=(*TESTS, LIE)))
    assert code_of(outvoted.chosen[0].text).strip() == GOOD
    assert outvoted.stopped == "nothing left to repair"


async def test_what_is_no_test_is_dropped_without_a_model() -> None:
    """Half a line, two statements, prose: only single asserts stay, each once."""
    odd = ("assert double(1 ==", "assert True; import os", "I assert that it works", TESTS[0], TESTS[0])
    found, ask = await solved(Script([GOOD], [], tests=odd))
    assert found.rounds[0][0].said[-1].judgement.ok is True
    asked = [last(one) for one in ask.heard if one.choices and "A test for this" in last(one)]
    assert len(asked) == 1


async def test_plans_that_a_model_drops_are_not_followed() -> None:
    """Each program is written by a plan that was kept, and pruning can be switched off."""
    _, ask = await solved(Script([GOOD], [], plan="guess", dropped=("guess",)))
    assert not any("guess" in last(one) for one in ask.heard if "whole program in Python" in last(one))
    bare = Asked(Script([GOOD], [], plan="guess", dropped=("guess",)))
    await ByTests(RUN, plans=1, programs=1, prunes=False).on(question("write double(n)"), bare)
    assert not any(one.choices for one in bare.heard)


@pytest.mark.parametrize("cheat", ["import sys\nsys.exit(0)", "import os\nos._exit(0)"])
async def test_a_program_that_ends_before_the_test_has_not_passed_it(cheat: str) -> None:
    """Ending well is not enough."""
    found, _ = await solved(Script([f"{WORSE}\n{cheat}"], [WORSE]), rounds=0)
    assert found.rounds[0][0].ok is False


# Small problems, with chance in the place of a programmer.


class Programmer:
    """Writes what is right 4 times in 10, else what is wrong or cannot be parsed; mends half of it."""

    def __init__(self, task: Problem, seed: int) -> None:
        self.task, self.chance = task, random.Random(seed)

    def __call__(self, request: Request) -> str:
        said = last(request)
        if request.choices:
            return "yes"
        if "Write at most" in said:
            wrong = self.task.tests[0].replace("==", "!=")
            return "\n".join([*self.task.tests, wrong])
        if "Do not write code yet" in said or "Write no code" in said:
            return "think"
        return fenced(self._program(0.5 if "has to be changed" in said else 0.4))

    def _program(self, p: float) -> str:
        if self.chance.random() < p:
            return self.task.right
        return self.task.wrong if self.chance.random() < 0.7 else self.task.wrong.replace("return", "retur")


def passes(program: str, task: Problem) -> bool:
    try:
        exec(f"{program}\n{task.hidden}", {})  # it stands above, word for word
    except (SyntaxError, AssertionError, LookupError):
        return False
    return True


async def test_more_small_problems_are_solved_than_by_a_single_shot() -> None:
    """Really run, with one wrong test in each set: pass@1 on hidden tests, beside the first program alone."""
    single = by_tests = 0
    for seed, task in enumerate(PROBLEMS):
        found = await ByTests(RUN, plans=1, rounds=1).on(question(task.text), Asked(Programmer(task, seed)))
        single += passes(code_of(found.rounds[0][0].text), task)
        by_tests += passes(code_of(found.chosen[0].text), task)
    assert by_tests >= 9
    assert single <= 5


async def test_programs_run_in_the_sandbox_too_and_other_answers_are_left_as_they_are() -> None:
    """The sandbox is put in the place of limits; an answer without a program costs nothing more."""
    if lacking():
        pytest.skip("no sandbox on this machine")
    ask = Asked(Script([BROKEN, OFF], [GOOD, GOOD]))
    found = await ByTests(Sandbox(), plans=1, programs=2).on(question("write double(n)"), ask)
    assert code_of(found.chosen[0].text).strip() == GOOD
    words = (Message("assistant", "It is in the drawer."),)
    left = await ByTests(Sandbox()).on(question("where is it?"), ask, words)
    assert (left.stopped, left.chosen[0].message) == ("no program", words[0])
