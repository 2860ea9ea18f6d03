"""What an operator sets for a namespace, from its next episode on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memory.errors import BadInput
from memory.modes import mode_of
from memory.types import Json, Mode

DialName = Literal["mode"]


@dataclass(frozen=True, slots=True)
class Dials:
    """The dials of a namespace; None where one was never turned, or was turned back."""

    mode: Mode | None = None
    """What memory does for requests that do not say; at `off`, for all."""


def position(name: DialName, value: Json) -> Json:
    """The value as it is kept. Raises BadInput on one that the dial does not have.

    >>> position("mode", "read")
    'frozen'
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadInput(f"the dial {name!r} cannot be at {value!r}: give the name of a mode, or null")
    return mode_of(value)
