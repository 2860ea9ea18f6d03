"""ALFWorld's houses without its engine: the rules of its planning domain, some thousand times as fast.

For drawing demonstrations alone; whatever is measured is played in the engine. That both say the same, word
for word, is checked on recorded runs by `agree`.
Left out, as no task needs it: slicing, `examine`, `look` and `inventory`.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

NOTHING = "Nothing happens."
_FACT = re.compile(r"\((\w+) ([^()]+)\)")
_TASK = re.compile(r"Your task is to: (.+?)\s*\"")
MACHINES = {"heat": "microwave", "cool": "fridge", "clean": "sinkbasin"}
"""By what a thing is changed."""
MIGHT = (
    "coffeemachine",
    "fridge",
    "garbagecan",
    "microwave",
    "sinkbasin",
    "stoveburner",
    "toaster",
    "toilet",
)
_AT_HOME = 0.7
_STATES = {"isHot": "heat", "isCool": "cool", "isClean": "clean"}


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be true at the end."""

    thing: str
    """A kind, as `mug`."""
    place: str = ""
    """A kind of place; empty where the thing is to be held beside a lamp that is on."""
    count: int = 1
    state: str = ""
    """`heat`, `cool`, `clean` or nothing."""
    lamp: str = ""


@dataclass(slots=True)
class House:
    """A game as it stands. Things and places are called as the engine calls them: `mug 2`."""

    task: str
    goal: Goal
    spot: dict[str, str]
    """Where each place stands; some stand at one spot."""
    openable: frozenset[str]
    holds: dict[str, set[str]]
    """What is in or on each place."""
    can: dict[str, frozenset[str]]
    """Verbs that a thing takes: take, heat, cool, clean, use."""
    fits: frozenset[tuple[str, str]]
    """Kinds of place and of thing."""
    order: dict[str, int]
    """In which things are told."""
    machines: Mapping[str, str] = field(default_factory=lambda: MACHINES)
    at: str = ""
    last: str = ""
    """The place gone to last."""
    hand: str = ""
    opened: set[str] = field(default_factory=set)
    done: set[tuple[str, str]] = field(default_factory=set)

    def opening(self) -> str:
        """What is said at first."""
        seen = _listed(sorted(self.spot, key=self.order.__getitem__))
        return (
            "You are in the middle of a room. Looking quickly around you, you see "
            f"{seen}.\n\nYour task is to: {self.task}"
        )

    def told(self, place: str) -> str:
        """What a place shows."""
        inside = _listed(sorted(self.holds[place], key=self.order.__getitem__))
        if place not in self.openable:
            return f"On the {place}, you see {inside}."
        if place in self.opened:
            return f"The {place} is open. In it, you see {inside}."
        return f"The {place} is closed."

    def reaches(self, place: str) -> bool:
        """Does the agent stand at its spot?"""
        return self.spot.get(place, "nowhere") == self.at

    def is_open(self, place: str) -> bool:
        """Can hands get in?"""
        return place not in self.openable or place in self.opened

    def commands(self) -> tuple[str, ...]:
        """What does something now, but for looking."""
        here = [place for place in self.spot if self.reaches(place)]
        found = [f"go to {place}" for place in self.spot if place != self.last]
        for place in here:
            if place in self.openable:
                found.append(f"{'close' if place in self.opened else 'open'} {place}")
            for thing in self.holds[place]:
                if not self.hand and self.is_open(place) and "take" in self.can[thing]:
                    found.append(f"take {thing} from {place}")
                if "use" in self.can[thing]:
                    found.append(f"use {thing}")
            if self.hand:
                if self.is_open(place) and (kind(place), kind(self.hand)) in self.fits:
                    found.append(f"move {self.hand} to {place}")
                found += [
                    f"{verb} {self.hand} with {place}"
                    for verb, machine in self.machines.items()
                    if machine == kind(place) and verb in self.can[self.hand]
                ]
        return tuple(sorted(found))

    def act(self, command: str) -> str:
        """Do it, and say what the engine would."""
        if command not in self.commands():
            return NOTHING
        verb, _, rest = command.partition(" ")
        match verb:
            case "go":
                place = rest.removeprefix("to ")
                self.at, self.last = self.spot[place], place
                return f"You arrive at {place}. {self.told(place)}"
            case "open":
                self.opened.add(rest)
                return f"You open the {rest}. {self.told(rest)}"
            case "close":
                self.opened.discard(rest)
                return f"You close the {rest}."
            case "take":
                thing, _, place = rest.partition(" from ")
                self.holds[place].discard(thing)
                self.hand = thing
                return f"You pick up the {thing} from the {place}."
            case "move":
                thing, _, place = rest.partition(" to ")
                self.holds[place].add(thing)
                self.hand = ""
                return f"You move the {thing} to the {place}."
            case "use":
                self.done.add((rest, "use"))
                return f"You turn on the {rest}."
        thing, _, place = rest.partition(" with ")
        self.done -= {(thing, {"heat": "cool", "cool": "heat"}.get(verb, ""))}
        self.done.add((thing, verb))
        return f"You {verb} the {thing} using the {place}."

    def is_wanted(self, thing: str) -> bool:
        """Is it of the kind asked for, and does it take what is to be done to it?"""
        goal = self.goal
        return kind(thing) == goal.thing and (not goal.state or goal.state in self.can[thing])

    def is_ready(self, thing: str) -> bool:
        """Has been done to it what is asked for?"""
        return not self.goal.state or (thing, self.goal.state) in self.done

    def is_won(self) -> bool:
        """Is the goal reached?"""
        goal = self.goal
        if goal.lamp:
            lit = (lamp for lamp, verb in self.done if verb == "use" and kind(lamp) == goal.lamp)
            return kind(self.hand) == goal.thing and any(map(self._is_near, lit))
        there = [
            sum(self.is_wanted(thing) and self.is_ready(thing) for thing in inside)
            for place, inside in self.holds.items()
            if kind(place) == goal.place
        ]
        return max(there, default=0) >= goal.count

    def _is_near(self, thing: str) -> bool:
        return any(thing in inside and self.reaches(place) for place, inside in self.holds.items())


