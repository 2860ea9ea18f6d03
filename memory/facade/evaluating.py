"""What items add, as far as coins have told."""

from __future__ import annotations

from dataclasses import dataclass

from memory.facade.tending import Tending
from memory.types import Item, Lift
from memory.value.lift import LONGEST, interval, shrunken


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


class Evaluating(Tending):
    """The part of `Memory` that says what its items are worth."""

    def lifts(self, namespace: str, *, alpha: float = 0.05) -> tuple[Standing, ...]:
        """Every item that was tossed for, the best first; empty where nothing is left to chance.

        The intervals hold with probability 1 - alpha each. Reads every credit of the namespace.
        """
        with self._store.read() as reader:
            items = reader.items_by_id(namespace, reader.tossed(namespace))
            known = {id_: item.utility.lift for id_, item in items.items()}
            values = shrunken(known, {id_: f"{item.kind}/{item.family}" for id_, item in items.items()})
            found = []
            for id_, item in items.items():
                lift = item.utility.lift or Lift()
                low, high = interval(reader.tosses(namespace, id_, lift.test, LONGEST), alpha)
                found.append(Standing(item, lift, low, high, values[id_]))
        return tuple(sorted(found, key=lambda one: (-one.shrunk, one.item.id)))
