"""Deliberation: rounds, critics in order, stop, select; flips; rewriting, choosing."""

import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.deliberate.asking import Counted, about, json_of, picked
from agent.deliberate.correct import Choose, Rewrite
from agent.deliberate.flips import flips, overall
from agent.deliberate.mechanism import (
    Candidate,
    Critic,
    Round,
    Rounds,
    Said,
    accepted,
    after,
    deliberate,
    each,
    each_wrong,
    first_of,
    kept,
    last_line,
    leader,
    newest,
    nothing,
    ranked,
    spoken,
    unchanged,
    voted,
)
from agent.types import Judgement, Request
from memory.types import Image, Message, Text, ToolCall
from tests.agent.asks import Asked, last, question


def said(text: str, score: float | None = None, ok: bool | None = None) -> Candidate:
    candidate = Candidate(Message("assistant", text))
    return candidate if score is None else replace(candidate, said=judged(score, ok))


def judged(score: float, ok: bool | None) -> tuple[Said, ...]:
    return (Said("test", Judgement(score, ok)),)


def texts(candidates: Round) -> list[str]:
    return [one.text for one in candidates]


def longer_than(n: int) -> Critic:
    async def judge(one: Candidate) -> Judgement:
        return Judgement(min(1.0, len(one.text) / n), len(one.text) >= n, f"under {n}")

    return each(f"longer than {n}", judge)


async def doubled(one: Candidate) -> Round:
    return (Candidate(Message("assistant", one.text * 2), parent=one),)


async def letters() -> Round:
    return said("a"), said("bbbb")


async def test_rounds_go_on_until_a_critic_is_content_and_keep_who_came_from_whom() -> None:
    """The mechanism: judged candidates, repairs of what is wrong, the best of all rounds."""
    found = await deliberate(
        letters, (longer_than(8),), each_wrong(doubled), ranked, first_of(accepted, after(9))
    )
    assert [texts(one) for one in found.rounds] == [["a", "bbbb"], ["aa", "bbbbbbbb"]]
    assert (found.stopped, found.chosen[0].text) == ("accepted", "bbbbbbbb")
    assert texts(found.chosen[0].versions) == ["bbbb", "bbbbbbbb"]
    assert [one.critic for one in found.rounds[0][0].faults] == ["longer than 8"]


async def test_a_later_critic_is_not_shown_what_an_earlier_one_found_wrong() -> None:
    """What does not parse is not run."""
    shown: list[list[str]] = []

    async def watch(candidates: Round) -> list[tuple[Judgement, ...]]:
        shown.append(texts(candidates))
        return [(Judgement(1.0, True),) for _ in candidates]

    critics = (longer_than(2), Critic("watch", watch))
    found = await deliberate(letters, critics, nothing, kept, after(0))
    assert shown == [["bbbb"]]
    assert texts(found.chosen) == ["bbbb"]


async def test_it_ends_after_so_many_repairs_when_nothing_changes_or_when_nobody_repairs() -> None:
    """Every reason to stop is named."""

    async def same(candidates: Round) -> Round:
        return tuple(Candidate(one.message, parent=one) for one in candidates)

    limited = await deliberate(letters, (longer_than(99),), each_wrong(doubled), newest, after(3))
    assert (len(limited.rounds), limited.stopped) == (4, "3 repairs")
    stuck = await deliberate(letters, (), same, newest, first_of(unchanged, after(9)))
    assert (len(stuck.rounds), stuck.stopped) == (2, "no change")
    alone = await deliberate(letters, (), nothing, newest, after(9))
    assert (len(alone.rounds), alone.stopped) == (1, "nothing left to repair")


async def test_calls_are_a_reason_to_stop_too() -> None:
    """A deliberation may be given a number of answers that it can ask for."""
    counted = Counted(Asked(lambda request: "well"))

    async def ask(_: Round) -> Round:
        return (Candidate((await counted(question("and now?")))[0].message),)

    found = await deliberate(letters, (), ask, newest, first_of(counted.up_to(3), after(9)))
    assert (found.stopped, counted.usage.calls, counted.usage.prompt_tokens) == ("3 calls", 3, 30)