def kind(name: str) -> str:
    """`mug 2` is a mug."""
    return name.partition(" ")[0]


def read(folder: Path, game: str) -> House:
    """A game as it begins."""
    told = json.loads((folder / game / "game.tw-pddl").read_text(encoding="utf-8"))
    problem: str = told["pddl_problem"]
    begin = problem.index("(:init")
    end = problem.index("(:goal")
    facts = defaultdict(list)
    for name, words in _FACT.findall(problem[begin:end]):
        facts[name].append(words.split())
    places = {one: sort.removesuffix("Type").lower() for one, sort in facts["receptacleType"]}
    things = {one: sort.removesuffix("Type").lower() for one, sort in facts["objectType"]}
    names, order = _named({**places, **things})
    spot = {names[one]: where for one, where in facts["receptacleAtLocation"]}
    holds: dict[str, set[str]] = {names[one]: set() for one in places}
    for thing, place in facts["inReceptacle"]:
        if thing in names:  # an egg may be there a second time, cracked
            holds[names[place]].add(names[thing])
    can = {names[one]: set() for one in things}
    for verb, fact in (("take", "pickupable"), ("heat", "heatable"), ("cool", "coolable"),
                       ("clean", "cleanable"), ("use", "toggleable")):  # fmt: skip
        for words in facts[fact]:
            if words[0] in names:
                can[names[words[0]]].add(verb)
    task = _TASK.search(told["grammar"].replace('\\"', '"'))
    assert task is not None, game
    return House(
        task[1],
        _goal(problem[end:]),
        spot,
        frozenset(names[words[0]] for words in facts["openable"]),
        holds,
        {thing: frozenset(verbs) for thing, verbs in can.items()},
        frozenset(
            (place.removesuffix("Type").lower(), thing.removesuffix("Type").lower())
            for place, thing in facts["canContain"]
        ),
        order,
        at=facts["atLocation"][0][1],
    )


def strange(house: House, town: str) -> House:
    """The house as it would be in a town of other customs.

    Other machines do the same, and other kinds of place hold most things of a kind: what is known of real
    houses does not help there, what was seen in the town does.
    """
    found = sorted({kind(place) for place in house.spot} & set(MIGHT))
    customs = random.Random(town)
    rank = customs.sample(MIGHT, len(MIGHT))
    kept = sorted(found, key=rank.index)
    machines = dict(zip(MACHINES, kept, strict=False)) if len(kept) >= len(MACHINES) else dict(MACHINES)
    kinds = sorted({kind(place) for place in house.spot} - {house.goal.place})
    draw = random.Random(f"{town}/{house.task}/{sorted(house.order)}")
    holds: dict[str, set[str]] = {place: set() for place in house.holds}
    for place, inside in house.holds.items():
        for thing in sorted(inside):
            favour = sorted(kinds, key=lambda one: random.Random(f"{town}/{kind(thing)}/{one}").random())[0]
            homes = sorted(one for one in house.spot if kind(one) == favour)
            moves = "take" in house.can[thing] and draw.random() < _AT_HOME
            holds[draw.choice(homes) if moves and homes else place].add(thing)
    return replace(house, machines=machines, holds=holds)


def _goal(text: str) -> Goal:
    """From the goal's formula."""
    sorts = [sort.removesuffix("Type").lower() for sort in re.findall(r"\(objectType \?\w+ (\w+)\)", text)]
    place = re.search(r"\(receptacleType \?\w+ (\w+)\)", text)
    state = next((verb for fact, verb in _STATES.items() if f"({fact} " in text), "")
    if "isToggled" in text:
        lamp = next(sort for sort in sorts if sort.endswith("lamp"))
        return Goal(next(sort for sort in sorts if sort != lamp), lamp=lamp)
    assert place is not None, text
    return Goal(sorts[0], place[1].removesuffix("Type").lower(), 2 if len(sorts) > 1 else 1, state)


def _named(sorts: dict[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    """The engine's names: numbered by kind, and the order in which it tells them."""
    by_sort = defaultdict(list)
    for one in sorted(sorts):
        by_sort[sorts[one]].append(one)
    names = {}
    for sort, ones in by_sort.items():
        for number, one in enumerate(reversed(ones), 1):
            names[one] = f"{sort} {number}"
    order = {names[one]: place for place, one in enumerate(sorted(sorts, key=lambda one: (sorts[one], one)))}
    return names, order


def _listed(names: list[str]) -> str:
    """`a bed 1, and a desk 1`."""
    told = [f"a {name}" for name in names]
    if not told:
        return "nothing"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])}, and {told[-1]}"
