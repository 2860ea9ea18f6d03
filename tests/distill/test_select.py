"""Which episodes a recipe learns from."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.select import (
    Anchor,
    Balanced,
    Band,
    BestPerTask,
    Both,
    Branches,
    Either,
    Everything,
    Failure,
    Has,
    Judged,
    Origin,
    Recent,
    Success,
    UsedMemory,
    token_probability,
)
from distill.types import Select
from memory.types import Episode, Message, StepVerdict, Usage
from tests.distill.episodes import episode_lists, make_episode

SELECTS: tuple[Select, ...] = (
    Everything(),
    Success(),
    Failure(),
    Failure(repaired=True),
    UsedMemory(),
    Has("reflect"),
    Judged(),
    BestPerTask(2),
    Branches(),
    Band(0.3, 0.8, of="agreement"),
    Band(0.3, 0.8, of="success"),
    Band(0.05, 0.75, of="value"),
    Band(0.5, 0.95, of="surprise", keeps_unknown=True),
    Balanced("outcome", most=2),
    Anchor(2),
    Recent(3),
    Origin(),
    Both((Success(), BestPerTask())),
    Either((Recent(1), Anchor(1))),
)


@settings(max_examples=20)
@given(episode_lists(), st.randoms(use_true_random=False))
def test_a_selection_is_a_part_that_order_does_not_change(episodes: list[Episode], chance: object) -> None:
    """Nothing twice, nothing new; also of nothing."""
    shuffled = list(episodes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as Random
    for select in SELECTS:
        kept = [one.id for one in select(episodes)]
        assert len(set(kept)) == len(kept)
        assert set(kept) <= {one.id for one in episodes}
        assert set(kept) == {one.id for one in select(shuffled)}, select
        assert select([]) == ()


def at(id_: str, time: float, **more: object) -> Episode:
    """An attempt at a task at a time."""
    return replace(make_episode(id_, task_id="t1"), started_at=time, **more)  # type: ignore[arg-type]


def ids(episodes: tuple[Episode, ...]) -> set[str]:
    """Their names."""
    return {one.id for one in episodes}


def test_failures_count_as_repaired_by_a_later_success_alone() -> None:
    """At the same task."""
    lived = [at("f1", 1.0, outcome="failure"), at("s", 2.0), at("f2", 3.0, outcome="failure")]
    lived.append(replace(at("f3", 0.0, outcome="failure"), task_id="t2"))
    assert ids(Failure(repaired=True)(lived)) == {"f1"}
    assert ids(Failure()(lived)) == {"f1", "f2", "f3"}


def test_anchors_are_the_first_demonstrations_and_pinned_ones() -> None:
    """However many come later."""
    lived = [at(f"s{n}", float(9 - n)) for n in range(6)] + [at("f", 0.0, outcome="failure")]
    assert ids(Anchor(2, pinned=("s0", "gone"))(lived)) == {"s5", "s4", "s0"}
    assert ids(Recent(2)(lived)) == {"s0", "s1"}


def test_many_copies_of_an_easy_task_are_one() -> None:
    """Ten hard ones beside it stay."""
    easy = [replace(make_episode(f"e{n:02d}", task_id="easy")) for n in range(50)]
    hard = [make_episode(f"h{n}") for n in range(10)]
    assert len(BestPerTask(1)([*easy, *hard])) == 11


def test_a_band_drops_the_mastered_and_the_hopeless() -> None:
    """By success of the task's attempts."""
    rates = {"easy": 1.0, "half": 0.5, "never": 0.0}
    lived = [
        make_episode(f"{name}-{n}", task_id=name, outcome="success" if n < 4 * rate else "failure")
        for name, rate in rates.items()
        for n in range(4)
    ]
    assert {one.task_id for one in Band(0.3, 0.8, of="success")(lived)} == {"half"}


def test_a_band_of_value_goes_by_what_others_came_to() -> None:
    """Of the same beginning; an episode's own luck is not asked."""
    hard = [replace(make_episode(f"h{n}", outcome="failure"), task="fly to mars") for n in range(5)]
    lucky = replace(make_episode("lucky"), task="fly to mars")
    easy = [replace(make_episode(f"e{n}"), task="put the mug away") for n in range(6)]
    kept = ids(Band(0.5, 1.0, of="value")([*hard, lucky, *easy]))
    assert kept == ids(tuple(easy))


def test_surprise_is_the_probability_of_a_token() -> None:
    """Known where every turn has a sum and no token was spent beside the turns."""
    turns = tuple(Message("assistant", "go on", logprob=math.log(p)) for p in (0.5, 0.125))
    sure = replace(make_episode("e1", []), messages=turns, usage=Usage(9, 4, 0.0, 2))
    assert token_probability(sure) == pytest.approx(0.5)
    aside = replace(sure, usage=Usage(9, 40, 0.0, 3))
    silent = replace(sure, messages=(*turns, Message("assistant", "hosted")), usage=Usage(9, 4, 0.0, 3))
    assert token_probability(aside) is None
    assert token_probability(silent) is None
    band = Band(0.6, 0.95, of="surprise")
    assert band([sure, replace(silent, id="e2")]) == ()
    assert ids(replace(band, keeps_unknown=True)([sure, replace(silent, id="e2")])) == {"e2"}


def test_no_family_crowds_out_the_rest() -> None:
    """The newest of each."""
    lived = [at(f"a{n}", float(n), family="maple 7") for n in range(5)]
    lived += [at("b", 0.0, family="oak 3")]
    assert ids(Balanced("family", most=2)(lived)) == {"a3", "a4", "b"}


@given(st.integers(0, 12), st.integers(0, 12))
def test_what_was_imagined_is_at_most_its_share(n_real: int, n_imagined: int) -> None:
    """As near to it as can be."""
    lived = [at(f"r{n}", float(n)) for n in range(n_real)]
    lived += [at(f"i{n}", float(n), origin="imagined") for n in range(n_imagined)]
    kept = Origin("imagined", 0.3)(lived)
    n_kept = sum(one.origin == "imagined" for one in kept)
    assert len(kept) - n_kept == n_real
    assert n_kept <= 0.3 * len(kept) + 1e-9
    assert n_kept == n_imagined or n_kept + 1 > 0.3 * (len(kept) + 1)


def test_kinds_verdicts_and_branches_are_asked_for() -> None:
    """Each keeps what it names."""
    thought = Message("assistant", "that was wrong", kind="reflect", agent="ann")
    one = replace(make_episode("e1", task_id="t1"), messages=(thought,))
    two = replace(make_episode("e2", task_id="t1"), verdicts=(StepVerdict(1, "ok"),))
    lived = [one, two, make_episode("e3")]
    assert ids(Has("reflect")(lived)) == {"e1"}
    assert Has("reflect", agent="ben")(lived) == ()
    assert ids(Judged()(lived)) == {"e2"}
    assert ids(Branches()(lived)) == {"e1", "e2"}
    assert ids(Either((Judged(), Has("reflect")))(lived)) == {"e1", "e2"}
