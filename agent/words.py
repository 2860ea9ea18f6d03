"""The words of a sentence that carry its meaning, without a tagger: what is left when little words go."""

from __future__ import annotations

import itertools
import re

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:\.\d+)?")
_LITTLE = frozenset(
    _WORD.findall(
        """
    a about after all also always an and any are as at away back be been before being but by can
    could did do does doing done down each either else every first for from get gets go goes got had
    has have having he her here his how i if in into is it its just keep kept last like make makes
    may me might more most must my need needs never next no not now of off on one only onto or other
    our out over own please put same say see seen she should since so some still such take taken
    than that the their them then there these they things this those through to too under until up
    upon us use used using very was way we were what when where which while who why will with
    without would yes yet you your
    """
    )
)
_SENTENCE = re.compile(r"(?<=[^\d\s])[.!?](?:\s+|$)|(?<=\d)[.!?](?:\s+|$)|\n+")


def content_words(text: str) -> tuple[str, ...]:
    """Lower-case nouns, verbs of weight and numbers, plural endings cut, in order.

    >>> content_words("The mugs are in cabinet 3.")
    ('mug', 'cabinet', '3')
    """
    return tuple(_stem(word) for word in _WORD.findall(text.lower()) if word not in _LITTLE)


def numbered_names(text: str) -> frozenset[tuple[str, str]]:
    """Names with a number, which stand or fall together.

    >>> numbered_names("go to cabinet 3")
    frozenset({('cabinet', '3')})
    """
    words = [_stem(word) for word in _WORD.findall(text.lower())]
    return frozenset((name, number) for name, number in itertools.pairwise(words) if number[0].isdigit())


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text without their end marks.

    >>> sentences("it is 3.5 m wide. go on!")
    ('it is 3.5 m wide', 'go on')
    """
    return tuple(part.strip() for part in _SENTENCE.split(text) if part.strip())


def _stem(word: str) -> str:
    for ending in ("'s", "ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word.removesuffix(ending) + ("y" if ending == "ies" else "")
    return word
