"""Debate of two sides, and generator, verifier, refiner: who is shown what, when it ends, what it mends."""

import json
import random

import pytest

from agent.deliberate.correct import Rewrite
from agent.deliberate.debate import Debate, Opposition
from agent.deliberate.flips import overall
from agent.deliberate.gvr import Gvr
from agent.types import Request
from memory.types import Message
from tests.agent.asks import Asked, last, question


def ruling(side: str | None, answer: str = "") -> str:
    told = {"preference": "no"} if side is None else {"preference": "yes", "side": side, "answer": answer}
    return json.dumps({**told, "reason": "as I see it"})


class Table:
    """Two sides with fixed convictions, a moderator who prefers `side` in round `when`, a judge."""

    def __init__(self, when: int, side: str = "against") -> None:
        self.when, self.side, self.n, self.roles = when, side, 0, []

    def __call__(self, request: Request) -> str:
        role = self._role(request)
        self.roles.append(role)
        match role:
            case "moderator":
                self.n += 1
                return ruling(self.side if self.n >= self.when else None, "it is 5")
            case "list":
                return '{"answers": ["4", "5"]}'
            case "judge":
                return '{"reason": "I weigh them", "answer": "5, all in all"}'
        n = sum(message.role == "assistant" for message in request.messages) + 1
        return f"{role} says {'4' if role == 'for' else '5'} for the {n}. time"

    def _role(self, request: Request) -> str:
        if request.schema is None:
            return "against" if "You disagree" in request.messages[1].text else "for"
        wanted = request.schema["required"]
        return {"preference": "moderator", "answers": "list", "answer": "judge"}[wanted[0]]


async def test_a_debate_ends_in_the_round_in_which_the_moderator_prefers_a_side() -> None:
    """And the answer is as the moderator puts it."""
    table = Table(when=2)
    found = await Debate().on(question("what is 2 + 3?"), Asked(table))
    assert table.roles == ["for", "against", "moderator"] * 2
    assert (found.stopped, found.chosen[0].text, found.chosen[0].by) == ("accepted", "it is 5", "moderator")
    assert [[one.by for one in sides] for sides in found.rounds] == [["for", "against"]] * 2
    assert [one.ok for one in found.rounds[-1]] == [False, True]


async def test_a_moderator_who_may_not_stop_it_hears_every_round() -> None:
    """The adaptive break is what ends it early."""
    table = Table(when=1)
    found = await Debate(stops_early=False).on(question("q"), Asked(table))
    assert len(found.rounds) == 3
    assert found.chosen[0].text == "it is 5"


async def test_where_nobody_has_won_a_judge_lists_the_answers_and_then_decides() -> None:
    """The fallback after the last round."""
    table = Table(when=99)
    found = await Debate(rounds=2).on(question("q"), Asked(table))
    assert table.roles == [*["for", "against", "moderator"] * 2, "list", "judge"]
    assert (found.chosen[0].text, found.chosen[0].by) == ("5, all in all", "judge")


async def test_each_side_hears_all_that_the_other_said_and_its_own_words() -> None:
    """In turn, as a talk has it; the opposed side is told first what it disagrees with."""
    ask = Asked(Table(when=99))
    await Debate(rounds=2, opposition=3).on(question("what is 2 + 3?"), ask)
    pro, con = [request for request in ask.heard if request.schema is None][-2:]
    assert [message.role for message in pro.messages] == ["system", "user", "assistant", "user"]
    assert pro.messages[2].text == "for says 4 for the 1. time"
    assert "against says 5 for the 1. time" in last(pro)
    assert "for says 4 for the 1. time" in con.messages[1].text
    assert "for says 4 for the 2. time" in last(con)
    assert "what is 2 + 3?" in con.messages[1].text


@pytest.mark.parametrize("level", [0, 1, 2, 3])
async def test_how_hard_they_oppose_is_in_the_sides_instructions_alone(level: Opposition) -> None:
    """Four levels, four texts; the moderator is not told."""
    ask = Asked(Table(when=1))
    await Debate(opposition=level).on(question("q"), ask)
    told = [request.messages[0].text for request in ask.heard if request.messages[0].role == "system"]
    assert len(told) == 2
    assert len(set(told)) == 1
    other = Asked(Table(when=1))
    await Debate(opposition=(level + 1) % 4).on(question("q"), other)
    assert other.heard[0].messages[0].text != told[0]


