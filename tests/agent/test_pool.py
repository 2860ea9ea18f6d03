"""Pools of attempts: strategies that were not tried, answers that were put together and judged."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import product
from statistics import mean, stdev

import pytest

from agent.models.scripted import FunctionModel
from agent.pool import attempts, thoughts
from agent.pool.attempts import Attempt, at_first, condensed, on_all, on_failed, on_two, plain
from agent.pool.mechanism import Change, Entry, Made, Move, Pool, evolve, scheduled
from agent.pool.thoughts import Reasoner, Thought, Thoughts, allowed, begun, best_of, static, voting
from agent.types import Judgement
from memory.errors import BadInput
from memory.types import Message
from tests.agent.asks import Asked, last

HALVES = ("read first", "test first", "guess"), ("small steps", "one patch", "rewrite")
WAYS = tuple(" and ".join(pair) for pair in product(*HALVES))
"""Nine strategies: a first half and a second."""


def half(rng: random.Random, told: str) -> str:
    """What a model does with a strategy: as told, or its habit, drawn from few."""
    return next((way for way in WAYS if plain(way) in plain(told)), WAYS[rng.choice([8, 8, 8, 7, 5])])


class Bandit:
    """Three of nine strategies solve it; a half that is right is worth something."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        first, second = self.rng.sample(range(3), 2)
        self.good = {WAYS[3 * first + second], WAYS[3 * first + (second + 1) % 3], WAYS[3 * second + first]}
        self.tried: list[str] = []

    async def attempt(self, strategy: str) -> tuple[Attempt, Judgement]:
        way = half(self.rng, strategy)
        self.tried.append(way)
        score = 1.0 if way in self.good else 0.2
        status = "solved" if way in self.good else "failed"
        made = Attempt(way, way, status=status, reason=f"{way} did not do", told=strategy)
        return made, Judgement(score, ok=way in self.good)

    def propose(self, request_text: str) -> str:
        """Operators: some other strategy, now and then one of those that are shown as tried."""
        return json.dumps({"strategy": self.rng.choice(WAYS)})


async def best_of_pool(seed: int, n: int) -> tuple[bool, list[str], int]:
    """Whether it was solved, what was tried, and all calls, those of the operators too."""
    task = Bandit(seed)
    ask = Asked(lambda request: task.propose(last(request)))
    moves = [at_first, on_failed, on_two, on_all, on_failed, on_two][:n]
    done = await evolve(Pool(), attempts.operators(ask, task.attempt, retries=5), scheduled(moves), most=n)
    return done.best is not None and done.best.is_right, task.tried, len(task.tried) + len(ask.heard)


async def best_of_n(seed: int, n: int) -> bool:
    task = Bandit(seed)
    return any([(await task.attempt(""))[1].ok for _ in range(n)])


async def test_best_of_pool_beats_best_of_n_at_equal_calls() -> None:
    """Forty seeds, an attempt for every call of an operator: the gain is above nought at 95 %."""
    gains = []
    for seed in range(40):
        is_solved, _, calls = await best_of_pool(seed, 6)
        gains.append(float(is_solved) - float(await best_of_n(seed, calls)))
    assert mean(gains) - 1.96 * stdev(gains) / len(gains) ** 0.5 > 0.0


async def test_no_strategy_is_tried_twice() -> None:
    """Whatever is proposed, by its words; a model that has no other idea ends without an attempt."""
    for seed in range(20):
        _, tried, _ = await best_of_pool(seed, 6)
        assert len(set(tried)) == len(tried)
    stubborn = Asked(lambda _: json.dumps({"strategy": "Guess, and REWRITE!"}))
    pool = Pool((Entry(0, Attempt("guess and rewrite"), judgement=Judgement(0.0, ok=False)),))
    made = await evolve(pool, attempts.operators(stubborn, Bandit(0).attempt), scheduled([on_failed]), most=1)
    assert len(made.entries) == 1
    assert "was tried before: Guess, and REWRITE!" in last(stubborn.heard[-1])


