"""Runs of a shop's assistant, right and wrong, with those of other questions of the same intent."""

from __future__ import annotations

import random
from dataclasses import dataclass

from memory.encoder import HashEncoder
from memory.types import ToolCall

ENCODER = HashEncoder(256)
FLOWS = (
    ("find_user", "get_order", "get_product", "return_items"),
    ("find_user", "get_order", "cancel_order"),
    ("find_user", "get_user", "list_orders", "get_order", "exchange_items"),
    ("find_user", "get_order", "get_product", "modify_items", "calculate"),
    ("find_user", "get_user", "modify_address"),
)
"""What is done for an intent, in the words of a shop's tools."""
ODD = 0.05
"""Share of runs that are right by luck, or wrong in the same way each time: nobody can tell those."""
TOOLS = tuple(sorted({name for flow in FLOWS for name in flow}))


@dataclass(frozen=True, slots=True)
class Planted:
    """A run, the runs of questions made from its answer, and whether it did what was asked."""

    base: tuple[ToolCall, ...]
    alternates: tuple[tuple[ToolCall, ...], ...]
    is_right: bool


def runs(n: int, chance: random.Random) -> list[Planted]:
    """Half of them right. Who is right does nearly the same again; who guessed, guesses again."""
    return [_right(chance) if chance.random() < 0.5 else _wrong(chance) for _ in range(n)]


def judged_by_looks(run: Planted) -> float:
    """A judge who sees the run alone: longer ones that begin by finding out who asks look better, 0..1."""
    finds = run.base[:1] and run.base[0].name == "find_user"
    return 0.5 * bool(finds) + 0.1 * min(5, len(run.base))


def _right(chance: random.Random) -> Planted:
    flow, order = chance.choice(FLOWS), str(chance.randrange(1000))
    own = _calls(_slightly_other(flow, chance, 0.15), order)
    return Planted(
        own, _guessed(order, chance) if chance.random() < ODD else _again(flow, order, chance), True
    )


def _wrong(chance: random.Random) -> Planted:
    flow, order = _mixed(chance), str(chance.randrange(1000))
    own = _calls(_slightly_other(flow, chance, 0.3), order)
    return Planted(
        own, _again(flow, order, chance) if chance.random() < ODD else _guessed(order, chance), False
    )


def _again(flow: tuple[str, ...], order: str, chance: random.Random) -> tuple[tuple[ToolCall, ...], ...]:
    """Nearly the same three times; an order's number is now and then written in another way."""
    return tuple(
        _calls(_slightly_other(flow, chance, 0.3), order if chance.random() < 0.6 else f"#{order}")
        for _ in range(3)
    )


def _guessed(order: str, chance: random.Random) -> tuple[tuple[ToolCall, ...], ...]:
    """Something else each time, for the order that the answer named."""
    return tuple(_calls(_mixed(chance), order) for _ in range(3))


def _mixed(chance: random.Random) -> tuple[str, ...]:
    """A flow that another one's end was put on."""
    one, other = chance.choice(FLOWS), chance.choice(FLOWS)
    return (*one[: chance.randrange(1, 3)], *other[chance.randrange(1, len(other)) :])


def _slightly_other(flow: tuple[str, ...], chance: random.Random, p: float) -> tuple[str, ...]:
    """With chance `p` one call more, or one less."""
    if chance.random() > p:
        return flow
    at = chance.randrange(1, len(flow))
    return (*flow[:at], "get_user", *flow[at:]) if chance.random() < 0.5 else (*flow[:at], *flow[at + 1 :])


def _calls(names: tuple[str, ...], order: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(str(place), name, {"id": order}) for place, name in enumerate(names))
