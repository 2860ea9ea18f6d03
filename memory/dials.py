"""What an operator sets for a namespace, from its next episode on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from memory.errors import BadInput
from memory.modes import mode_of
from memory.types import Json, Mode, ReadName

DialName = Literal["mode", "read", "advantage_guard", "verify", "learning_tokens_day"]


@dataclass(frozen=True, slots=True)
class Dials:
    """The dials of a namespace; None where one was never turned, or was turned back."""

    mode: Mode | None = None
    """What memory does for requests that do not say; at `off`, for all."""
    read: ReadName | None = None
    """The policy that ranks what is recalled."""
    advantage_guard: bool | None = None
    """Are actions refused once that were credibly bad near the same state?"""
    verify: bool | None = None
    """Are runs looked at whose world does not say how they went?"""
    learning_tokens_day: int | None = None
    """Tokens that learning may spend on models in 24 hours; then it goes on without them."""


def position(name: DialName, value: Json) -> Json:
    """The value as it is kept. Raises BadInput on one that the dial does not have.

    >>> position("mode", "read")
    'frozen'
    """
    return None if value is None else _POSITIONS[name](name, value)


def _mode(name: DialName, value: Json) -> Json:
    if not isinstance(value, str):
        raise BadInput(f"the dial {name!r} cannot be at {value!r}: give the name of a mode, or null")
    return mode_of(value)


def _policy(name: DialName, value: Json) -> Json:
    if value not in get_args(ReadName):
        known = ", ".join(get_args(ReadName))
        raise BadInput(f"the dial {name!r} cannot be at {value!r}: give one of {known}, or null")
    return value


def _switch(name: DialName, value: Json) -> Json:
    if not isinstance(value, bool):
        raise BadInput(f"the dial {name!r} cannot be at {value!r}: give true, false, or null")
    return value


def _amount(name: DialName, value: Json) -> Json:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput(f"the dial {name!r} cannot be at {value!r}: give a whole number from 0 on, or null")
    return value


_POSITIONS: Mapping[DialName, Callable[[DialName, Json], Json]] = {
    "mode": _mode,
    "read": _policy,
    "advantage_guard": _switch,
    "verify": _switch,
    "learning_tokens_day": _amount,
}
