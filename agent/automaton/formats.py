"""Formats as specifications, and how well a text keeps one. Pure."""

from __future__ import annotations

import re
from functools import cache

from agent.automaton.dfa import Automaton
from agent.automaton.syntax import specification

REACT = """
start: question
question: thought
thought: action | conclusion
action: input
input: observation
observation: thought | conclusion
conclusion: answer
answer: end
"""
"""ReAct (arXiv 2210.03629): nothing is concluded but after a thought or an observation."""
SEARCHING = """
start: think
think: search | answer
search: information
information: think
answer: end
"""
"""The tags of SSRL (arXiv 2508.10874): think first, a search is answered, thinking comes between."""
GOALS = """
start: think
think: search | reflect | answer
search: learnings
learnings: think
reflect: think
answer: end
always (learnings -> next (not (search or answer) until reflect))
"""
"""The tags of RE-Searcher (arXiv 2509.26048): a thought before each, a verdict on what was learned."""
_TAG = re.compile(r"<(/?)(\w+)>")
MOST_THOUGHTS = 8


def tags(text: str) -> tuple[str, ...] | None:
    """Names of the tags in order; None where they do not open and close one after the other, or hold nothing.

    >>> tags("<think>hm</think><answer>4</answer>"), tags("<think>hm<answer>4</answer>")
    (('think', 'answer'), None)
    """
    names: list[str] = []
    opened: tuple[str, int] | None = None
    for found in _TAG.finditer(text):
        if found[1]:
            if opened is None or opened[0] != found[2] or not text[opened[1] : found.start()].strip():
                return None
            names.append(found[2])
            opened = None
        elif opened is not None:
            return None
        else:
            opened = found[2], found.end()
    return None if opened is not None else tuple(names)


@cache
def _searching() -> Automaton:
    return specification(SEARCHING).automaton


def searching_score(text: str) -> float:
    """How well a text keeps SSRL's format, 0..1: min(1, t/2)·min(t, s+1)/max(t, s+1), t thoughts, s searches.

    0 where it breaks the order, or beyond eight thoughts. Source: the reward of SSRL's code.
    """
    names = tags(text)
    if names is None or not _searching().accepts(names):
        return 0.0
    thoughts, searches = names.count("think"), names.count("search")
    if thoughts > MOST_THOUGHTS:
        return 0.0
    return min(1.0, thoughts / 2) * min(thoughts, searches + 1) / max(thoughts, searches + 1)
