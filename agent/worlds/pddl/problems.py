"""Problems of the four domains, drawn by seed; as PDDL. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

LEVELS = (1, 2, 3)
Facts = list[str]
Sorts = Mapping[str, Sequence[str]]
"""Objects by their sort."""


def problem(domain: str, level: int, seed: int) -> str:
    """A problem whose goal does not hold yet; the same arguments give the same text.

    >>> print(problem("gripper", 1, 4).splitlines()[0])
    (define (problem gripper-1-4) (:domain gripper)
    """
    sorts, facts, goal = DOMAINS[domain](level, random.Random(f"{domain}/{level}/{seed}"))
    objects = " ".join(f"{' '.join(names)} - {sort}" for sort, names in sorts.items())
    return (
        f"(define (problem {domain}-{level}-{seed}) (:domain {domain})\n"
        f"(:objects {objects})\n(:init {_listed(facts)})\n(:goal (and {_listed(goal)})))\n"
    )


def _listed(facts: Iterable[str]) -> str:
    return " ".join(f"({fact})" for fact in facts)


def _names(sort: str, n: int) -> list[str]:
    return [f"{sort}{number}" for number in range(1, n + 1)]


def _blocksworld(level: int, rng: random.Random) -> tuple[Sorts, Facts, Facts]:
    """Four to six blocks, from towers to other towers."""
    blocks = _names("b", 3 + level)
    before = _towers(blocks, rng)
    after = before
    while set(_ons(after)) <= set(_ons(before)):
        after = _towers(blocks, rng)
    facts = ["hand-empty", *_ons(before)]
    for tower in before:
        facts += [f"on-table {tower[0]}", f"clear {tower[-1]}"]
    return {"block": blocks}, facts, _ons(after)


def _towers(blocks: Sequence[str], rng: random.Random) -> list[list[str]]:
    """From the bottom up; a block begins a tower of its own two times in five."""
    towers: list[list[str]] = []
    for block in rng.sample(blocks, len(blocks)):
        if not towers or rng.random() < 0.4:
            towers.append([block])
        else:
            rng.choice(towers).append(block)
    return towers


def _ons(towers: Iterable[Sequence[str]]) -> Facts:
    return [f"on {above} {below}" for tower in towers for below, above in pairwise(tower)]


def _gripper(level: int, rng: random.Random) -> tuple[Sorts, Facts, Facts]:
    """Two to five balls in two to four rooms."""
    rooms, balls = _names("room", 1 + level), _names("ball", rng.randint(level + 1, level + 2))
    was = {ball: rng.choice(rooms) for ball in balls}
    to = dict(was)
    while all(to[ball] == was[ball] for ball in balls):
        to = {ball: rng.choice(rooms) for ball in balls}
    facts = [f"robot-in {rng.choice(rooms)}", "free left", "free right"]
    facts += [f"in {ball} {room}" for ball, room in was.items()]
    goal = [f"in {ball} {room}" for ball, room in to.items()]
    return {"room": rooms, "ball": balls, "gripper": ["left", "right"]}, facts, goal


def _barman(level: int, rng: random.Random) -> tuple[Sorts, Facts, Facts]:
    """One cocktail; from level 2 on with something plain beside it; at level 3 a second cocktail."""
    ingredients, cocktails = _names("ingredient", 1 + level), _names("cocktail", level)
    shots, levels = _names("shot", level + 1), ["l0", "l1", "l2"]
    facts = ["free left", "free right", "clean shaker1", "empty shaker1", "on-table shaker1"]
    facts += ["filled-to shaker1 l0", "is-empty-level shaker1 l0", "follows l0 l1", "follows l1 l2"]
    facts += [f"gives dispenser{one.removeprefix('ingredient')} {one}" for one in ingredients]
    for shot in shots:
        facts += [f"clean {shot}", f"empty {shot}", f"on-table {shot}"]
    for cocktail in cocktails:
        first, second = rng.sample(ingredients, 2)
        facts += [f"first-part {cocktail} {first}", f"second-part {cocktail} {second}"]
    drinks = [*rng.sample(cocktails, max(1, level - 1)), *rng.sample(ingredients, int(level > 1))]
    rng.shuffle(drinks)
    goal = [f"contains {shot} {drink}" for shot, drink in zip(shots[:level], drinks, strict=True)]
    sorts = {
        "hand": ["left", "right"],
        "level": levels,
        "ingredient": ingredients,
        "cocktail": cocktails,
        "dispenser": _names("dispenser", len(ingredients)),
        "shot": shots,
        "shaker": ["shaker1"],
    }
    return sorts, facts, goal


def _tyreworld(level: int, rng: random.Random) -> tuple[Sorts, Facts, Facts]:
    """One to three flat tyres; what is asked for beside the change is drawn."""
    hubs, flats, spares = _names("hub", level), _names("flat", level), _names("spare", level)
    nuts, tools = _names("nuts", level), ["wrench1", "jack1", "pump1"]
    facts = ["closed boot1", *(f"in-boot {one} boot1" for one in (*tools, *spares))]
    goal = []
    for number, hub in enumerate(hubs):
        facts += [f"on-ground {hub}", f"fastened {hub}", f"tight {nuts[number]} {hub}"]
        facts += [f"mounted {flats[number]} {hub}", f"flat {flats[number]}"]
        goal += [f"mounted {spares[number]} {hub}", f"tight {nuts[number]} {hub}"]
    for spare in spares:
        if rng.random() < 0.5:
            facts += [f"inflated {spare}"]
        else:
            facts += [f"flat {spare}", f"sound {spare}"]
            goal += [f"inflated {spare}"]
    away = [one for one in (*tools, *flats) if rng.random() < 0.6]
    goal += [f"in-boot {one} boot1" for one in away]
    goal += ["closed boot1"] if rng.random() < 0.5 else []
    sorts = {
        "boot": ["boot1"],
        "hub": hubs,
        "nuts": nuts,
        "wheel": [*flats, *spares],
        "wrench": ["wrench1"],
        "jack": ["jack1"],
        "pump": ["pump1"],
    }
    return sorts, facts, goal


DOMAINS: Mapping[str, Callable[[int, random.Random], tuple[Sorts, Facts, Facts]]] = {
    "barman": _barman,
    "blocksworld": _blocksworld,
    "gripper": _gripper,
    "tyreworld": _tyreworld,
}
