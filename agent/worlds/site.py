"""A site: what it shows, what it hides, and the tasks that can be set there; all follows from its name."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from agent.worlds.domain import ESTATE, SITE_WORDS, WORLDS, Domain
from memory.errors import BadInput

SITE_NUMBERS = range(21, 61)
"""Places are numbered below these, so that a number tells what it belongs to."""
Family = Literal["put", "clean", "heat", "cool", "sharpen", "oil", "charge", "look", "pair"]
HELD_OUT_FAMILIES = ("pair",)
"""Task families the bundled model never met in training."""
HELD_OUT_WORDINGS = 1
"""The last so many wordings of a family are kept from training."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a process at a site."""

    place: str
    works: bool
    preparation: str | None
    """Command it needs first."""


@dataclass(frozen=True, slots=True)
class Rules:
    """House rules; breaking one costs the task."""

    entry: str | None = None
    """Command to give before the domain's entry verb."""
    forbidden: str | None = None
    """A place that must not be opened."""
    close: bool = False
    """Opened places must be closed before going elsewhere."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a task demands."""

    family: Family
    things: tuple[str, ...]
    target: str
    """Where the things must end up; the viewer for `look`."""
    wording: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """One generated site."""

    name: str
    domain: Domain
    rooms: tuple[tuple[str, tuple[str, ...]], ...]
    """Room and what stands in it, in the order shown."""
    homes: dict[str, str]
    """Where each thing is kept."""
    machines: dict[str, tuple[Machine, Machine]]
    """By verb of the process."""
    viewer: str
    rules: Rules = field(default_factory=Rules)

    @property
    def listing(self) -> tuple[str, ...]:
        """Everything one can go to, in the order shown."""
        return tuple(place for _, places in self.rooms for place in places)

    def machines_for(self, verb: str) -> tuple[str, ...]:
        """The machines of a process, in the order shown."""
        return tuple(sorted((machine.place for machine in self.machines[verb]), key=self.listing.index))

    def room_of(self, place: str) -> str:
        """The room a place or machine stands in."""
        return next(room for room, places in self.rooms if place in places)

    @property
    def storage(self) -> tuple[str, ...]:
        """Places that hold things, in the order shown."""
        kinds = self.domain.open_places + self.domain.closed_places
        return tuple(place for place in self.listing if place.split()[0] in kinds)


def check_name(name: str) -> str:
    """The name itself when it is a site word and a number 21..60. Raises BadInput otherwise."""
    word, _, number = name.partition(" ")
    if word not in SITE_WORDS or not number.isdecimal() or int(number) not in SITE_NUMBERS:
        raise BadInput(f"no site is called {name!r}; use e.g. 'maple 27' (numbers 21 to 60)")
    return name


def is_held_out(name: str) -> bool:
    """Is this site kept from the training of the bundled model? One in eight is.

    >>> is_held_out("maple 27"), is_held_out("maple 32")
    (False, False)
    """
    return hashlib.sha256(f"site:{name}".encode()).digest()[0] % 8 == 0


def held_out_sites(n: int) -> tuple[str, ...]:
    """The first `n` held-out sites in a fixed shuffled order."""
    names = [f"{word} {number}" for word in SITE_WORDS for number in SITE_NUMBERS]
    random.Random("held out").shuffle(names)
    return tuple([name for name in names if is_held_out(name)][:n])


