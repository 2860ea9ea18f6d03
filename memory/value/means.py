"""What an item is worth: outcome statistics without gradients. Pure."""

from __future__ import annotations

from dataclasses import replace

from memory.types import Episode, Utility

STEP_SIZE = 0.2
"""Weight of the newest reward once an item has been used 1 / STEP_SIZE times."""
PRIOR_N = 2.0
"""How many imagined uses the prior mean counts for."""


def reward_of(episode: Episode) -> float | None:
    """What the episode teaches, in 0..1; None where it must teach nothing.

    A reward given by world or user is clipped to 0..1; without one, success is 1 and failure 0.
    """
    if episode.outcome not in {"success", "failure"} or episode.forgotten is not None:
        return None
    if episode.reward is not None:
        return min(1.0, max(0.0, episode.reward))
    return 1.0 if episode.outcome == "success" else 0.0


def step_size(place: int) -> float:
    """Step of the `place`-th update (from 1): a plain mean at first, then exponential forgetting."""
    return max(STEP_SIZE, 1.0 / place)


def shown(utility: Utility, reward: float, at: float) -> Utility:
    """After one more episode that had the item in view.

    Source: Zhang et al. 2026 (MemRL), arXiv 2601.03192, Eq. Q ← Q + a (r - Q). Deviation: a starts as 1/n,
    so that the first rewards are averaged and no initial Q has to be unlearnt.
    """
    n = utility.n + 1
    q = utility.q + step_size(n) * (reward - utility.q)
    return replace(utility, n=n, reward_sum=utility.reward_sum + reward, q=q, last_used_at=at)


def held_out(utility: Utility, reward: float) -> Utility:
    """After one more episode from which the coin kept the item out."""
    return replace(
        utility,
        held_out_n=utility.held_out_n + 1,
        held_out_reward_sum=utility.held_out_reward_sum + reward,
    )


def weight_now(place: int, n: int) -> float:
    """Weight of the `place`-th reward in the running value after `n` updates.

    >>> weight_now(1, 2), weight_now(2, 2)
    (0.5, 0.5)
    """
    weight = step_size(place)
    for later in range(place + 1, n + 1):
        weight *= 1.0 - step_size(later)
    return weight


def revalued(utility: Utility, place: int, old: float, new: float) -> Utility:
    """As if the `place`-th reward had been `new` from the start; place 0 is a held-out one."""
    if place == 0:
        return replace(utility, held_out_reward_sum=utility.held_out_reward_sum + new - old)
    q = utility.q + weight_now(place, utility.n) * (new - old)
    return replace(utility, reward_sum=utility.reward_sum + new - old, q=q)


def withdrawn(utility: Utility, place: int, old: float) -> Utility:
    """Without the `place`-th reward: the outcome turned out to be unknown. Others keep their proportions."""
    if place == 0:
        return replace(
            utility,
            held_out_n=utility.held_out_n - 1,
            held_out_reward_sum=utility.held_out_reward_sum - old,
        )
    if utility.n <= 1:
        return replace(utility, n=0, reward_sum=0.0, q=0.0)
    weight = weight_now(place, utility.n)
    q = (utility.q - weight * old) / (1.0 - weight) if weight < 1.0 else 0.0
    return replace(utility, n=utility.n - 1, reward_sum=utility.reward_sum - old, q=q)


def shrunken(utility: Utility, prior: float) -> float:
    """Running value drawn towards the prior while uses are few: a new item is neither praised nor punished.

    >>> shrunken(Utility(), prior=0.4)
    0.4
    """
    return (PRIOR_N * prior + utility.n * utility.q) / (PRIOR_N + utility.n)


def prior_mean(utilities: list[Utility]) -> float:
    """Mean reward over all uses of these items, drawn towards one half; what a fresh item is taken for."""
    n = sum(utility.n for utility in utilities)
    return (0.5 * PRIOR_N + sum(utility.reward_sum for utility in utilities)) / (PRIOR_N + n)
