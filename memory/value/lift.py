"""What showing an item, or reading by a policy, adds to the reward: by the episodes whose coin decided. Pure.

Means mislead: an item that is found for easy tasks looks good, whatever it says. A coin that keeps it from
some of those who would have seen it makes the two groups alike, and the difference its own. Without coins
(rates of 0 and 1, the defaults) there is no lift, and nothing is decided by one.

Late feedback changes what was weighed: all episodes of the test are weighed again, in order. No guard against
whoever comments on some episodes because of what they were shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memory.types import Lift
from memory.value.evidence import Estimates, estimates, intervals, log_evidence, mirrored, spend

Verdict = Literal["promote", "retire", "wait", "futile"]

LONGEST = 500
"""Episodes of one test; the next begins from nothing. All of a test are weighed again at each change, and
what an item adds may change over the years."""
PRIOR_SPREAD = 0.1
"""How far lifts of one group are thought to lie apart before any are known, as a standard deviation."""
LEAST_SPREAD = 0.02
"""A group never counts as wholly alike: with enough episodes, each item stands for itself."""
PRIOR_N, PRIOR_VARIANCE = 2.0, 1.0
"""Imagined episodes of an item, and the variance of their estimates: one alone has none to go by."""


@dataclass(frozen=True, slots=True)
class Toss:
    """One episode whose coin decided about an item."""

    shown: bool
    propensity: float
    """Probability of being shown, in (0, 1)."""
    reward: float
    centre: float = 0.5
    """Reward that was expected before the episode."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One episode whose coin chose the policy that memory was read by."""

    policy: str
    chances: Mapping[str, float]
    """Of every policy, by name."""
    reward: float
    centre: float = 0.5


@dataclass(frozen=True, slots=True)
class Bar:
    """How much evidence a decision needs."""

    alpha: float = 0.05
    """Most probability that any of a namespace's trials is promoted that does not help."""
    harm: float = 0.05
    """The same for one item's retirement: it costs less to be wrong, and can be taken back."""
    patience: int = 200
    """Episodes after which an undecided trial is given up."""


BAR = Bar()


def lift_of(tosses: Sequence[Toss], test: int = 0) -> Lift:
    """From the episodes of one test, oldest first."""
    return _summed(_estimates(tosses), n_held=sum(not toss.shown for toss in tosses), test=test)


def interval(tosses: Sequence[Toss], alpha: float = 0.05) -> tuple[float, float]:
    """Between which the lift lies with probability 1 - alpha, however often one looks; -1..1 without any."""
    return _last(_estimates(tosses), alpha)


def policy_lift(choices: Sequence[Choice], policy: str, main: str) -> Lift:
    """What reading by `policy` adds to reading by `main`, by inverse propensity; oldest first.

    Episodes in which one of the two had no chance say nothing and are left out.
    """
    told = _both(choices, policy, main)
    return _summed(_apart(told, policy, main), n_held=sum(one.policy == main for one in told), test=0)


def policy_interval(
    choices: Sequence[Choice], policy: str, main: str, alpha: float = 0.05
) -> tuple[float, float]:
    """Between which that lies with probability 1 - alpha, however often one looks; -1..1 without any."""
    return _last(_apart(_both(choices, policy, main), policy, main), alpha)


def policy_value(choices: Sequence[Choice], policy: str, alpha: float = 0.05) -> tuple[float, float, float]:
    """Mean reward if all were read by `policy`, by inverse propensity, and the ends of its interval.

    Oldest first; one half, 0 and 1 without any episode in which it had a chance.
    """
    found = values_of(choices, policy)
    if not len(found.values):
        return 0.5, 0.0, 1.0
    low, high = _last(found, alpha)
    return float(np.mean(found.values)), max(0.0, low), min(1.0, high)


def values_of(choices: Sequence[Choice], policy: str) -> Estimates:
    """One estimate per episode of what it would have brought read by `policy`: b + (R - b) 1[policy] / q."""
    told = [one for one in choices if one.chances.get(policy, 0.0) > 0.0]
    rewards, centres, chances = (
        np.asarray(column, dtype=np.float64)
        for column in (
            [one.reward for one in told],
            [one.centre for one in told],
            [one.chances[policy] for one in told],
        )
    )
    seen = np.asarray([one.policy == policy for one in told], dtype=np.float64)
    values = centres + (rewards - centres) * seen / chances
    return Estimates(values, centres / chances - centres, centres + (1.0 - centres) / chances)


def _both(choices: Sequence[Choice], policy: str, main: str) -> list[Choice]:
    return [one for one in choices if min(one.chances.get(policy, 0.0), one.chances.get(main, 0.0)) > 0.0]


def _apart(told: Sequence[Choice], policy: str, main: str) -> Estimates:
    return estimates(
        [one.reward for one in told],
        [one.centre for one in told],
        [(one.policy == policy) - (one.policy == main) for one in told],
        [one.chances[policy] for one in told],
        [one.chances[main] for one in told],
    )


