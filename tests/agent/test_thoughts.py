"""Planner `thoughts` in the real loop: sorting and set intersection by a model that errs with length."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.named import planner_named
from agent.planners.thoughts import GraphOfThoughts
from agent.pool.mechanism import evolve
from agent.pool.reasoning import reasoner
from agent.pool.thoughts import begun, best_of, operators, static
from agent.tools import ToolWorld
from agent.types import Budget, Judgement, Task
from agent.verification.verify import Verifier
from memory.types import Episode, Message

RUN = Run("ns", "ann", "e1")
Says = Callable[[str, str], str | None]
"""What is said to a problem and a question about it in the place of the usual; None is the usual."""
KINDS = ("sort", "intersect")


def problem(kind: str, n: int, seed: int) -> str:
    rng = random.Random(f"{kind}/{n}/{seed}")
    first, second = (" ".join(map(str, rng.sample(range(40), n))) for _ in range(2))
    return f"sort: {first}" if kind == "sort" else f"intersect: {first} & {second}"


def split(text: str) -> list[str]:
    """Halves of the list, or of the first set; each a problem of its own."""
    kind, _, rest = text.partition(": ")
    first, _, second = rest.partition(" & ")
    numbers = first.split()
    halves = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    return [f"{kind}: {' '.join(half)}{f' & {second}' if second else ''}" for half in halves]


def solution(text: str) -> list[int]:
    kind, _, rest = text.partition(": ")
    first, _, second = rest.partition(" & ")
    numbers = {int(one) for one in first.split()}
    return sorted(numbers if kind == "sort" else numbers & {int(one) for one in second.split()})


def read(text: str) -> list[int]:
    return [int(one) for one in text.split()]


@dataclass(frozen=True)
class Mind:
    """Solves, and adds a number that is not there: the more the longer; merging adds one too.

    It says the same to the same, as a model without temperature.
    """

    seed: int = 0
    merge_error: float = 0.0
    votes: str = '{"action": "finish", "on": []}'
    says: Says = lambda _, __: None

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if "graph of thoughts" in text:
            return Message("assistant", self.vote(text))
        if not text.startswith("Do not act.\n"):
            task = next(one.text for one in messages if ": " in one.text and one.kind == "task")
            asked = re.findall(r"(?:sort|intersect): [\d &]*\d", task)[0]
            return Message("assistant", self.answer(asked, solution(asked), text))
        _, about, told = text.split("\n", 2)
        asked = about.removeprefix("Problem: ")
        said = self.says(asked, told)
        return Message("assistant", self.reply(asked, told) if said is None else said)

    def reply(self, asked: str, told: str) -> str:
        if told.startswith("Split"):
            return json.dumps({"parts": split(asked)})
        if "Check this answer" in told:
            given = read(told.splitlines()[0].removeprefix("Answer: "))
            extra = sorted(set(given) - set(solution(asked)))
            lost = sorted(set(solution(asked)) - set(given))
            fault = f"too much: {extra}; missing: {lost}" if extra or lost else ""
            score = max(0.0, 1 - (len(extra) + len(lost)) / 10)
            return json.dumps({"fault": fault, "score": score, "right": not fault})
        if told.startswith("Part: "):
            answers = re.findall(r"Its answer: (.*)", told)
            merged = sorted({one for answer in answers for one in read(answer)})
            return json.dumps({"answer": self.answer(asked, merged, told, p_error=self.merge_error)})
        return json.dumps({"answer": self.answer(asked, solution(asked), told)})

    def answer(self, asked: str, right: list[int], told: str, p_error: float | None = None) -> str:
        n = len(asked.partition(": ")[2].partition(" & ")[0].split())
        p = max(0.0, (n - 5) / 12) if p_error is None else p_error
        errs = random.Random(f"{self.seed}/{asked}/{told}").random() < p
        return " ".join(map(str, [*right, 77] if errs else right))

    def vote(self, text: str) -> str:
        return self.votes


class Deep(Mind):
    """Votes to split whatever was not split yet, the newest first."""

    def vote(self, text: str) -> str:
        problems = [int(one) for one in re.findall(r"^\[(\d+)\] problem", text, re.MULTILINE)]
        gone = {int(one) for one in re.findall(r"split \[(\d+)\]", text)}
        left = [one for one in problems if one not in gone] or [0]
        return json.dumps({"action": "split", "on": left[-1:]})


def judged(task: Task, answer: str) -> Judgement:
    try:
        return Judgement(1.0, ok=read(answer) == solution(task.text))
    except ValueError:
        return Judgement(0.0, ok=False)


async def thought(
    text: str,
    mind: Mind,
    planner: GraphOfThoughts | None,
    run: Run = RUN,
    journal: MemoryJournal | None = None,
) -> tuple[Episode, FunctionModel]:
    model = FunctionModel(mind)
    task, world = Task("t1", text, "tools", "lists"), ToolWorld([], check=judged)
    return await Agent(model, None, planner=planner).run(task, world, run, journal), model


def kept(episode: Episode) -> list[Mapping[str, Any]]:
    """The graph, as the episode has it."""
    found = episode.feedback["thoughts"]
    assert isinstance(found, list)
    return [one for one in found if isinstance(one, dict)]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_model_cannot_do_at_once_it_does_in_parts(kind: str) -> None:
    """Ten problems of sixteen numbers: in parts all are right, at once one or two are."""
    planner = planner_named("thoughts")
    assert isinstance(planner, GraphOfThoughts)
    in_parts = [await thought(problem(kind, 16, seed), Mind(seed), planner) for seed in range(10)]
    at_once = [await thought(problem(kind, 16, seed), Mind(seed), None) for seed in range(10)]
    assert all(one.outcome == "success" for one, _ in in_parts)
    assert sum(one.outcome == "success" for one, _ in at_once) <= 2


@pytest.mark.parametrize("kind", KINDS)
async def test_no_aggregate_that_is_wrong_is_kept_where_somebody_looks(kind: str) -> None:
    """Merging errs four times in ten: what is put together wrong is tried again, told what was wrong."""
    errors = {True: 0, False: 0}
    for seed in range(20):
        for verifies in errors:
            model = FunctionModel(Mind(seed, merge_error=0.4))
            actions = operators(reasoner(model.complete), verifies=verifies)
            pool = await evolve(
                begun(problem(kind, 12, seed)),
                actions,
                static(tries=12),
                most=80,
                is_enough=lambda pool: best_of(pool, 0) is not None,
            )
            best = best_of(pool, 0)
            assert best is not None
            errors[verifies] += not best.is_right
            heard = [one.messages[-1].text for one in model.history]
            if verifies and any(one.is_dropped and one.operator == "aggregate" for one in pool.entries):
                assert any("Wrong with the tries before: too much: [77]" in one for one in heard)
    assert errors[True] == 0
    assert errors[False] >= 4


@pytest.mark.parametrize("votes", [0, 3])
async def test_problems_are_split_two_deep_at_most(votes: int) -> None:
    """Whatever the voters want; the schedule does what they may not."""
    episode, model = await thought(problem("sort", 16, 0), Deep(), GraphOfThoughts(votes=votes))
    assert episode.outcome == "success"
    assert max(int(one["content"]["depth"]) for one in kept(episode)) == 2
    deeper, _ = await thought(problem("sort", 16, 0), Deep(), GraphOfThoughts(votes=votes, depth=3))
    assert max(int(one["content"]["depth"]) for one in kept(deeper)) == 3
    assert any(request.n == 3 for request in model.history) == bool(votes)


def mute(*questions: str) -> Says:
    """No word that can be read to questions that begin like this."""
    return lambda _, told: "hm" if told.startswith(questions) else None


async def test_a_thought_that_failed_is_tried_again_kept_and_told() -> None:
    """The parts cannot be put together: two tries on each, then the answer is worked out as any other."""
    text = problem("intersect", 12, 0)
    episode, model = await thought(text, Mind(says=mute("Part: ")), GraphOfThoughts(depth=1))
    failed = [one for one in kept(episode) if one["operator"] == "aggregate"]
    assert [(one["is_dropped"], one["judgement"]["feedback"]) for one in failed] == [
        (True, "there was no answer")
    ] * 2
    told = next(one.text for one in episode.messages if one.text.startswith("Thought through so far"))
    for part in split(text):
        assert f"- {part}: {' '.join(map(str, solution(part)))} (judged right)" in told
    asked = [one.messages[-1].text for one in model.history]
    assert any("Wrong with the tries before: there was no answer" in one for one in asked)
    assert episode.messages[-1].kind == "answer"


@pytest.mark.parametrize(
    "says", [mute("Split", "Solve", "Answer", "Part: "), mute("Answer"), lambda _, told: "nonsense"]
)
async def test_where_nothing_can_be_thought_or_judged_the_answer_is_an_ordinary_one(says: Says) -> None:
    """A few moves, then a turn of the model; what nobody judged is not given as sure."""
    episode, model = await thought("sort: 3 1 2", Mind(says=says), GraphOfThoughts())
    assert episode.outcome == "success"
    assert any("none of it sure" in one.text for one in episode.messages)
    assert len(model.history) < 30
    assert episode.usage.calls == sum(request.n for request in model.history)


async def test_voters_that_always_name_one_move_do_not_use_up_the_run() -> None:
    """What was tried twice is no more allowed: the schedule goes on, and the whole ends."""
    stubborn = Mind(votes='{"action": "solve", "on": [0]}')
    episode, _ = await thought(problem("sort", 16, 1), stubborn, GraphOfThoughts())
    assert episode.outcome == "success"
    made = [one["operator"] for one in kept(episode) if not one["parents"] or one["parents"] == [0]]
    assert made.count("solve") == 2


async def test_a_budget_ends_it_and_what_was_thought_stays() -> None:
    """In the middle, by tokens."""
    run = replace(RUN, budget=Budget(max_tokens=2000))
    episode, _ = await thought(problem("sort", 16, 0), Mind(), GraphOfThoughts(), run)
    assert (episode.outcome, "no tokens are left" in str(episode.error)) == ("unknown", True)
    assert len(kept(episode)) > 1


async def test_it_is_replayed_alike_from_every_cut() -> None:
    """The same episode from any part of its journal; from the whole of it, no model is asked."""
    text, mind, journal = problem("intersect", 12, 3), Mind(3, merge_error=0.4), MemoryJournal()
    whole, _ = await thought(text, mind, GraphOfThoughts(), journal=journal)
    names = list(journal.record)
    for cut in range(len(names)):
        part = MemoryJournal({name: journal.record[name] for name in names[:cut]})
        again, _ = await thought(text, mind, GraphOfThoughts(), journal=part)
        assert (again.messages, again.outcome, again.feedback) == (
            whole.messages,
            whole.outcome,
            whole.feedback,
        )
    task = Task("t1", text, "tools", "lists")
    agent = Agent(ScriptedModel([], name=whole.model), None, planner=GraphOfThoughts())
    assert await agent.run(task, ToolWorld([], check=judged), RUN, journal) == whole


async def test_a_part_is_thought_through_by_itself() -> None:
    """Not the whole task once more for each of its parts."""
    text = problem("sort", 16, 2)
    plans = iter([[split(text)[0]], [], []])
    mind = Mind(2)

    def speak(messages: tuple[Message, ...]) -> Message:
        if messages[-1].text.endswith('Answer with JSON {"parts": ["…"]}.'):
            return Message("assistant", json.dumps({"parts": next(plans)}))
        return mind(messages)

    model = FunctionModel(speak)
    agent = Agent(model, None, planner=GraphOfThoughts(), verifier=Verifier(in_parts=True))
    episode = await agent.run(Task("t1", text, "tools", "lists"), ToolWorld([], check=judged), RUN)
    roots = [
        one.messages[-1].text for one in model.history if "Done so far: nothing" in one.messages[-1].text
    ]
    thought_of = [one.splitlines()[0].removeprefix("[0] problem: ") for one in roots]
    assert (thought_of[0], thought_of[-1]) == (split(text)[0], text)
    assert episode.outcome == "success"
