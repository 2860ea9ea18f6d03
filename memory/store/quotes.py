"""Texts inside other texts: finding what quotes them and taking them out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

ERASED = "[erased]"
"""What stands where an erased text was quoted."""
SHORT = 16
"""Characters below which a text is only taken out of its own rows: elsewhere it may mean anything."""


def needles(texts: Iterable[str]) -> list[str]:
    """The forms in which texts may be quoted, longest first: whole, on one line, line by line."""
    found: set[str] = set()
    for one in texts:
        found |= {one, " ".join(one.split()), *(line.strip() for line in one.splitlines())}
    return sorted((one for one in found if len(one) >= SHORT), key=lambda one: (-len(one), one))


def without(data: Any, wanted: Sequence[str]) -> Any:
    """JSON data with the needles taken out of all its strings.

    >>> without({"a": ["see: the mug is in cabinet 3!"]}, ["the mug is in cabinet 3"])
    {'a': ['see: [erased]!']}
    """
    if isinstance(data, str):
        for needle in wanted:
            data = data.replace(needle, ERASED)
        return data
    if isinstance(data, list):
        return [without(one, wanted) for one in data]
    if isinstance(data, dict):
        return {name: without(one, wanted) for name, one in data.items()}
    return data
