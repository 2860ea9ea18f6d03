"""What items add, as far as coins have told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from memory.facade.tending import Tending
from memory.recall.arms import choices
from memory.types import Item, ItemKind, Lift
from memory.value.lift import LONGEST, interval, policy_interval, policy_lift, policy_value, shrunken


@dataclass(frozen=True, slots=True)
class Standing:
    """An item about which a coin has decided, and what showing it adds to the reward."""

    item: Item
    lift: Lift
    """Of the test that is on."""
    low: float
    high: float
    """Between which its lift lies, whenever one looks: for one item, and with the probability asked for."""
    shrunk: float
    """Its lift, drawn to what its kind and family add while episodes are few; for ranking."""


@dataclass(frozen=True, slots=True)
class PolicyStanding:
    """What episodes are worth that are read by one policy, or shown nothing of what was recalled."""

    policy: str
    """Name of a read policy, or `nothing`."""
    n: int
    """Episodes that it was drawn for."""
    value: float
    """Mean reward if all were read so, by inverse propensity; may lie outside 0..1 while episodes are few."""
    low: float
    high: float
    """Between which that lies, whenever one looks."""
    lift: Lift
    """What it adds to the one drawn most often; nothing for that one itself."""
    lift_low: float
    lift_high: float


class Evaluating(Tending):
    """The part of `Memory` that says what its items are worth."""

    def lifts(
        self,
        namespace: str,
        *,
        alpha: float = 0.05,
        kind: ItemKind | None = None,
        item: str | None = None,
    ) -> tuple[Standing, ...]:
        """Every item that was tossed for, the best first; empty where nothing is left to chance.

        The intervals hold with probability 1 - alpha each. Reads every credit of all items, of those
        of a `kind`, or of one `item`.
        """
        with self._store.read() as reader:
            items = reader.items_by_id(namespace, reader.tossed(namespace))
            known = {id_: one.utility.lift for id_, one in items.items()}
            values = shrunken(known, {id_: f"{one.kind}/{one.family}" for id_, one in items.items()})
            found = []
            for id_, one in items.items():
                if kind not in {None, one.kind} or item not in {None, id_}:
                    continue
                lift = one.utility.lift or Lift()
                low, high = interval(reader.tosses(namespace, id_, lift.test, LONGEST), alpha)
                found.append(Standing(one, lift, low, high, values[id_]))
        return tuple(sorted(found, key=lambda one: (-one.shrunk, one.item.id)))

    def policies(self, namespace: str, *, alpha: float = 0.05) -> tuple[PolicyStanding, ...]:
        """What the read policies are worth that coins drew among the newest episodes, the best first.

        The intervals hold with probability 1 - alpha each, for what stays over these episodes. Empty where no
        coin was tossed.
        """
        with self._store.read() as reader:
            newest = reader.episodes(
                namespace, limit=LONGEST, after=None, task_id=None, family=None, newest=True
            )
        told = choices(reversed(newest))
        n = Counter(one.policy for one in told)
        arms = sorted({arm for one in told for arm in one.chances})
        if not arms:
            return ()
        main = max(arms, key=lambda arm: n[arm])
        found = []
        for arm in arms:
            value = policy_value(told, arm, alpha)
            other = arm != main
            lift = policy_lift(told, arm, main) if other else Lift()
            apart = policy_interval(told, arm, main, alpha) if other else (0.0, 0.0)
            found.append(PolicyStanding(arm, n[arm], *value, lift, *apart))
        return tuple(sorted(found, key=lambda one: (-one.value, one.policy)))