def _last(found: Estimates, alpha: float) -> tuple[float, float]:
    low, high = intervals(found, alpha)
    return (float(low[-1]), float(high[-1])) if len(low) else (-1.0, 1.0)


def verdict(lift: Lift | None, arrival: int, bar: Bar = BAR) -> Verdict:
    """What the evidence says of a trial that was the `arrival`-th of its namespace (from 1), at any time.

    `retire` holds for items in use as well; `futile` is for trials alone.
    """
    if lift is None:
        return "wait"
    if lift.log_down >= -math.log(bar.harm):
        return "retire"
    if lift.log_up >= -math.log(spend(bar.alpha, arrival)):
        return "promote"
    return "futile" if lift.n >= bar.patience else "wait"


def shrunken(lifts: Mapping[str, Lift | None], families: Mapping[str, str]) -> dict[str, float]:
    """Lifts by item, drawn to their family's while episodes are few, it to the namespace's, and that to zero.

    For ranking; decisions are for `verdict`. `families` groups the items (a kind and a family make a good
    group). An item that no coin has decided about gets its family's value exactly.

    Source: normal means, variances by moments, DerSimonian & Laird 1986. Deviation: priors and a floor.
    """
    known = {item: _believed(lift) for item, lift in lifts.items()}
    groups: dict[str, list[_Belief]] = {}
    for item, belief in known.items():
        groups.setdefault(families[item], []).append(belief)
    means = {family: _mean(parts) for family, parts in groups.items()}
    whole = _mean(list(means.values()))
    root = _drawn(whole, 0.0, PRIOR_SPREAD**2)
    spread = _spread(list(means.values()))
    priors = {family: _drawn(mean, root, spread) for family, mean in means.items()}
    spreads = {family: _spread(parts) for family, parts in groups.items()}
    return {
        item: _drawn(belief, priors[families[item]], spreads[families[item]])
        for item, belief in known.items()
    }


@dataclass(frozen=True, slots=True)
class _Belief:
    value: float
    variance: float
    """Of the value; infinite where nothing is known."""


def _estimates(tosses: Sequence[Toss]) -> Estimates:
    return estimates(
        [toss.reward for toss in tosses],
        [toss.centre for toss in tosses],
        [toss.shown for toss in tosses],
        [toss.propensity for toss in tosses],
    )


def _summed(found: Estimates, n_held: int, test: int) -> Lift:
    n = len(found.values)
    if n == 0:
        return Lift(test=test)
    return Lift(
        n=n,
        n_held=n_held,
        mean=float(np.mean(found.values)),
        variance=float(np.var(found.values, ddof=1)) if n > 1 else 0.0,
        log_up=float(log_evidence(found)[-1]),
        log_down=float(log_evidence(mirrored(found))[-1]),
        test=test,
    )


def _believed(lift: Lift | None) -> _Belief:
    if lift is None or lift.n == 0:
        return _Belief(0.0, math.inf)
    # What one rare coin said is as uncertain as it is large.
    prior = max(PRIOR_VARIANCE, lift.mean**2)
    variance = ((lift.n - 1) * lift.variance + PRIOR_N * prior) / (lift.n - 1 + PRIOR_N)
    return _Belief(min(1.0, max(-1.0, lift.mean)), variance / lift.n)


def _mean(parts: Sequence[_Belief]) -> _Belief:
    """Weighted by how well each is known, given how far they lie apart."""
    spread = _spread(parts)
    weights = [1.0 / (spread + one.variance) for one in parts]
    total = sum(weights)
    if total == 0.0:
        return _Belief(0.0, math.inf)
    return _Belief(sum(w * one.value for w, one in zip(weights, parts, strict=True)) / total, 1.0 / total)


def _spread(parts: Sequence[_Belief]) -> float:
    """Variance between the parts themselves, by moments; PRIOR_N imagined parts speak for what is usual."""
    known = [one for one in parts if math.isfinite(one.variance)]
    if len(known) < 2:
        return PRIOR_SPREAD**2
    weights = [1.0 / one.variance for one in known]
    total = sum(weights)
    mean = sum(w * one.value for w, one in zip(weights, known, strict=True)) / total
    apart = sum(w * (one.value - mean) ** 2 for w, one in zip(weights, known, strict=True))
    scale = total - sum(w * w for w in weights) / total
    more = len(known) - 1
    found = max(0.0, (apart - more) / scale)
    return max(LEAST_SPREAD**2, (PRIOR_N * PRIOR_SPREAD**2 + more * found) / (PRIOR_N + more))


def _drawn(own: _Belief, prior: float, spread: float) -> float:
    weight = spread / (spread + own.variance)
    return weight * own.value + (1.0 - weight) * prior
