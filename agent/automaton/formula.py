"""Linear temporal logic on finite traces: formulas, and what is left of one after a step. Pure.

A trace is a word of labels, one a step. Source: progression as in Bacchus & Kabanza 1998; semantics of finite
traces as in De Giacomo & Vardi 2013 (LTLf). Formulas are kept in negation normal form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from memory.errors import TooLarge


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""

    value: bool


@dataclass(frozen=True, slots=True)
class Is:
    """The step has this label, or has another."""

    label: str
    positive: bool = True


@dataclass(frozen=True, slots=True)
class More:
    """There is a step left, or there is none."""

    positive: bool = True


@dataclass(frozen=True, slots=True)
class Both:
    """All of them hold."""

    parts: frozenset[Formula]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them holds."""

    parts: frozenset[Formula]


@dataclass(frozen=True, slots=True)
class Next:
    """There is a next step and it holds there; weak: if there is one, it does."""

    inner: Formula
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Until:
    """`then` comes, and `inner` holds until it does."""

    inner: Formula
    then: Formula


@dataclass(frozen=True, slots=True)
class Release:
    """`then` holds until `inner` does too, or for ever."""

    inner: Formula
    then: Formula


Formula: TypeAlias = Truth | Is | More | Both | Either | Next | Until | Release
TRUE, FALSE = Truth(True), Truth(False)
MOST_WAYS = 1024
"""Alternatives of one state of an automaton."""


def both(*formulas: Formula) -> Formula:
    """The conjunction, as simple as it gets without thinking."""
    parts = _gathered(formulas, Both)
    if FALSE in parts or any(_negated(part) in parts for part in parts if isinstance(part, Is | More)):
        return FALSE
    parts -= {TRUE}
    if len({part.label for part in parts if isinstance(part, Is) and part.positive}) > 1:
        return FALSE
    kept = frozenset(one for one in parts if not (isinstance(one, Either) and one.parts & parts))
    return next(iter(kept)) if len(kept) == 1 else Both(kept) if kept else TRUE


def either(*formulas: Formula) -> Formula:
    """The disjunction, likewise."""
    parts = _gathered(formulas, Either)
    if TRUE in parts or any(_negated(part) in parts for part in parts if isinstance(part, Is | More)):
        return TRUE
    parts -= {FALSE}
    kept = frozenset(one for one in parts if not (isinstance(one, Both) and one.parts & parts))
    return next(iter(kept)) if len(kept) == 1 else Either(kept) if kept else FALSE


def negated(formula: Formula) -> Formula:
    """What holds where the formula does not."""
    match formula:
        case Truth(value):
            return Truth(not value)
        case Is() | More():
            return _negated(formula)
        case Both(parts):
            return either(*map(negated, parts))
        case Either(parts):
            return both(*map(negated, parts))
        case Next(inner, weak):
            return Next(negated(inner), not weak)
        case Until(inner, then):
            return Release(negated(inner), negated(then))
        case Release(inner, then):
            return Until(negated(inner), negated(then))


def progressed(formula: Formula, label: str) -> Formula:
    """What the rest of a trace has to fulfil once a step with this label is taken."""
    match formula:
        case Truth():
            return formula
        case Is(wanted, positive):
            return Truth((wanted == label) is positive)
        case More(positive):
            return Truth(positive)
        case Both(parts):
            return both(*(progressed(part, label) for part in parts))
        case Either(parts):
            return either(*(progressed(part, label) for part in parts))
        case Next(inner, weak):
            return either(inner, More(positive=False)) if weak else both(inner, More())
        case Until(inner, then):
            return either(progressed(then, label), both(progressed(inner, label), formula))
        case Release(inner, then):
            return both(progressed(then, label), either(progressed(inner, label), formula))


def flattened(formula: Formula) -> Formula:
    """The same as alternatives (disjunctive normal form), without those that another one covers.

    Progression nests what is left of an until in what is left of it, for ever if nobody takes it apart; of
    alternatives over the parts of one formula there are finitely many. Raises TooLarge beyond MOST_WAYS.
    """
    return either(*(both(*way) for way in _ways(formula)))


def holds_at_the_end(formula: Formula) -> bool:
    """Is it fulfilled when no step comes any more?"""
    match formula:
        case Truth(value):
            return value
        case Is(_, positive):
            return not positive
        case More(positive):
            return not positive
        case Both(parts):
            return all(map(holds_at_the_end, parts))
        case Either(parts):
            return any(map(holds_at_the_end, parts))
        case Next(_, weak):
            return weak
        case Until():
            return False
        case Release():
            return True


def labels_of(formula: Formula) -> frozenset[str]:
    """The labels it speaks of."""
    match formula:
        case Is(label):
            return frozenset({label})
        case Both(parts) | Either(parts):
            return frozenset().union(*map(labels_of, parts))
        case Next(inner):
            return labels_of(inner)
        case Until(inner, then) | Release(inner, then):
            return labels_of(inner) | labels_of(then)
        case _:
            return frozenset()


def _ways(formula: Formula) -> set[frozenset[Formula]]:
    """Sets of formulas, all of one of which have to hold."""
    match formula:
        case Truth(value):
            return {frozenset()} if value else set()
        case Either(parts):
            return _fewest(way for part in parts for way in _ways(part))
        case Both(parts):
            ways: set[frozenset[Formula]] = {frozenset()}
            for part in parts:
                ways = _fewest(one | other for one in ways for other in _ways(part))
            return ways
        case _:
            return {frozenset({formula})}


def _fewest(ways: Iterable[frozenset[Formula]]) -> set[frozenset[Formula]]:
    """Those that can hold and that ask for no more than another one does."""
    possible = {way for way in ways if both(*way) != FALSE}
    if len(possible) > MOST_WAYS:
        raise TooLarge(f"a state of the formula has more than {MOST_WAYS} alternatives: use fewer rules")
    return {way for way in possible if not any(other < way for other in possible)}


def _negated(formula: Is | More) -> Formula:
    if isinstance(formula, Is):
        return Is(formula.label, not formula.positive)
    return More(not formula.positive)


def _gathered(formulas: Iterable[Formula], kind: type[Both | Either]) -> frozenset[Formula]:
    """The formulas, those of the same kind taken apart."""
    parts: set[Formula] = set()
    for one in formulas:
        parts |= one.parts if isinstance(one, kind) else {one}
    return frozenset(parts)
