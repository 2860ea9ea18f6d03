"""Whole attempts as a pool: strategies by revision, recombination and refinement, never one that was tried.

Source: Lin et al. 2025 (SE-Agent), arXiv 2508.02085. Deviations: an attempt is condensed to the paper's
fields by one call; a strategy that was tried before is sent back, and dropped the second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.deliberate.asking import json_of
from agent.pool.mechanism import Change, Entry, Made, Move, Operator, Pool
from agent.types import Ask, Judgement, Request
from memory.codec import from_json
from memory.types import Json, Message

_TEXTS = ("approach", "strategy", "pattern", "status", "reason")
_LISTS = ("modified", "changes", "techniques", "tools", "assumptions", "components")
_FORM: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in _TEXTS},
        **{name: {"type": "array", "items": {"type": "string"}} for name in _LISTS},
    },
    "required": [*_TEXTS, *_LISTS],
}
_STRATEGY: Mapping[str, Json] = {
    "type": "object",
    "properties": {"strategy": {"type": "string", "minLength": 1}},
    "required": ["strategy"],
}
_CUT = 400
"""Characters of a text that is carried on."""
_CONDENSE = (
    "Condense this attempt: its approach, its strategy in a few words, the pattern of its reasoning, its "
    "status (solved, failed, unknown) and the reason; what it modified, the changes, techniques and tools, "
    "what it assumed, the components it touched. As JSON with the keys "
    f"{', '.join((*_TEXTS, *_LISTS))}; the last {len(_LISTS)} are lists."
)
_ASKS = {
    "revise": "Propose another strategy that shares no assumption with this one, in 200 words at most.",
    "recombine": "Propose one strategy that keeps what is strong in each and covers what both overlook, in "
    "250 words at most.",
    "refine": "Over all of these: name two or three blind spots and two or three risks, then propose a "
    "strategy that meets them, in 200 words at most.",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt in short; the fields of the paper's pool."""

    strategy: str
    approach: str = ""
    pattern: str = ""
    status: str = "unknown"
    reason: str = ""
    modified: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    told: str = ""
    """The strategy that it was set to; empty for the first."""
    is_recalled: bool = False
    """From memory: of another run."""

    def render(self) -> str:
        """As a model reads it."""
        lines = [f"strategy: {self.strategy}", f"approach: {self.approach}", f"status: {self.status}"]
        lines += [f"reason: {self.reason}"] if self.reason else []
        named = {name: getattr(self, name) for name in _LISTS}
        lines += [f"{name}: {'; '.join(values)}" for name, values in named.items() if values]
        return "\n".join(lines)


Try = Callable[[str], Awaitable[tuple[Attempt, Judgement]]]
"""One whole attempt, set to a strategy; an empty one leaves it to the model."""


async def condensed(ask: Ask, transcript: str, told: str) -> Attempt:
    """An attempt in short; one that cannot be read is its last words."""
    asked = Message("user", f"{transcript}\n\n{_CONDENSE}", kind="critique", agent="pool")
    said = await json_of(ask, Request((asked,)), _FORM)
    if said is None:
        return Attempt(told or "unknown", transcript[-_CUT:], told=told)
    texts = {name: str(said[name])[:_CUT] for name in _TEXTS}
    lists: dict[str, Json] = {name: list(_lines(said[name])) for name in _LISTS}
    return from_json(Attempt, {**texts, **lists, "told": told})


def operators(ask: Ask, attempt: Try, *, retries: int = 1) -> dict[str, Operator[Attempt]]:
    """Try; revise, recombine and refine, then try."""

    async def first(_: Pool[Attempt], __: tuple[Entry[Attempt], ...]) -> Change[Attempt]:
        return Change((Made(*await attempt("")),))

    def by(name: str) -> Operator[Attempt]:
        async def do(pool: Pool[Attempt], on: tuple[Entry[Attempt], ...]) -> Change[Attempt]:
            strategy = await _proposed(ask, name, pool, on, retries)
            return Change((Made(*await attempt(strategy)),)) if strategy else Change()

        return do

    return {"try": first, **{name: by(name) for name in _ASKS}}


async def _proposed(
    ask: Ask, name: str, pool: Pool[Attempt], on: Sequence[Entry[Attempt]], retries: int
) -> str | None:
    """A strategy that was not tried, or None."""
    tried = {plain(said) for one in pool.entries for said in (one.content.strategy, one.content.told)}
    shown = "\n\n".join(one.content.render()[: 3 * _CUT] for one in on)
    told = f'{shown}\n\n{_ASKS[name]} As JSON {{"strategy": "…"}}.'
    messages: tuple[Message, ...] = (Message("user", told, kind="plan", agent="pool"),)
    for _ in range(1 + retries):
        said = await json_of(ask, Request(messages), _STRATEGY)
        if said is None:
            return None
        strategy = str(said["strategy"]).strip()
        if plain(strategy) not in tried:
            return strategy
        again = Message(
            "user", f"This was tried before: {strategy}\nPropose another.", kind="plan", agent="pool"
        )
        messages = (*messages, again)
    return None


def plain(strategy: str) -> str:
    """What makes two strategies one: their words, in order, without case and marks."""
    return " ".join("".join(c if c.isalnum() else " " for c in strategy.casefold()).split())


def on_failed(pool: Pool[Attempt]) -> Move:
    """Revise the latest attempt that was not right."""
    return Move("revise", (own(pool)[-1].id,))


def on_two(pool: Pool[Attempt]) -> Move:
    """Recombine the best recalled attempt, where there is one, or the last but one, with the last."""
    recalled = [one for one in pool.entries if one.content.is_recalled]
    mine = own(pool)
    pair = (recalled[:1] or mine[-2:-1]) + mine[-1:]
    return Move("recombine", tuple(one.id for one in pair)) if len(pair) == 2 else on_failed(pool)


def on_all(pool: Pool[Attempt]) -> Move:
    """Refine over all of them."""
    return Move("refine", tuple(one.id for one in pool.entries))


def at_first(_: Pool[Attempt]) -> Move:
    """Try as the model would."""
    return Move("try")


def own(pool: Pool[Attempt]) -> list[Entry[Attempt]]:
    """Those of this run."""
    return [one for one in pool.entries if not one.content.is_recalled]


def _lines(value: Json) -> tuple[str, ...]:
    return tuple(str(one)[:_CUT] for one in value) if isinstance(value, list) else ()
