"""Evidence by betting: right at every look, and soon where there is something to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memory.value.evidence import Estimates, Floats, estimates, intervals, log_evidence, mirrored, spend

N = 500


def streams(
    n_streams: int, p: float, shown: float, held: float, *, drift: float = 0.0, n: int = N, seed: int = 0
) -> Estimates:
    """Rewards of 0 and 1 whose means drift together by a sine; centred by the mean of the past."""
    rng = np.random.default_rng(seed)
    time = np.arange(n)
    seen = rng.random((n_streams, n)) < p
    rewards = (rng.random((n_streams, n)) < np.where(seen, shown, held) + drift * np.sin(time / 40)) * 1.0
    before = np.cumsum(rewards, axis=1) - rewards
    return estimates(rewards, (before + 1.0) / (time + 2.0), seen, np.full((n_streams, n), p))


def one_of(found: Estimates, place: int, n: int = N) -> Estimates:
    return Estimates(found.values[place, :n], found.low[place, :n], found.high[place, :n])


def crossings(paths: Floats, alpha: float) -> Floats:
    """Episodes until each stream had the evidence; infinite where it never had."""
    hit = paths >= -np.log(alpha)
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)


def test_estimates_by_hand() -> None:
    """Shown at 3/4 with reward 1 where 1/2 was expected; held out with reward 0."""
    found = estimates([1.0, 0.0], [0.5, 0.5], [True, False], [0.75, 0.75])
    assert found.values.tolist() == pytest.approx([0.5 / 0.75, 0.5 / 0.25])
    assert found.low.tolist() == pytest.approx([2.0, 2.0])
    assert found.high.tolist() == pytest.approx([2.0, 2.0])


def test_evidence_by_hand() -> None:
    """The mean wealth of gamblers who stake 1/8, 2/8 ... of 0.95 / low."""
    found = Estimates(np.array([1.0, -0.5]), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    shares = np.arange(1, 9) / 8
    wealth = np.mean((1 + shares * 0.95 * 1.0) * (1 - shares * 0.475 * 0.5))
    assert log_evidence(found)[-1] == pytest.approx(np.log(wealth))


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_estimates_are_right_in_the_mean(p: float) -> None:
    """Whatever was expected, and however rewards drift."""
    found = streams(2000, p, 0.6, 0.4, drift=0.2)
    error = found.values.std() / np.sqrt(found.values.size)
    assert found.values.mean() == pytest.approx(0.2, abs=4 * error)
    assert (-found.low - 1e-12 <= found.values).all()
    assert (found.values <= found.high + 1e-12).all()


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(("shown", "held"), [(0.5, 0.5), (0.65, 0.3), (0.2, 0.5)])
def test_the_interval_holds_at_every_look(p: float, shown: float, held: float) -> None:
    """In 95 of 100 streams of drifting rewards the difference never leaves it, at any n up to 500."""
    found = streams(1000, p, shown, held, drift=0.2)
    bar = np.log(2 / 0.05)
    true = shown - held
    left = (log_evidence(found, true) < bar) & (log_evidence(mirrored(found), -true) < bar)
    assert left.all(axis=1).mean() >= 0.95


def test_the_interval_is_what_no_evidence_speaks_against() -> None:
    """Its ends are those of the evidence, a cell's width apart; it narrows, and is wide at first."""
    for place in range(5):
        found = one_of(streams(5, 0.5, 0.7, 0.3, seed=3), place)
        low, high = intervals(found)
        bar, cell = np.log(2 / 0.05), 0.01
        assert (low <= 0.4 + 1e-9).all()
        assert (high >= 0.4 - 1e-9).all()
        assert high[-1] - low[-1] < 0.45 < high[9] - low[9]
        assert log_evidence(found, low[-1] - cell)[-1] >= bar > log_evidence(found, low[-1] + 2 * cell)[-1]
        back = mirrored(found)
        assert log_evidence(back, -high[-1] - cell)[-1] >= bar
        assert bar > log_evidence(back, -high[-1] + 2 * cell)[-1]


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_who_stops_when_it_pleases_them_is_seldom_wrong(p: float) -> None:
    """Ville: of streams in which nothing helps, few ever have the evidence, at whatever moment one stops."""
    found = streams(2000, p, 0.4, 0.4, drift=0.3, seed=1)
    for paths in (log_evidence(found), log_evidence(mirrored(found))):
        share = np.isfinite(crossings(paths, 0.05)).mean()
        assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(
    ("p", "shown", "held", "within"), [(0.5, 0.6, 0.1, 30), (0.8, 0.6, 0.1, 50), (0.5, 0.5, 0.2, 80)]
)
def test_what_helps_is_found_soon(p: float, shown: float, held: float, within: int) -> None:
    """Half of the streams have the evidence within so many episodes; as fast for what harms."""
    found = streams(500, p, shown, held)
    assert np.median(crossings(log_evidence(found), 0.05)) <= within
    harmful = mirrored(streams(500, p, held, shown))
    assert np.isfinite(np.median(crossings(log_evidence(harmful), 0.05)))


def test_many_trials_at_once_promote_nothing_that_does_not_help() -> None:
    """Ten null trials in each of 400 namespaces; without spending a fifth of them would promote one."""
    spent = np.array([spend(0.05, arrival) for arrival in range(1, 11)])
    paths = log_evidence(streams(4000, 0.5, 0.4, 0.4, n=100, seed=2)).max(axis=1).reshape(400, 10)
    assert (paths >= -np.log(spent)).any(axis=1).mean() <= 0.05
    assert (paths >= -np.log(0.05)).any(axis=1).mean() > 0.1


def test_no_difference_explains_it() -> None:
    """Rewards that turn round: the interval claims nothing rather than something false."""
    values = np.repeat([2.0, -2.0], 250)
    low, high = intervals(Estimates(values, np.full(N, 2.0), np.full(N, 2.0)))
    assert (low <= high).all()


@pytest.mark.parametrize("seen", [[], [True]])
def test_few_episodes(seen: list[bool]) -> None:
    """One says next to nothing."""
    found = estimates([1.0] * len(seen), [0.5] * len(seen), seen, [0.5] * len(seen))
    low, high = intervals(found)
    ends: Any = list(zip(low.tolist(), high.tolist(), strict=True))
    assert ends == [(-1.0, 1.0)] * len(seen)
