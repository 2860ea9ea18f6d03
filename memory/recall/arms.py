"""What an episode was read by, as its coins chose: a policy, or nothing at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from memory.modes import USES
from memory.recall.choosing import is_withheld
from memory.types import Episode, RecallRecord
from memory.value.lift import Choice
from memory.value.means import PRIOR_N, reward_of

NOTHING = "nothing"
"""The recall was held out as a whole."""


def chances_of(record: RecallRecord) -> dict[str, float]:
    """The chance that each policy had, and nothing; of one alone where no coin was tossed."""
    query = record.query
    mixture = dict(query.mixture) or {record.policy: 1.0}
    found: dict[str, float] = {policy: (1.0 - query.hold_out) * chance for policy, chance in mixture.items()}
    return found | ({NOTHING: query.hold_out} if query.hold_out else {})


def choices(episodes: Iterable[Episode]) -> list[Choice]:
    """The episodes in which a coin chose, of those given, oldest first; only those that are credited.

    What was to be expected is the mean reward of the family's episodes before, drawn to one half.
    """
    found: list[Choice] = []
    before: dict[str, tuple[int, float]] = {}
    for episode in episodes:
        reward, record = reward_of(episode), episode.recall
        if reward is None or record is None or not USES[episode.mode].credits:
            continue
        n, total = before.get(episode.family, (0, 0.0))
        before[episode.family] = (n + 1, total + reward)
        chances = chances_of(record)
        if len(chances) > 1:
            arm = NOTHING if is_withheld(record.query) else record.policy
            found.append(Choice(arm, chances, reward, (0.5 * PRIOR_N + total) / (PRIOR_N + n)))
    return found
