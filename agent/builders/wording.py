"""Does a wording of a counted pattern still say the same? Pure, and on the safe side.

Meaning is not guessed at: a wording is taken when its words and names are the pattern's or its evidence's, it
forbids where the pattern forbids, and an order stays in order. Anything else falls back to the template.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.builders.ops import Window, is_negative
from agent.builders.patterns import Pattern
from agent.prompt import transcript
from agent.words import content_words, numbered_names, sentences
from memory.types import Item, PrincipleBody

_LONGEST = 200
"""Characters."""
_MOSTLY = 0.8
"""Share of a wording's words that must be the pattern's or its evidence's."""
_HALF = 0.5
"""Share of a pattern's words that its wording must keep."""
_BEFORE = " before "


def is_faithful(wording: str, said: Sequence[str], read: str) -> bool:
    """Does it say what all of the patterns say, in the words of `read`, what their evidence shows?

    >>> is_faithful("Always press the button before you heat with stove 2.",
    ...             ["press button before you heat with stove 2."], "stove 2 is ready.")
    True
    >>> is_faithful("Press button after you heat with stove 2.",
    ...             ["press button before you heat with stove 2."], "stove 2 is ready.")
    False
    """
    words = content_words(wording)
    if not words or len(wording) > _LONGEST or len(sentences(wording)) != 1:
        return False
    there = {word for text in (*said, read) for word in content_words(text)}
    names = numbered_names(" . ".join((*said, read)))
    if sum(word in there for word in words) < _MOSTLY * len(words) or not numbered_names(wording) <= names:
        return False
    return all(_says(wording, one) for one in said)


def held_as(pattern: Pattern, window: Window) -> Item | None:
    """The principle in force that says a pattern already: in its words, or in a model's, of its evidence.

    One of its family, or of the whole namespace.
    """
    for scope, family in (("family", pattern.family), ("namespace", None)):
        for item in window.principles:
            if (item.scope, item.family) == (scope, family) and _is_of(item, pattern, window):
                return item
    return None


def read_of(parts: Sequence[Pattern], window: Window, limit: int | None = None) -> str:
    """What the evidence of patterns shows, of each at most `limit` places: commands and answers."""
    episodes = {episode.id: episode for episode in window.episodes}
    lines = []
    for pattern in parts:
        for piece in pattern.evidence[:limit]:
            near = {piece.message - 1, piece.message}
            lines += [text for index, text in transcript(episodes[piece.episode].messages) if index in near]
    return " . ".join(lines)


def _is_of(item: Item, pattern: Pattern, window: Window) -> bool:
    if item.text == pattern.text:
        return True
    body = item.body
    if not isinstance(body, PrincipleBody) or (body.builder, body.pattern) != (
        "neuro-symbolic",
        pattern.name,
    ):
        return False
    is_seen = not set(item.lineage.evidence).isdisjoint(pattern.evidence)
    return is_seen and is_faithful(item.text, [pattern.text], read_of((pattern,), window))


def _says(wording: str, said: str) -> bool:
    if is_negative(wording) != is_negative(said) or not _keeps(wording, said):
        return False
    if not numbered_names(said) <= numbered_names(wording):
        return False
    first, before, then = said.casefold().partition(_BEFORE)
    if not before:
        return _BEFORE not in wording.casefold()
    one, there, other = wording.casefold().partition(_BEFORE)
    return bool(there) and _keeps(one, first) and _keeps(other, then)


def _keeps(wording: str, said: str) -> bool:
    wanted, there = content_words(said), set(content_words(wording))
    return sum(word in there for word in wanted) >= _HALF * len(wanted)
