"""What stays in view of pages that were seen earlier: the elements that mattered, where they stood. Pure.

Source: Yang et al. 2024 (AgentOccam), arXiv 2410.13825, §3.2: pivotal nodes. Deviations: they are what
the model named after it had seen the page, in its words or calls, rather than a list it writes apart; where
their surroundings would be too long they stand alone, so what is named is never lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.types import Message

_PAGE = 'page "'
_ID = re.compile(r"\[(\d+)\]")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How much of pages is shown."""

    whole: int = 3
    """Newest pages that are shown as they were."""
    most_lines: int = 30
    """Of an older page."""
    most_words: int = 200
    """The same."""


def recent_pages(messages: Sequence[Message], settings: PageSettings | None = None) -> tuple[Message, ...]:
    """The messages with all but the newest pages cut down to what the model went on to name."""
    settings = settings or PageSettings()
    places = [place for place, one in enumerate(messages) if is_page(one)]
    newest = places[max(0, len(places) - settings.whole) :]
    whole = {messages[place].text for place in newest}
    made = list(messages)
    for place in places[: len(places) - len(newest)]:
        text = messages[place].text
        if text in whole:
            kept = f"{text.splitlines()[0]}\n(the same page as one further on)"
        else:
            kept = pivotal(text, named(messages[place + 1 :]), settings)
        made[place] = replace(messages[place], content=kept)
    return tuple(made)


def is_page(message: Message) -> bool:
    """Is it a page as `agent.views.page` renders one?"""
    return message.role == "tool" and message.text.startswith(_PAGE)


def named(messages: Sequence[Message]) -> frozenset[int]:
    """Ids that the model named: in brackets in its words, as numbers in its calls."""
    found: set[int] = set()
    for one in messages:
        if one.role == "assistant":
            found |= {int(number) for number in _ID.findall(one.text)}
            called = json.dumps([call.arguments for call in one.tool_calls])
            found |= {int(number) for number in _NUMBER.findall(called)}
    return frozenset(found)


def pivotal(page: str, ids: frozenset[int], settings: PageSettings | None = None) -> str:
    """The lines of a page with these ids, with what they stand in, beside and over; its title in any case."""
    settings = settings or PageSettings()
    lines = page.splitlines()
    own = {at for at, line in enumerate(lines) if ids & {int(one) for one in _ID.findall(line)}}
    above = {0, *(parent for at in own for parent in _parents(lines, at))}
    around = own | above | {at for one in own for at in _around(lines, one)}
    text = _lines(lines, around)
    if len(around) > settings.most_lines or len(text.split()) > settings.most_words:
        text = _lines(lines, own | above)
    return f"{text}\n(seen earlier; the rest is left out)" if text != page else page


def _lines(lines: Sequence[str], kept: set[int]) -> str:
    return "\n".join(lines[at] for at in sorted(kept))


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _parents(lines: Sequence[str], at: int) -> list[int]:
    found, depth = [], _depth(lines[at])
    for above in range(at - 1, -1, -1):
        if _depth(lines[above]) < depth:
            found.append(above)
            depth = _depth(lines[above])
    return found


def _around(lines: Sequence[str], at: int) -> list[int]:
    """Siblings, and all that is below the line."""
    depth = _depth(lines[at])
    found: list[int] = []
    for step in (-1, 1):
        place, is_below = at + step, step > 0
        while 0 <= place < len(lines) and _depth(lines[place]) >= depth:
            is_below = is_below and _depth(lines[place]) > depth
            if is_below or _depth(lines[place]) == depth:
                found.append(place)
            place += step
    return found
