"""Which principles an episode is shown: a coin for each, so that their effect can be told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from memory.constitution.select import version_of
from memory.errors import BadInput
from memory.recall.choosing import coin
from memory.types import Constitution, Item, Recalled


@dataclass(frozen=True, slots=True)
class Chances:
    """How probable it is that a principle in force is shown; by default nothing is left to chance.

    Without coins there is no lift, and nothing is promoted, demoted or shelved because of one.
    """

    trial_rate: float = 1.0
    """Of one on trial. Evidence grows fastest at 0.5; a good rule costs least at 0.8 to 0.9."""
    drop_rate: float = 0.0
    """Of an active one to be held out."""

    def __post_init__(self) -> None:
        for name, rate in (("trial_rate", self.trial_rate), ("drop_rate", self.drop_rate)):
            if not 0.0 <= rate <= 1.0:
                raise BadInput(f"the {name} is {rate}, it must be between 0 and 1")


PROVEN = Chances(trial_rate=0.0)
"""What is proven and nothing else, for prompts that must not vary."""


def draw(
    constitution: Constitution, seed: int, chances: Chances
) -> tuple[Constitution, tuple[Recalled, ...]]:
    """What is shown, and every principle with the probability it was shown with, in order.

    `seed` is the episode's own. One that is held out keeps its place in the token budget, so that the others'
    chances do not depend on its coin. Pinned ones and those of all namespaces are always shown: the first are
    not to be tried, of the second no namespace keeps statistics. Where showing was out of the question
    (probability 0) nothing is ever credited.
    """
    drawn = tuple(
        _drawn(item, seed, _chance(item, constitution.namespace, chances)) for item in constitution.principles
    )
    shown = {one.item for one in drawn if one.shown}
    kept = tuple(item for item in constitution.principles if item.id in shown)
    if len(kept) == len(constitution.principles):
        return constitution, drawn
    return replace(constitution, version=version_of(kept), principles=kept), drawn


def _chance(item: Item, namespace: str, chances: Chances) -> float:
    if item.pinned or item.namespace != namespace:
        return 1.0
    return chances.trial_rate if item.status == "trial" else 1.0 - chances.drop_rate


def _drawn(item: Item, seed: int, chance: float) -> Recalled:
    is_shown = coin(seed, f"principle/{item.id}") < chance
    return Recalled(item.id, item.version, 0.0, chance, is_shown)
