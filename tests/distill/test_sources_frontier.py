"""Sources at the edge of what can be done: the batch follows the executor; nonsense does not take it over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from agent.guards.feasible import FeasibleSettings
from agent.models.scripted import FunctionModel
from agent.types import Judgement
from distill.sources.edge import AtFrontier, mae
from distill.sources.finding import Search
from distill.sources.frontier import Frontier
from distill.sources.known import Candidate, Known, Proposal, Rules
from memory.types import Episode, Message
from tests.distill.proposing import attempt, fine, text_task, texts

LEVELS = {
    1: "stack wooden blocks",
    2: "sort coloured marbles",
    3: "repair torn kites",
    4: "tune broken violins",
    5: "translate ancient tablets",
}
WORDS = ("amber", "basalt", "cobalt", "damask", "ebony", "fern", "garnet", "hazel", "indigo", "jade", "kelp")


def drawing(rng: random.Random) -> FunctionModel:
    """A proposer that knows nothing: tasks of all levels alike."""

    def write(_: tuple[Message, ...]) -> str:
        said = [f"{LEVELS[level]} {' '.join(rng.sample(WORDS, 3))}" for level in (*LEVELS, *LEVELS)]
        return json.dumps({"tasks": said})

    return FunctionModel(write)


def level_of(text: str) -> int:
    return next(level for level, words in LEVELS.items() if text.startswith(words))


def chance(skill: float, level: int) -> float:
    """Of an executor: even at its own level, falling by a quarter a level."""
    return min(1.0, max(0.0, 0.5 + 0.25 * (skill - level)))


def tries(rng: random.Random, solves: Callable[[str], float], batch: list[str], n: int) -> list[Episode]:
    """Attempts at each task of a batch, the newest first."""
    lived = []
    for text in batch:
        task = text_task({"text": text, "family": "mail"})
        for place in range(n):
            outcome = "success" if rng.random() < solves(text) else "failure"
            lived.append(attempt(task, outcome, place))  # type: ignore[arg-type]
    rng.shuffle(lived)
    return lived


async def test_the_batch_is_in_the_band_and_moves_up_with_the_executor() -> None:
    """Agent0: three rounds of an executor that gets better; its attempts are all that the source knows."""
    rng = random.Random(3)
    frontier = Frontier(near=FeasibleSettings(votes=0, recent=120, width=0.3))
    means, inside = [], []
    for skill in (1.5, 2.5, 3.5):
        # What the executor does now: a survey of all levels, as memory would hold it after a while.
        survey = [f"{words} {rng.choice(WORDS)} number {n}" for words in LEVELS.values() for n in range(3)]
        solves = lambda text, skill=skill: chance(skill, level_of(text))  # noqa: E731
        known = texts(*tries(rng, solves, survey, 8))
        search = Search(AtFrontier(), drawing(rng).complete, fine, frontier)
        found = await search.run(known, 6)
        levels = [level_of(one.task.text) for one in found.chosen]
        assert len(levels) == 6
        means.append(sum(levels) / len(levels))
        inside += [0.2 <= chance(skill, level) <= 0.85 for level in levels]
        assert any(one.reason.startswith("band: too hard") for one in found.refused)
    assert sum(inside) / len(inside) >= 0.9
    assert means[0] + 0.5 < means[1] < means[2] - 0.5, means


def hostile(rng: random.Random) -> FunctionModel:
    """Writes ever more of what this search accepted, and of the rest a half is unanswerable."""

    def write(messages: tuple[Message, ...]) -> str:
        said = [f"repair torn kites {' '.join(rng.sample(WORDS, 3))}" for _ in range(6)]
        said += [f"name the {' '.join(rng.sample(WORDS, 3))} nobody ever named" for _ in range(6)]
        rng.shuffle(said)
        return json.dumps({"tasks": said})

    return FunctionModel(write)


async def unanswerable(candidate: Candidate, _: Known) -> Judgement:
    return Judgement(0.65 if "nobody" in candidate.task.text else 0.9, None, "it has no answer")


async def pool(rules: Rules, rounds: int = 3) -> float:
    """The share of unanswerable tasks after rounds of choosing the hardest."""
    rng = random.Random(5)
    known_hard = [
        attempt(text_task({"text": f"name the {word} nobody ever named", "family": "mail"}), "failure")
        for word in WORDS
    ]
    episodes: list[Episode] = []
    for _ in range(rounds):
        known = texts(*episodes, *known_hard)
        source = AtFrontier("mae", "difficulty", rules)
        found = await Search(source, hostile(rng).complete, unanswerable).run(known, 4)
        batch = [one.task.text for one in found.chosen]
        episodes = [*tries(rng, lambda text: 0.0 if "nobody" in text else 0.5, batch, 2), *episodes]
    asked = {one.task for one in episodes}
    return sum("nobody" in text for text in asked) / len(asked)


async def test_without_the_quality_filter_what_cannot_be_answered_takes_the_pool_over() -> None:
    """MAE: difficulty alone rewards nonsense most."""
    band = mae().rules.band
    assert await pool(Rules(band, quality=0.0)) >= 0.7
    assert await pool(Rules(band, quality=0.7)) == 0.0


def candidate(text: str, p: float, calls: float = 0.0, quality: float = 1.0) -> Candidate:
    task = text_task({"text": text, "family": "mail"})
    return Candidate(task, Proposal(text), p, 5.0, calls, quality)


def test_worth_is_uncertainty_and_calls_less_the_share_of_the_cluster() -> None:
    """By hand: each of the three parts decides once."""
    even, sure = candidate("stack wooden blocks", 0.5), candidate("tune broken violins", 0.75)
    assert AtFrontier().choose([sure, even], 1) == [even]
    busy = candidate("repair torn kites", 0.5, calls=9.0)
    assert AtFrontier().choose([even, busy], 1) == [busy]
    copies = [
        candidate(f"stack big heavy wooden blocks neatly beside windows {word}", 0.5)
        for word in ("monday", "tuesday", "friday")
    ]
    rare = candidate("translate ancient tablets", 0.45)
    assert AtFrontier().choose([*copies, rare], 1) == [rare]
    assert AtFrontier(alike=1.1).choose([*copies, rare], 1) == [copies[0]]
    hard, good = candidate("a", 0.2, quality=0.7), candidate("b", 0.3, quality=1.0)
    assert mae().choose([hard, good], 1) == [good]
    assert AtFrontier().choose([], 3) == []


async def test_a_proposer_is_shown_what_was_accepted_and_what_was_refused() -> None:
    """In the rounds after the first, and with what share tasks succeed."""
    script = iter([["repair torn kites amber", "sing"], ["stack wooden blocks fern"], ["sing aloud"]])
    model = FunctionModel(lambda _: json.dumps({"tasks": next(script, [])}))

    async def judge(one: Candidate, _: Known) -> Judgement:
        return Judgement(0.0 if "sing" in one.task.text else 1.0, None, "no end can be seen")

    lived = [
        attempt(text_task({"text": "mend socks", "family": "mail"}), outcome, n)
        for n, outcome in enumerate(("success", "failure"))
    ]
    await Search(AtFrontier(over=1), model.complete, judge).run(texts(*lived), 3)  # type: ignore[arg-type]
    first, second = (request.messages[0].text for request in model.history[:2])
    assert '"mend socks" (50% succeed)' in first
    assert "Accepted" not in first
    assert 'Accepted:\n- "repair torn kites amber"' in second
    assert '- "sing": quality: 0.00, wanted is 0.7. no end can be seen' in second