async def test_recombination_takes_a_recalled_attempt_and_the_last() -> None:
    """The proposer is shown both; without a recalled one, the last two."""
    shown = Asked(lambda _: json.dumps({"strategy": "read first and one patch"}))
    failed = Judgement(0.2, ok=False)
    old = Entry(0, Attempt("read first and small steps", is_recalled=True))
    pool = Pool((old, *(Entry(n, Attempt(way), judgement=failed) for n, way in enumerate(WAYS[6:8], 1))))
    assert on_two(pool) == Move("recombine", (0, 2))
    assert on_two(Pool(tuple(Entry(n, Attempt(way)) for n, way in enumerate(WAYS[:3])))).on == (1, 2)
    made = await evolve(pool, attempts.operators(shown, Bandit(1).attempt), scheduled([on_two]), most=1)
    assert "read first and small steps" in last(shown.heard[0])
    assert WAYS[7] in last(shown.heard[0])
    assert (made.entries[-1].operator, made.entries[-1].content.told) == (
        "recombine",
        "read first and one patch",
    )


async def test_an_attempt_is_condensed_to_all_its_fields() -> None:
    """Long texts are cut; what cannot be read keeps its last words."""
    named = dict.fromkeys(("approach", "strategy", "pattern", "status", "reason"), "x" * 900)
    lists = ("modified", "changes", "techniques", "tools", "assumptions", "components")
    said = json.dumps(named | {name: [f"{name} 1"] for name in lists})
    whole = await condensed(Asked(lambda _: said), "a log", "careful")
    assert (len(whole.strategy), whole.told, whole.components) == (400, "careful", ("components 1",))
    assert all(f"{name} 1" in whole.render() for name in lists)
    poor = await condensed(Asked(lambda _: "no idea"), "a log", "")
    assert (poor.strategy, poor.approach) == ("unknown", "a log")


async def test_a_move_that_is_none_is_refused() -> None:
    """An unknown operator and an unknown entry are told by name."""

    async def idle(_: Pool[str], __: tuple[Entry[str], ...]) -> Change[str]:
        return Change((Made("x"),))

    for move, message in (
        (Move("fly"), "'fly'; there are: idle"),
        (Move("idle", (3,)), r"\[3\] are not some"),
    ):
        with pytest.raises(BadInput, match=message):
            await evolve(Pool(), {"idle": idle}, scheduled([lambda _, move=move: move]), most=1)


class Sorter:
    """Sorts, and drops numbers: the more the longer the list; merging drops too."""

    def __init__(self, seed: int, *, merge_error: float = 0.0) -> None:
        self.rng, self.calls, self.merge_error = random.Random(seed), 0, merge_error

    def reasoner(self) -> Reasoner:
        return Reasoner(self.split, self.solve, self.refine, self.aggregate, self.judge)

    async def split(self, problem: str) -> list[str]:
        numbers = problem.split()
        middle = len(numbers) // 2
        return [" ".join(numbers[:middle]), " ".join(numbers[middle:])]

    async def solve(self, problem: str) -> str:
        self.calls += 1
        numbers = sorted(problem.split(), key=int)
        p_error = max(0.0, (len(numbers) - 4) / 16)
        return " ".join(numbers[1:] if self.rng.random() < p_error else numbers)

    async def refine(self, problem: str, answer: str, fault: str) -> str:
        assert "missing" in fault
        return await self.solve(problem)

    async def aggregate(self, problem: str, parts: Sequence[tuple[str, str]], fault: str) -> str:
        self.calls += 1
        numbers = sorted(" ".join(answer for _, answer in parts).split(), key=int)
        return " ".join(numbers[1:] if self.rng.random() < self.merge_error else numbers)

    async def judge(self, problem: str, answer: str) -> Judgement:
        wanted = sorted(problem.split(), key=int)
        lost = len(wanted) - len(answer.split())
        return Judgement(1 - lost / len(wanted), ok=answer.split() == wanted, feedback=f"{lost} missing")


def numbers(n: int, seed: int) -> str:
    return " ".join(str(one) for one in random.Random(f"{n}/{seed}").sample(range(100), n))


def error(pool: Thoughts) -> float:
    best = best_of(pool, 0)
    return 1.0 if best is None else 1.0 - best.score


def chooser(text: str) -> str:
    """A list of four or less is solved at once, longer ones as the schedule has them."""
    first = next(line for line in text.splitlines() if line.startswith("[0]"))
    if "answer to [0]" in text:
        return json.dumps({"action": "finish", "on": [0]})
    short = len(first.split("problem: ")[1].split()) <= 4
    return json.dumps({"action": "solve" if short else "finish", "on": [0]})


