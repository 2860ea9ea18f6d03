"""Four arms, their statistics and the rule."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.scripted import FunctionModel
from distill.decision import decide
from distill.gate import ARMS, Arm, ArmResult, Attempt, GateRun, SuiteResult, compare, run_suite
from distill.stats import Interval, bootstrap_mean, paired_difference, wilson
from distill.suites import Suite, frozen_tasks, refuse_seen
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput, DistillError, ModelError
from memory.types import Message
from tests.distill.expert import expert_model, idle_model

SUITE = Suite("home", "household", "maple 27", n=6)
KEEP = Suite("retention", "workshop", "maple 27", n=6, role="retain")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def _result(suite: Suite, before: list[bool], after: list[bool]) -> SuiteResult:
    attempts: dict[Arm, list[Attempt]] = {arm: _attempts(before) for arm in ARMS}
    attempts["+adapter"] = _attempts(after)
    return compare(suite, attempts, seed=0)


def _attempts(successes: list[bool]) -> list[Attempt]:
    return [Attempt(f"t{n}", good, 5 if good else 14, is_valid=True) for n, good in enumerate(successes)]


class TestRule:
    """Who is let in."""

    def test_a_sure_gain_without_loss_is_promoted(self) -> None:
        """Better where it should be, the same elsewhere."""
        results = [_result(SUITE, [False] * 20, [True] * 15 + [False] * 5)]
        results.append(_result(KEEP, [True, False] * 10, [True, False] * 10))
        decision = decide(results, 0.1)
        assert decision.promoted
        assert "+0.750" in decision.reason

    def test_a_gain_that_may_be_luck_is_not(self) -> None:
        """The interval reaches 0, or a coin would often do as well: of 35, four wins are too few, six not."""
        for n_wins, is_sure in ((1, False), (4, False), (6, True)):
            after = [True] * n_wins + [False] * (35 - n_wins)
            decision = decide([_result(SUITE, [False] * 35, after)], 0.1)
            assert decision.promoted == is_sure
            assert is_sure or "not surely above 0" in decision.reason

    def test_forgetting_is_not_paid_for_by_gain(self) -> None:
        """A candidate that gains everything here and loses a quarter there stays out."""
        results = [_result(SUITE, [False] * 20, [True] * 20)]
        results.append(_result(KEEP, [True] * 20, [True] * 15 + [False] * 5))
        decision = decide(results, 0.1)
        assert not decision.promoted
        assert "fell by 0.250" in decision.reason
        assert decide(results, 0.3).promoted

    def test_a_handful_of_tasks_proves_nothing(self) -> None:
        """However well they went."""
        decision = decide([_result(SUITE, [False] * 5, [True] * 5)], 0.1)
        assert not decision.promoted
        assert "at least 10" in decision.reason

    def test_without_a_suite_to_gain_on_nothing_is_promoted(self) -> None:
        """No proof, no service."""
        assert not decide([], 0.1).promoted
        assert not decide([_result(KEEP, [True] * 20, [True] * 20)], 0.1).promoted

    def test_broken_attempts_say_nothing_and_many_void_the_gate(self) -> None:
        """A pair counts only when both arms ran."""
        attempts = {arm: _attempts([True] * 12) for arm in ARMS}
        attempts["base"][0] = Attempt("t0", False, 14, is_valid=False)
        result = compare(SUITE, attempts, seed=0)
        assert result.n_pairs == 11
        assert result.arms["base"].n == 11
        assert result.arms["base"].n_broken == 1
        attempts["+memory"] = [Attempt(a.task_id, False, 14, is_valid=False) for a in attempts["+memory"]]
        with pytest.raises(DistillError, match="broke"):
            compare(SUITE, attempts, seed=0)


class TestSuites:
    """Frozen tasks."""

    def test_tasks_are_the_same_every_time_and_each_once(self) -> None:
        """Two seeds draw more tasks than one, and none twice."""
        tasks = frozen_tasks(SUITE, [0, 1])
        assert tasks == frozen_tasks(SUITE, [0, 1])
        assert len({task.id for task in tasks}) == len(tasks) > SUITE.n

    def test_a_task_that_memory_has_seen_voids_the_gate(self) -> None:
        """The error names it."""
        tasks = frozen_tasks(SUITE, [0])
        refuse_seen(tasks, frozenset({"another"}))
        with pytest.raises(DistillError, match=tasks[3].id):
            refuse_seen(tasks, frozenset({tasks[3].id}))

    def test_an_unknown_world_is_bad_input(self) -> None:
        """Before anything is trained."""
        with pytest.raises(BadInput, match="household"):
            frozen_tasks(Suite("x", "atlantis", "maple 27"), [0])


class TestArms:
    """Real episodes in the bundled world."""

    async def test_a_better_model_shows_in_its_arms(self, memory: Memory) -> None:
        """The expert solves every task, the idler none; pairs are by task."""
        tasks = frozen_tasks(SUITE, [0])
        done: list[Arm] = []
        models = (idle_model(), await expert_model(tasks))
        result = await run_suite(SUITE, tasks, models, memory, GateRun("home"), done.append)
        assert result.arms["base"].success.mean == result.arms["+memory"].success.mean == 0
        assert result.arms["+adapter"].success.mean == result.arms["+memory+adapter"].success.mean == 1
        assert result.arms["base"].steps.mean == tasks[0].max_steps
        assert result.arms["+adapter"].steps.mean < tasks[0].max_steps
        assert result.difference == Interval(1, 1, 1)
        assert sorted(done) == sorted(ARMS * len(tasks))

    async def test_the_gate_leaves_memory_as_it_was(self, memory: Memory) -> None:
        """It reads only: no episode, no item, no log entry."""
        tasks = frozen_tasks(SUITE, [0])
        models = (idle_model(), idle_model())
        before = memory.stats().log_seq
        await run_suite(SUITE, tasks, models, memory, GateRun("home"))
        assert memory.stats().log_seq == before
        assert memory.episodes("home") == ()

    async def test_a_model_that_breaks_voids_the_gate(self, memory: Memory) -> None:
        """Crashes are not failures of the arm."""

        def broken(_: tuple[Message, ...]) -> str:
            raise ModelError("out of order")

        models = (FunctionModel(broken, style="plain"), idle_model())
        with pytest.raises(DistillError, match="broke"):
            await run_suite(SUITE, frozen_tasks(SUITE, [0]), models, memory, GateRun("home"))


class TestStatistics:
    """Intervals."""

    @given(st.integers(0, 200), st.integers(0, 200))
    def test_a_proportion_lies_in_its_interval(self, successes: int, failures: int) -> None:
        """Within 0 and 1, for any counts."""
        interval = wilson(successes, successes + failures)
        assert 0 <= interval.low <= interval.mean + 1e-12
        assert interval.mean <= interval.high + 1e-12 <= 1 + 2e-12

    def test_more_trials_narrow_the_interval(self) -> None:
        """At the same proportion."""
        wide, narrow = wilson(5, 10), wilson(50, 100)
        assert narrow.high - narrow.low < wide.high - wide.low

    @given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(0, 5))
    def test_a_bootstrap_is_reproducible_and_holds_its_mean(self, values: list[float], seed: int) -> None:
        """The same seed, the same interval; never outside the data."""
        interval = bootstrap_mean(values, seed)
        assert interval == bootstrap_mean(values, seed)
        assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9

    def test_pairing_sees_what_means_hide(self) -> None:
        """A constant small gain on tasks of very different difficulty is sure."""
        before = [float(n) for n in range(20)]
        interval = paired_difference(before, [value + 0.5 for value in before])
        assert interval.low == pytest.approx(0.5)

    def test_nothing_measured_is_not_a_certain_nothing(self) -> None:
        """An arm without attempts may be anywhere."""
        assert wilson(0, 0) == Interval(0, 0, 1)
        assert ArmResult(wilson(0, 0), bootstrap_mean([]), 0, 0).n == 0
