"""Principles that contradict each other: the narrower scope wins. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from memory.entry import reach_of
from memory.types import Item, Scope
from memory.words import plain_words

BREADTH: Mapping[Scope, int] = MappingProxyType(
    {"run": 0, "team": 1, "family": 2, "namespace": 3, "global": 4}
)
_FORBIDS = (("do", "not"), ("don", "t"), ("must", "not"), ("never",), ("not",))
_DEMANDS = (("always",), ("must",), ("do",))
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Claim:
    """What a principle is about, and what it says of that. Equal in the first alone: they contradict."""

    about: frozenset[str]
    """The act; the two acts of an order."""
    says: str
    """The act that comes first, or `do` or `not`."""


def claim_of(text: str) -> Claim:
    """Read a principle as an order of two acts, or as one act to do or not to do.

    Only sentences of the same words are seen to contradict each other: meanings are not guessed at.

    >>> claim_of("Open the fridge.").about == claim_of("never open the fridge").about
    True
    >>> claim_of("wipe feet before you go in").says, claim_of("go in before you wipe feet").says
    ('wipe feet', 'go in')
    """
    words = [word for word in plain_words(text) if word not in _ARTICLES]
    is_forbidden, words = _led_by(words, _FORBIDS)
    if not is_forbidden:
        _, words = _led_by(words, _DEMANDS)
    if "before" in words[1:-1]:
        place = words.index("before", 1)
        then = words[place + 1 :]
        pair = (" ".join(words[:place]), " ".join(then[1:] if then[0] == "you" else then))
        # Not to do A before B is to do B first.
        return Claim(frozenset(pair), pair[1] if is_forbidden else pair[0])
    return Claim(frozenset({" ".join(words)}), "not" if is_forbidden else "do")


def losers(principles: Sequence[Item]) -> dict[str, str]:
    """Ids of those that give way, each with the id of the one it contradicts.

    A pinned one stands before others, then the narrower scope, then what comes first in the order given.
    Principles of different families never meet, so they do not contradict each other.
    """
    places = {item.id: place for place, item in enumerate(principles)}
    standing: dict[frozenset[str], list[tuple[Item, str]]] = {}
    lost: dict[str, str] = {}
    for item in sorted(principles, key=lambda one: (not one.pinned, BREADTH[one.scope], places[one.id])):
        claim = claim_of(item.text)
        others = standing.setdefault(claim.about, [])
        winner = _against(item, claim.says, others)
        if winner is None:
            others.append((item, claim.says))
        else:
            lost[item.id] = winner
    return lost


def _against(item: Item, says: str, others: Iterable[tuple[Item, str]]) -> str | None:
    for other, said in others:
        if said != says and _meet(item, other):
            return other.id
    return None


def _meet(one: Item, other: Item) -> bool:
    reaches = {reach_of(item.scope, item.family, item.audience) for item in (one, other)}
    return None in reaches or len(reaches) == 1


def _led_by(words: list[str], leads: Iterable[tuple[str, ...]]) -> tuple[bool, list[str]]:
    for lead in leads:
        if tuple(words[: len(lead)]) == lead and len(words) > len(lead):
            return True, words[len(lead) :]
    return False, words
