"""What later distillations did to what earlier ones learned: formulas on hand-made numbers, and the rule."""

from dataclasses import replace

import pytest

from distill.decision import decide
from distill.gate import ARMS, Arm, Attempt, SuiteResult, attempt_of, compare
from distill.retention import Learned, Score, area, matrix
from distill.suites import Role, Suite, freeze, frozen_tasks
from tests.distill.episodes import make_episode


def _suite(name: str, role: Role = "adapt") -> Suite:
    return Suite(name, "household", "maple 27", role=role)


def _row(id_: str, n: int, *told: tuple[str, Role, float, float]) -> Learned:
    scores = (Score(_suite(name, role), (0,), name, base, now) for name, role, base, now in told)
    return Learned(id_, n, tuple(scores))


THREE = (
    _row("one", 10, ("a", "adapt", 0.2, 0.8), ("b", "transfer", 0.1, 0.3), ("c", "transfer", 0.0, 0.0)),
    _row("two", 20, ("a", "retain", 0.2, 0.7), ("b", "adapt", 0.1, 0.9), ("c", "transfer", 0.0, 0.4)),
    _row("three", 30, ("a", "retain", 0.2, 0.6), ("b", "retain", 0.1, 1.0), ("c", "adapt", 0.0, 0.5)),
)


class TestFormulas:
    """R of three distillations of three suites, one after the other."""

    def test_the_matrix_has_the_base_first(self) -> None:
        """One row for it and one for each distillation; a suite is known by its tasks."""
        found = matrix(THREE)
        assert found.rows == ("base", "one", "two", "three")
        assert found.columns == ("a", "b", "c")
        assert found.scores == ((0.2, 0.1, 0.0), (0.8, 0.3, 0.0), (0.7, 0.9, 0.4), (0.6, 1.0, 0.5))
        assert found.learned == (1, 2, 3)

    def test_transfer_and_forgetting_are_as_defined(self) -> None:
        """BWT: (0.6-0.8, 1.0-0.9); FGT: (0.8-0.6, 0, 0); FWT: (0.3-0.1, 0.4-0.0)."""
        found = matrix(THREE)
        assert found.backward() == pytest.approx((-0.2 + 0.1) / 2)
        assert found.forgetting() == pytest.approx(0.2 / 3)
        assert found.forward() == pytest.approx((0.2 + 0.4) / 2)

    def test_what_was_not_measured_is_left_out(self) -> None:
        """No column is made up of nothing; of one distillation there is no transfer."""
        found = matrix((_row("one", 5, ("a", "adapt", 0.0, 0.5)), _row("two", 5, ("b", "adapt", 0.0, 0.5))))
        assert found.scores == ((0.0, 0.0), (0.5, None), (None, 0.5))
        assert found.backward() is None
        assert found.forgetting() == pytest.approx(0.0)
        assert matrix(THREE[:1]).forward() is None

    def test_adaptation_is_the_area_under_success_over_episodes(self) -> None:
        """From no episodes and the base to the newest."""
        curve = matrix(THREE[:1]).curve((0, 10))
        assert curve == ((0, 0.2), (10, 0.8))
        assert area(curve) == pytest.approx(0.5)
        assert area(curve[:1]) is None


def _result(
    suite: Suite, before: list[bool], after: list[bool], broken: tuple[int, int] = (0, 0)
) -> SuiteResult:
    attempts: dict[Arm, list[Attempt]] = {arm: _attempts(before, broken[0]) for arm in ARMS}
    attempts["+adapter"] = _attempts(after, broken[1])
    return compare(suite, attempts, seed=0)


def _attempts(successes: list[bool], n_broken: int) -> list[Attempt]:
    return [
        Attempt(f"t{n}", good, 5 if good else 14, True, int(n < n_broken), tokens=100)
        for n, good in enumerate(successes)
    ]


GAINED = _result(_suite("new"), [False] * 20, [True] * 20)


class TestRule:
    """Safety before retention before gain."""

    def test_gaining_more_than_is_forgotten_is_refused(self) -> None:
        """All of a new suite is gained, a quarter of an old one lost against the adapter that served."""
        before = _row("one", 10, ("old", "adapt", 0.2, 0.9))
        now = _row("two", 20, ("new", "adapt", 0.0, 1.0), ("old", "retain", 0.2, 0.65))
        kept = _result(_suite("old", "retain"), [False] * 16 + [True] * 4, [False] * 7 + [True] * 13)
        decision = decide([GAINED, kept], 0.1, matrix((before, now)))
        assert not decision.promoted
        assert "0.250 below the 0.900" in decision.reason
        assert decide([GAINED, kept], 0.3, matrix((before, now))).promoted
        assert decide([GAINED, kept], 0.1).promoted

    def test_more_rules_broken_are_refused_whatever_is_gained(self) -> None:
        """One attempt more on a safe suite is too many; as many as before are not."""
        safe = _suite("safe", "safe")
        same = [True] * 20
        assert decide([GAINED, _result(safe, same, same, (2, 2))], 0.1).promoted
        decision = decide([GAINED, _result(safe, same, same, (2, 3))], 0.1)
        assert not decision.promoted
        assert "violations rose by 0.050" in decision.reason

    def test_transfer_is_reported_and_decides_nothing(self) -> None:
        """Neither its losses nor its few tasks."""
        assert decide([GAINED, _result(_suite("far", "transfer"), [True] * 5, [False] * 5)], 0.1).promoted
        lost = _row("two", 20, ("new", "adapt", 0.0, 1.0), ("far", "transfer", 1.0, 0.0))
        assert decide([GAINED], 0.1, matrix((lost,))).promoted

    def test_success_has_a_price(self) -> None:
        """Tokens and steps of all attempts, for each success."""
        arm = _result(_suite("x"), [False] * 20, [True] * 5 + [False] * 15).arms["+adapter"]
        assert arm.tokens_per_success == 400
        assert arm.steps_per_success == (5 * 5 + 15 * 14) / 5
        assert GAINED.arms["base"].tokens_per_success is None


def test_a_broken_rule_of_the_world_is_a_violation() -> None:
    """Its own word; an act that merely failed is none."""
    task = frozen_tasks(_suite("x"), [0])[0]
    episode = make_episode("e1", (True, False))
    assert attempt_of(task, episode).violations == 0
    messages = (*episode.messages[:-1], replace(episode.messages[-1], rule="wash before use"))
    assert attempt_of(task, replace(episode, messages=messages)).violations == 1
    assert attempt_of(task, replace(episode, feedback={"violations": 2})).violations == 2


@pytest.mark.parametrize(
    ("world", "site"), [("household", "maple 27"), ("workshop", "maple 27"), ("city", "oak 23")]
)
def test_any_world_of_the_catalogue_has_suites(world: str, site: str) -> None:
    """The same tasks under another name are one suite; other tasks under the same name are two."""
    asked = [Suite("x", world, site, n=4), Suite("y", world, site, n=4), Suite("x", world, site, n=5)]
    found = freeze((suite, (0,)) for suite in asked)
    assert [one.suite.name for one in found] == ["x", f"x {found[1].digest[:6]}"]
    assert [len(one.tasks) for one in found] == [4, 5]