async def test_a_chooser_uses_fewer_calls_than_the_schedule_at_equal_error() -> None:
    """Twelve lists, four of them short: those the schedule splits for nothing."""
    spent: dict[str, list[float]] = {"static": [0, 0], "voted": [0, 0]}
    for seed in range(12):
        for name in spent:
            sorter = Sorter(seed)
            ask = Asked(lambda request: chooser(last(request)))
            choose = static() if name == "static" else voting(ask, otherwise=static())
            whole = begun(numbers((4, 8, 16)[seed % 3], seed))
            pool = await evolve(whole, thoughts.operators(sorter.reasoner()), choose, most=40, is_enough=done)
            spent[name][0] += sorter.calls
            spent[name][1] += error(pool)
    assert spent["voted"][1] == spent["static"][1] == 0.0
    assert spent["voted"][0] < spent["static"][0]


def done(pool: Thoughts) -> bool:
    best = best_of(pool, 0)
    return best is not None and best.is_right


async def test_aggregates_that_are_wrong_are_kept_only_where_nobody_looks() -> None:
    """Merging that loses numbers four times in ten: the critic off leaves the error in, on removes it."""
    errors = {True: 0.0, False: 0.0}
    for seed in range(20):
        for verifies in errors:
            sorter = Sorter(seed, merge_error=0.4)
            operators = thoughts.operators(sorter.reasoner(), verifies=verifies)
            whole = begun(numbers(8, seed))
            pool = await evolve(whole, operators, static(tries=12), most=60, is_enough=answered)
            errors[verifies] += error(pool)
    assert errors[True] == 0.0
    assert errors[False] > 0.3


def answered(pool: Thoughts) -> bool:
    """Takes the first answer to the whole that is in the pool."""
    return best_of(pool, 0) is not None


async def test_problems_are_split_two_deep_at_most() -> None:
    """Whatever a chooser says: the third split changes nothing, and is not among what is allowed."""
    operators = thoughts.operators(Sorter(0).reasoner())
    splits = [Move("split", (0,)), Move("split", (1,)), Move("split", (3,))]
    pool = await evolve(
        begun(numbers(16, 0)), operators, scheduled([lambda _, m=m: m for m in splits]), most=3
    )
    assert [one.content.depth for one in pool.entries] == [0, 1, 1, 2, 2]
    assert not allowed(pool, Move("split", (3,)))
    assert allowed(pool, Move("solve", (3,)))
    assert not allowed(pool, Move("aggregate", (0,)))


async def test_a_tie_of_votes_is_decided_by_the_schedule() -> None:
    """Two voters, two opinions; and one for a move that cannot be made."""
    says = iter(['{"action": "solve", "on": [0]}', '{"action": "refine", "on": [0]}'] * 2)
    model = FunctionModel(lambda _: Message("assistant", next(says)))
    assert await voting(model.complete, votes=2, otherwise=static())(begun("1 2")) == Move("split", (0,))
    bad = FunctionModel(lambda _: Message("assistant", '{"action": "keep", "on": [7]}'))
    assert await voting(bad.complete, otherwise=static())(begun("1 2")) == Move("split", (0,))
    one = FunctionModel(lambda _: Message("assistant", '{"action": "solve", "on": [0]}'))
    assert await voting(one.complete, otherwise=static())(begun("1 2")) == Move("solve", (0,))


async def test_the_best_of_several_answers_is_kept() -> None:
    """What is dropped is neither shown nor the best."""
    pool = Pool(
        (
            *begun("3 1").entries,
            *(
                Entry(n, Thought("3 1", text, of=0), "solve", (0,), Judgement(score, ok=score == 1))
                for n, (text, score) in enumerate([("3", 0.5), ("1 3", 1.0)], 1)
            ),
        )
    )
    keep = thoughts.operators(Sorter(0).reasoner())["keep"]
    assert (await keep(pool, pool.of((1, 2)))).dropped == (1,)
    done_ = await evolve(
        pool, {"keep": keep}, scheduled([lambda _: Move("keep", (1, 2))]), most=1, is_enough=lambda _: False
    )
    assert "[1]" not in thoughts.render(done_)