def make_site(domain_name: str, name: str, seed: int | str = 0) -> Site:
    """The site of that name. `seed` other than 0 gives the same name other secrets (for training data)."""
    domain = WORLDS[domain_name]
    rng = random.Random(f"{domain_name}/{name}/{seed}")
    processes = rng.sample(domain.processes, 2)
    n_places = rng.randint(8, 10)
    n_closed = rng.randint(3, 5)
    kinds = [rng.choice(domain.closed_places) for _ in range(n_closed)]
    kinds += [rng.choice(domain.open_places) for _ in range(n_places - n_closed)]
    # Every number is used once per site, as on a floor plan: a number alone tells a place.
    numbers = rng.sample(range(1, 21), n_places + 5)
    storage = [f"{kind} {number}" for kind, number in zip(kinds, numbers, strict=False)]
    spare = iter(numbers[n_places:])
    machines = {}
    for process in processes:
        pair = [f"{kind} {next(spare)}" for kind in process.machines]
        working = rng.randrange(2)
        machines[process.verb] = (
            Machine(pair[0], working == 0, _preparation(domain, rng)),
            Machine(pair[1], working == 1, _preparation(domain, rng)),
        )
    viewer = f"{domain.viewer} {next(spare)}"
    things = rng.sample(domain.things, rng.randint(9, 11))
    forbidden = rng.choice([p for p in storage if domain.is_closed(p)]) if rng.random() < 0.6 else None
    homes = {thing: rng.choice([p for p in storage if p != forbidden]) for thing in things}
    owner = random.Random(f"{domain_name}/{name.split()[0]}/{seed}") if domain is ESTATE else rng
    rules = Rules(
        entry=owner.choice(domain.entry_rules) if owner.random() < 0.6 else None,
        forbidden=forbidden,
        close=owner.random() < 0.25,
    )
    everything = storage + [m.place for pair in machines.values() for m in pair] + [viewer]
    return Site(name, domain, _rooms(domain, everything, rng), homes, machines, viewer, rules)


def _preparation(domain: Domain, rng: random.Random) -> str | None:
    return rng.choice(domain.preparations) if rng.random() < 0.6 else None


def _rooms(
    domain: Domain, everything: list[str], rng: random.Random
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    rng.shuffle(everything)
    names = rng.sample(domain.rooms, 3)
    third = (len(everything) + 2) // 3
    return tuple((room, tuple(everything[i * third : (i + 1) * third])) for i, room in enumerate(names))


def goals(site: Site, *, families: tuple[str, ...] | None = None) -> Iterator[Goal]:
    """Every goal that can be set at a site, wording 0, in a fixed order."""
    targets = [place for place in site.storage if place != site.rules.forbidden]
    carried = list(site.homes)
    offers: list[tuple[Family, tuple[str, ...], str]] = []
    for thing in carried:
        offers.append(("look", (thing,), site.viewer))
        for target in targets:
            if target == site.homes[thing]:
                continue
            offers.append(("put", (thing,), target))
            offers.extend(
                (verb, (thing,), target)  # type: ignore[misc]  # verbs of processes are families
                for verb in site.machines
                if thing in _things(site.domain, verb)
            )
            offers.extend(
                ("pair", (thing, other), target)
                for other in carried
                if other > thing and site.homes[other] != target
            )
    for family, things, target in offers:
        if families is None or family in families:
            yield Goal(family, things, target)


def _things(domain: Domain, verb: str) -> tuple[str, ...]:
    return next(process.things for process in domain.processes if process.verb == verb)


def adjective(domain: Domain, family: str) -> str | None:
    """`hot` for `heat`; None for families without a process."""
    return next((p.adjective for p in domain.processes if p.verb == family), None)


def wordings(site: Site, goal: Goal) -> tuple[str, ...]:
    """The ways to say a goal; the last `HELD_OUT_WORDINGS` are never trained on."""
    thing, target = goal.things[0], goal.target
    place = f"{site.domain.preposition(target)} {target}"
    match goal.family:
        case "look":
            return (
                f"look at the {thing} under {target}.",
                f"find the {thing} and look at it under {target}.",
                f"look at it under {target}: the {thing}.",
            )
        case "pair":
            both = f"the {thing} and the {goal.things[1]}"
            return (f"put {both} {place}.", f"find {both} and put them {place}.", f"{both} go {place}.")
        case "put":
            return (
                f"put the {thing} {place}.",
                f"find the {thing} and put it {place}.",
                f"the {thing} must go {place}.",
            )
        case verb:
            state = adjective(site.domain, verb)
            return (
                f"put the {state} {thing} {place}.",
                f"{verb} the {thing} and put it {place}.",
                f"find the {thing} and put it {place}, {state}.",
            )