async def test_a_moderator_who_cannot_be_read_prefers_nobody() -> None:
    """Told so once; then the debate goes on."""
    answers = {
        "preference": "I would say against",
        "answers": '{"answers": ["5"]}',
        "answer": "no JSON at all",
    }

    def says(request: Request) -> str:
        return answers[request.schema["required"][0]] if request.schema else "5"

    ask = Asked(says)
    found = await Debate(rounds=1).on(question("q"), ask, (Message("assistant", "the base answer"),))
    assert found.chosen[0].text == "the base answer"
    moderated = [request for request in ask.heard if request.schema and "preference" in str(request.schema)]
    assert [len(request.messages) for request in moderated] == [1, 3]


class Intuition:
    """A model whose first thought is wrong on half of the questions; who opposes it finds what is right.

    Looking at its own answer again it only repeats it. As a moderator it sees the right side 8 times in 10.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.first = "right" if self.chance.random() < 0.5 else "wrong"

    def __call__(self, request: Request) -> str:
        if request.schema is None:
            opposes = len(request.messages) > 1 and "You disagree" in request.messages[1].text
            return ("wrong" if self.first == "right" else "right") if opposes else self.first
        right, wrong = ("for", "against") if self.first == "right" else ("against", "for")
        return ruling(right if self.chance.random() < 0.8 else wrong)


async def test_a_debate_mends_first_thoughts_that_looking_again_does_not() -> None:
    """More answers go from wrong to right than back: by construction, this checks the wiring."""
    found = [await Debate().on(question("q"), Asked(Intuition(seed))) for seed in range(200)]
    debated = overall([one.course(lambda text: text == "right") for one in found])
    again = [await Rewrite().on(question("q"), Asked(Intuition(seed))) for seed in range(200)]
    alone = overall([one.course(lambda text: text == "right") for one in again])
    assert debated.won > 2 * debated.lost > 0
    assert debated.accuracy > alone.accuracy + 0.2
    assert (alone.won, alone.lost) == (0, 0)


# Generator, verifier, refiner.

GENERATES, SEES = 0.6, 0.8
REFINES = {("right", True): 0.95, ("right", False): 0.7, ("wrong", True): 0.6, ("wrong", False): 0.1}


class Roles:
    """Three roles that are right as often as the constants say."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def __call__(self, request: Request) -> str:
        said = last(request)
        if "Somebody answered" in said:
            return "seen" if self.chance.random() < SEES else "missed"
        if "Somebody checked your answer" in said:
            p = REFINES[request.messages[-2].text, "seen" in said]
        else:
            p = GENERATES
        return "right" if self.chance.random() < p else "wrong"


def closed_form() -> float:
    after = {
        first: SEES * REFINES[first, True] + (1.0 - SEES) * REFINES[first, False]
        for first in ("right", "wrong")
    }
    return GENERATES * after["right"] + (1.0 - GENERATES) * after["wrong"]


async def accuracy(preset: Gvr, n: int) -> float:
    found = [await preset.on(question("q"), Asked(Roles(seed))) for seed in range(n)]
    return sum(one.chosen[0].text == "right" for one in found) / n


async def test_one_pass_is_as_good_as_its_roles_make_it() -> None:
    """Accuracy by simulation and by the closed form: .74 where the generator alone has .6."""
    expected = closed_form()
    assert expected == pytest.approx(0.74)
    assert await accuracy(Gvr(), 3000) == pytest.approx(expected, abs=0.025)


async def test_a_tree_of_27_leaves_and_a_vote_beat_one_pass() -> None:
    """Three answers, three critiques of each, three rewrites by each."""
    ask = Asked(Roles(1))
    found = await Gvr(3, 3, 3).on(question("q"), ask)
    answers, leaves = found.rounds
    assert (len(answers), len(leaves)) == (3, 27)
    assert [len(one.said) for one in answers] == [3, 3, 3]
    assert [sum(leaf.parent is one for leaf in leaves) for one in answers] == [9, 9, 9]
    votes = [leaf.text for leaf in leaves]
    assert votes.count(found.chosen[0].text) > 13
    assert [request.n for request in ask.heard] == [3] * 13
    assert all(request.temperature > 0.0 for request in ask.heard)
    assert await accuracy(Gvr(3, 3, 3), 300) > closed_form() + 0.08


async def test_a_rewrite_sees_its_answer_and_one_critique_and_the_verifier_no_tools() -> None:
    """Roles see what they need."""
    ask = Asked(lambda request: "the 3. line is off" if "Somebody answered" in last(request) else "42")
    await Gvr().on(question("what is 6 * 7?"), ask, (Message("assistant", "41"),))
    verify, refine = ask.heard
    assert "what is 6 * 7?" in last(verify)
    assert "41" in last(verify)
    assert [message.text for message in refine.messages][:2] == ["what is 6 * 7?", "41"]
    assert "the 3. line is off" in last(refine)