async def test_votes_count_answers_and_ranks_prefer_what_took_fewer_repairs() -> None:
    """The two ways to select without a model."""
    rounds: Rounds = ((said("first: 7"),), (said("so\nAnswer: 8."), said("hence\n**9**"), said("9")))
    assert texts(await voted(last_line)(rounds)) == ["hence\n**9**", "9", "so\nAnswer: 8."]
    early = said("early", 1.0, True)
    late = replace(said("late", 1.0, True), parent=said("before", 0.2, False))
    assert texts(await ranked(((said("bad", 0.2, False), early), (late,)))) == ["early", "late", "bad"]


def test_a_candidate_is_wrong_if_anybody_says_so() -> None:
    """Right takes one who says so and nobody against."""
    assert [said("x").ok, said("x", 0.5, None).ok, said("x", 1.0, True).ok] == [None, None, True]
    both = replace(said("x"), said=judged(1.0, True) + judged(0.0, False))
    assert (both.ok, both.score) == (False, 0.5)
    assert leader((said("a", 0.1, None), said("b", 0.9, None), said("c", 0.9, None))).text == "b"


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=30))
def test_the_four_flips_add_up_to_the_questions_in_each_round(courses: list[list[bool]]) -> None:
    """And what is right after a round is right before the next."""
    table = flips(courses)
    assert {one.n for one in table} <= {len(courses)}
    for before, now in pairwise(table):
        assert before.kept + before.won == now.kept + now.lost
    total = overall(courses)
    assert total.n == len(courses)
    assert total.won - total.lost == sum(one.won - one.lost for one in table)


# Self-correction, with chance in the place of a model: it mends at first, and breaks what was right later.


class Drifting:
    """Right at first six times in ten; of rewrites the first mends much, each breaks something."""

    def __init__(self, seed: int, chooses: float = 0.85) -> None:
        self.chance, self.chooses, self.right = random.Random(seed), chooses, False
        self.rewrites = 0

    def __call__(self, request: Request) -> str:
        if request.choices:
            return self._choice(request)
        if last(request) == "question":
            self.right = self.chance.random() < 0.6
        else:
            self.rewrites += 1
            mends = 0.5 if self.rewrites == 1 else 0.05
            self.right = self.chance.random() > 0.15 if self.right else self.chance.random() < mends
        return f"version {self.rewrites}\n{'right' if self.right else 'wrong'}"

    def _choice(self, request: Request) -> str:
        parts = last(request).split("\n\n")
        right = next(part for part in parts if part.endswith("\nright"))
        wrong = next(part for part in parts if part.endswith("\nwrong"))
        return (right if self.chance.random() < self.chooses else wrong)[0]


def is_right(text: str) -> bool:
    return text.endswith("right")


async def courses(preset: Rewrite, n: int = 400) -> list[tuple[bool, ...]]:
    found = [await preset.on(question("question"), Asked(Drifting(seed))) for seed in range(n)]
    return [one.course(is_right) for one in found]


async def test_rewriting_alone_peaks_and_drifts_and_choosing_among_all_versions_holds_more() -> None:
    """Explore by rewriting, decide by a forced choice."""
    drifting = await courses(Rewrite(rounds=6, decides=False))
    table = flips(drifting)
    accuracy = [one.accuracy for one in table]
    assert all(one.n == 400 for one in table)
    assert max(accuracy) == accuracy[0]
    assert accuracy[-1] < accuracy[0] - 0.15
    decided = await courses(Rewrite(rounds=6))
    assert overall(decided).accuracy > max(accuracy)
    assert overall(decided).lost < overall(drifting).lost


