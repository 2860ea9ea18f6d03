"""Principles that counters find in episodes, without any model.

Source: the symbolic builder of OmniReflect (arXiv 2506.17449) is not published in detail; this is a
reconstruction by counters: loops, refused actions, wasted visits, A-before-B, rules told by the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from agent.builders.facts import stated_rules
from agent.builders.ops import Operation, Window, as_held
from agent.builders.orders import BEFORE, orders, paying_orders
from agent.builders.patterns import Pattern, best, dead_actions, loops, wasted_visits
from agent.builders.settings import PATTERNS, MineSettings, PatternName
from agent.builders.wording import held_as
from memory.types import Draft, Episode, Item

Miner = Callable[[Sequence[Episode], str | None, MineSettings], Iterator[Pattern]]
"""Finds one kind of pattern in episodes of one family, or of several taken as one (None)."""


def mined(episodes: Sequence[Episode], settings: MineSettings | None = None) -> tuple[Pattern, ...]:
    """The patterns of episodes of one or several families, family by family, a sentence once in each."""
    settings = settings or MineSettings()
    learnable = [e for e in episodes if e.outcome in {"success", "failure"}]
    found: list[Pattern] = []
    for family in dict.fromkeys(e.family for e in learnable):
        found += _mined([e for e in learnable if e.family == family], family, settings)
    return tuple(found)


def spanning(episodes: Sequence[Episode], settings: MineSettings) -> tuple[Pattern, ...]:
    """What several families show, counted over all of them; then what each shows besides.

    What led nowhere at some sites may lead somewhere at the next: of dead actions only tools are told for
    all, wasted visits never.
    """
    learnable = [e for e in episodes if e.outcome in {"success", "failure"}]
    families = {e.id: e.family for e in learnable}
    own = mined(learnable, settings)
    if len(set(families.values())) < 2:
        return own
    whole = [
        pattern
        for pattern in _mined(learnable, None, settings)
        if _is_general(pattern) and len({families[one.episode] for one in pattern.evidence}) >= 2
    ]
    told = {pattern.text for pattern in whole}
    return (*whole, *(pattern for pattern in own if pattern.text not in told))


def _is_general(pattern: Pattern) -> bool:
    return pattern.name in {"rule", "order", "loop", "success"} or pattern.tier == "tool"


def _mined(episodes: Sequence[Episode], family: str | None, settings: MineSettings) -> list[Pattern]:
    told: dict[str, Pattern] = {}
    for name in (name for name in PATTERNS if name in settings.patterns):
        for pattern in MINERS[name](episodes, family, settings):
            # A rule, or an order that the world insists on, says more than that it pays.
            if name != "success" or not any(text.startswith(_gist(pattern.text)) for text in told):
                told.setdefault(pattern.text, pattern)
    return list(told.values())


def _gist(text: str) -> str:
    """An order's first command, and what kind of action the second is."""
    first, before, then = text.partition(BEFORE)
    return f"{first}{before}{then.partition(' ')[0]}"


def principles(episodes: Sequence[Episode], settings: MineSettings | None = None) -> tuple[Draft, ...]:
    """What is mined, as principles on trial."""
    return tuple(pattern.draft() for pattern in mined(episodes, settings))


def news(
    episodes: Sequence[Episode],
    latest: str,
    settings: MineSettings | None = None,
    principles: Sequence[Item] = (),
) -> tuple[Draft, ...]:
    """The principles that the latest of the episodes shows or breaks, with all that is known of each.

    What is among the `principles` in force is said in their words and reach. Memory counts an episode once,
    however often it is told of it.
    """
    window = Window(tuple(episodes), tuple(principles))
    shown = (one for one in mined(episodes, settings) if one.names(latest))
    return tuple(as_held(one.draft(), held_as(one, window)) for one in shown)


def _rules(episodes: Sequence[Episode], family: str | None) -> Iterator[Pattern]:
    stated = [lesson for episode in episodes for lesson in stated_rules(episode)]
    for text in dict.fromkeys(lesson.text for lesson in stated):
        seen = tuple(lesson.evidence[0] for lesson in stated if lesson.text == text)
        yield Pattern("rule", text, family, seen)


def _limited(miner: Miner) -> Miner:
    def mine(episodes: Sequence[Episode], family: str | None, settings: MineSettings) -> Iterator[Pattern]:
        yield from best(tuple(miner(episodes, family, settings)), settings)

    return mine


MINERS: Mapping[PatternName, Miner] = MappingProxyType(
    {
        "rule": lambda own, family, _: _rules(own, family),
        "order": orders,
        "loop": _limited(loops),
        "dead": _limited(lambda own, family, _: dead_actions(own, family)),
        "waste": _limited(lambda own, family, _: wasted_visits(own, family)),
        "success": _limited(paying_orders),
    }
)
"""By the name of what they find."""


def operations(found: Iterable[tuple[Pattern, bool]], window: Window) -> tuple[Operation, ...]:
    """Additions of what is new; what is held already is kept, and counted on where more was seen of it.

    Each pattern comes with whether a model worded it.
    """
    made: list[Operation] = []
    for pattern, is_worded in found:
        item = held_as(pattern, window)
        draft = as_held(pattern.draft("neuro-symbolic" if is_worded else "symbolic"), item)
        targets = () if item is None else (item.id,)
        made.append(Operation("keep" if targets else "add", targets, draft, pattern.evidence, pattern.name))
    return tuple(made)
