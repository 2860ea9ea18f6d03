"""Domains of the procedural site world, as data: nouns, machines and kinds of house rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Process:
    """Something a machine does to a thing: `heat` makes it `hot`."""

    verb: str
    adjective: str
    machines: tuple[str, str]
    """Two kinds of machine for it; at every site one of them is broken."""
    things: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """The nouns and rules from which sites are drawn."""

    name: str
    rooms: tuple[str, ...]
    open_places: tuple[str, ...]
    closed_places: tuple[str, ...]
    processes: tuple[Process, ...]
    things: tuple[str, ...]
    """Everything that can be carried."""
    viewer: str
    """Machine under which things are looked at."""
    entry_rules: tuple[str, ...]
    """Commands of which a site may demand one before `entry_verb`."""
    entry_verb: str
    preparations: tuple[str, ...]
    """Commands of which a machine may demand one before it starts."""

    def is_closed(self, place: str) -> bool:
        """Does this place, e.g. `cabinet 3`, have a door?"""
        return place.split()[0] in self.closed_places

    def preposition(self, place: str) -> str:
        """`in` a place with a door, `on` one without."""
        return "in" if self.is_closed(place) else "on"


_FOOD = ("apple", "potato", "egg", "tomato", "bread", "carrot", "pear", "onion")
_DISH = ("mug", "plate", "cup", "bowl", "pan", "fork", "spoon", "knife")
_ODDS = ("pen", "book", "key", "phone", "watch", "towel", "soap", "candle", "letter", "photo")

HOUSEHOLD = Domain(
    name="household",
    rooms=("kitchen", "bedroom", "bathroom", "lounge"),
    open_places=("shelf", "table", "desk", "counter", "bed", "chair"),
    closed_places=("cabinet", "drawer", "closet", "fridge", "safe"),
    processes=(
        Process("clean", "clean", ("sink", "dishwasher"), _DISH + _FOOD),
        Process("heat", "hot", ("stove", "microwave"), (*_FOOD, "mug", "cup", "bowl", "plate")),
        Process("cool", "cold", ("freezer", "cooler"), (*_FOOD, "mug", "cup", "bowl", "pan")),
    ),
    things=_FOOD + _DISH + _ODDS,
    viewer="lamp",
    entry_rules=("wipe feet", "wash hands", "ring bell", "wear apron"),
    entry_verb="take",
    preparations=("press button", "pull lever", "turn dial", "plug cord"),
)

_BLADE = ("saw", "chisel", "axe", "scythe", "shears", "razor")
_METAL = ("bolt", "gear", "chain", "hinge", "spring", "lock")
_POWER = ("drill", "lantern", "radio", "sander", "pump", "fan")
_LOOSE = ("rope", "tape", "brush", "map", "badge", "ledger")

WORKSHOP = Domain(
    name="workshop",
    rooms=("hall", "yard", "store", "office"),
    open_places=("bench", "rack", "trolley", "stand", "hook"),
    closed_places=("locker", "crate", "chest", "bin"),
    processes=(
        Process("sharpen", "sharp", ("grinder", "whetstone"), _BLADE),
        Process("oil", "oiled", ("oiler", "sprayer"), _METAL + _BLADE),
        Process("charge", "charged", ("charger", "dock"), _POWER),
    ),
    things=_BLADE + _METAL + _POWER + _LOOSE,
    viewer="scope",
    entry_rules=("wear goggles", "sign log", "sweep floor", "check gate"),
    entry_verb="put",
    preparations=("press button", "flip switch", "turn crank", "plug cord"),
)

DOMAINS = {domain.name: domain for domain in (HOUSEHOLD, WORKSHOP)}
"""Those that the bundled model was trained on."""
ESTATE = replace(HOUSEHOLD, name="estate")
"""The sites of a word have one owner: what is to be done first, and whether doors are closed, is the same."""
WORLDS: Mapping[str, Domain] = MappingProxyType({**DOMAINS, ESTATE.name: ESTATE})

SITE_WORDS = (
    *("maple", "oak", "birch", "cedar", "elm", "ash", "pine", "willow", "hazel", "rowan", "alder", "beech"),
    *("laurel", "olive", "holly", "ivy", "fern", "clover", "thistle", "heather", "river", "lake", "hill"),
    *("valley", "stone", "meadow", "harbor", "bridge", "mill", "tower", "castle", "garden", "forest"),
    *("island", "canyon", "prairie", "summit", "brook", "amber", "coral", "indigo", "scarlet", "silver"),
    *("golden", "ivory", "jade", "ruby", "pearl", "copper", "cobalt"),
)
"""A site is called by one of these and a number, e.g. `maple 27`."""
