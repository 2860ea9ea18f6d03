"""Principles that counters find in episodes, without any model.

Source: the symbolic builder of OmniReflect (arXiv 2506.17449) is not published in detail; this is a
reconstruction by counters: loops, refused actions, wasted visits, A-before-B, rules told by the world.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.builders.facts import stated_rules
from agent.builders.patterns import orders, principle
from agent.builders.settings import MineSettings
from memory.types import Draft, Episode


def principles(episodes: Sequence[Episode], settings: MineSettings | None = None) -> tuple[Draft, ...]:
    """Rules stated in, and orders of commands common to, episodes of one or several families."""
    settings = settings or MineSettings()
    learnable = [e for e in episodes if e.outcome in {"success", "failure"}]
    drafts: list[Draft] = []
    for family in dict.fromkeys(e.family for e in learnable):
        own = [e for e in learnable if e.family == family]
        stated = [lesson for e in own for lesson in stated_rules(e)]
        for text in dict.fromkeys(lesson.text for lesson in stated):
            seen = [lesson.evidence[0] for lesson in stated if lesson.text == text]
            drafts.append(principle(text, family, tuple(seen)))
        drafts.extend(orders(own, family, settings))
    return tuple(drafts)
