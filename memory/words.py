"""Text as words: one tokeniser for full-text search, ranking, hashing and duplicate checks. Pure."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "do",
        "for",
        "from",
        "has",
        "have",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "so",
        "than",
        "that",
        "the",
        "then",
        "there",
        "this",
        "to",
        "was",
        "were",
        "will",
        "with",
        "you",
        "your",
    ]
)
"""Words that say nothing about what a text is about; a question made of them alone matches nothing."""


def words(text: str) -> list[str]:
    """Folded words in order, plurals cut at the last s.

    >>> words("Put two clean Mugs on shelf 2!")
    ['put', 'two', 'clean', 'mug', 'on', 'shelf', '2']
    """
    return [_stem(word) for word in _WORD.findall(_folded(text))]


def content_words(text: str) -> list[str]:
    """Words without stop words; all words where nothing else is left."""
    found = words(text)
    return [word for word in found if word not in STOP_WORDS] or found


def normalised(text: str) -> str:
    """What two texts must share to be the same text: case, width, spacing and punctuation aside.

    >>> normalised("The  mug is in cabinet 3.") == normalised("the mug is in cabinet 3")
    True
    """
    return " ".join(_WORD.findall(_folded(text)))


def numbers(text: str) -> frozenset[str]:
    """Words with a digit: `cabinet 3` and `cabinet 4` differ by them alone.

    >>> sorted(numbers("cabinet 3, shelf B12"))
    ['3', 'b12']
    """
    if not _DIGIT.search(text):
        return frozenset()
    return frozenset(word for word in _WORD.findall(text.casefold()) if _DIGIT.search(word))


def searchable(text: str) -> str:
    """The words as ASCII, so that the database's tokeniser cannot see them otherwise than we do.

    >>> searchable("Café mugs")
    'u636166c3a9 mug'
    """
    found = words(text)
    return " ".join(found if text.isascii() else map(_ascii, found))


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _ascii(word: str) -> str:
    return word if word.isascii() else "u" + word.encode("utf-8", "surrogatepass").hex()