async def test_the_first_version_can_be_chosen_and_votes_are_drawn_warm() -> None:
    """What was right at first is never dropped."""
    answers = iter(["1\nParis", "2\nLyon", "3\nNice"])
    ask = Asked(lambda request: "A" if request.choices else next(answers))
    found = await Rewrite(rounds=2, votes=3).on(question("question"), ask)
    assert found.chosen[0].text == "1\nParis"
    assert (ask.heard[-1].choices, ask.heard[-1].n) == (("A", "B", "C"), 3)
    assert ask.heard[-1].temperature > 0.0
    assert [len(request.messages) for request in ask.heard] == [1, 3, 5, 1]


async def test_versions_of_one_answer_are_not_chosen_among() -> None:
    """Nothing to decide where all say the same."""
    ask = Asked(lambda request: f"{len(request.messages)} words\nParis")
    found = await Rewrite(rounds=2).on(question("question"), ask)
    assert len(ask.heard) == 3
    assert found.chosen[0].text.endswith("Paris")


class Stubborn:
    """Sure of its choice: reasons change its mind one time in ten, either way."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.pick = "yes" if self.chance.random() < 0.6 else "no"

    def __call__(self, request: Request) -> str:
        if not request.choices:
            return "Because."
        if len(request.messages) > 1 and self.chance.random() < 0.1:
            self.pick = "no" if self.pick == "yes" else "yes"
        return self.pick


async def test_choosing_again_seldom_changes_its_mind() -> None:
    """Fewer flips both ways than rewriting: stable, and a wrong choice stays."""
    asked = replace(question("Is it?"), choices=("yes", "no"))
    found = [await Choose(rounds=3).on(asked, Asked(Stubborn(seed))) for seed in range(300)]
    total = overall([one.course(lambda text: text == "yes") for one in found])
    assert total.missed > 80
    assert total.lost + total.won < 300 * 0.2
    rewritten = overall(await courses(Rewrite(rounds=3, decides=False), 300))
    assert rewritten.lost + rewritten.won > total.lost + total.won


async def test_a_choice_is_made_anew_with_its_reasons_in_sight() -> None:
    """Stopped when it stays; the reasons are open text."""
    picks = iter(["no", "yes", "yes"])
    ask = Asked(lambda request: next(picks) if request.choices else "For: little.")
    found = await Choose(rounds=5).on(replace(question("Is it?"), choices=("yes", "no")), ask)
    assert [texts(one) for one in found.rounds] == [["no"], ["yes"], ["yes"]]
    assert found.stopped == "no change"
    assert [bool(request.choices) for request in ask.heard] == [True, False, True, False, True]
    assert "For: little." in [message.text for message in ask.heard[2].messages]


# How roles are asked.


async def test_json_that_cannot_be_read_is_asked_for_once_more() -> None:
    """The second time with what is wrong; the third time there is none."""
    schema = {"type": "object", "properties": {"side": {"type": "string"}}, "required": ["side"]}
    answers = iter(["I say so", '{"side": "for"}', "no", "no"])
    ask = Asked(lambda request: next(answers))
    assert await json_of(ask, question("who?"), schema) == {"side": "for"}
    assert "cannot be used" in last(ask.heard[1])
    assert await json_of(ask, question("who?"), schema) is None


async def test_the_most_frequent_of_several_choices_is_made() -> None:
    """Votes, where the model has no likelihoods."""
    answers = iter(["b", "a", "b"])
    assert await picked(Asked(lambda request: next(answers)), question("which?"), ("a", "b"), votes=3) == 1


def test_a_question_about_a_talk_tells_it_with_calls_and_images() -> None:
    """Images go along; calls are told in words."""
    picture = Image("data:image/png;base64,AA==")
    call = Message("assistant", "", tool_calls=(ToolCall("c", "open", {"what": "box"}),))
    asked = about(Request((Message("user", (Text("see"), picture)), call)), "Well?")
    (message,) = asked.messages
    assert message.text == 'user: see\nassistant: open {"what":"box"}\n\nWell?'
    assert picture in message.content
    answer = Message("assistant", "", tool_calls=(ToolCall("c", "finish", {"answer": "42"}),))
    assert spoken(answer) == "42"
