"""Text as words: one tokeniser for full-text search, ranking, hashing and duplicate checks. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from snowballstemmer import stemmer

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
    """Folded words in order, each as its stem (Snowball English, Porter 2001).

    >>> words("Opened the boxes: put two clean Mugs on shelf B12!")
    ['open', 'the', 'box', 'put', 'two', 'clean', 'mug', 'on', 'shelf', 'b12']
    """
    return [_stem(word) for word in _plain(text)]


def content_words(text: str) -> list[str]:
    """Stems without stop words; all of them where nothing else is left."""
    found = _plain(text)
    return [_stem(word) for word in found if word not in STOP_WORDS] or [_stem(word) for word in found]


def plain_words(text: str) -> list[str]:
    """Folded words in order, as they stand.

    >>> plain_words("Two clean Mugs")
    ['two', 'clean', 'mugs']
    """
    return list(_plain(text))


def normalised(text: str) -> str:
    """What two texts must share to be the same text: case, width, spacing and punctuation aside.

    >>> normalised("The  mug is in cabinet 3.") == normalised("the mug is in cabinet 3")
    True
    """
    return " ".join(_plain(text))


def numbers(text: str) -> frozenset[str]:
    """Words with a digit: `cabinet 3` and `cabinet 4` differ by them alone.

    >>> sorted(numbers("cabinet 3, shelf B12"))
    ['3', 'b12']
    """
    if not _DIGIT.search(text):
        return frozenset()
    if text.isascii():
        # Then what is not letters alone has a digit.
        return frozenset(word for word in _plain(text) if not word.isalpha())
    found = _WORD.findall(text.casefold())
    return frozenset(word for word in found if not word.isalpha() and _DIGIT.search(word))


def searchable(text: str) -> str:
    """The words as ASCII, so that the database's tokeniser cannot see them otherwise than we do.

    >>> searchable("Café mugs")
    'u636166c3a9 mug'
    """
    found = words(text)
    return " ".join(found if text.isascii() else map(_ascii, found))


@lru_cache(maxsize=1 << 10)
def _plain(text: str) -> tuple[str, ...]:
    # Whatever is written is split for duplicates, for full text and for the index, one soon after the other.
    return tuple(_WORD.findall(_folded(text)))


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    # Names with a number in them have no stem, and there is no end of them. A stemmer keeps its word in
    # itself, so that each call has its own.
    return word if _DIGIT.search(word) else str(stemmer("english").stemWord(word))


def _ascii(word: str) -> str:
    return word if word.isascii() else "u" + word.encode("utf-8", "surrogatepass").hex()
