"""What each mode lets memory do. The whole table is here; rooms above ask it, none spells a mode out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from memory.errors import BadInput
from memory.types import Mode

ModeName = Literal["learn", "frozen", "shadow", "off", "on", "read"]
"""A mode as it may be asked for: `on` is learn and `read` is frozen, as releases before 0.3 called them."""
_ALIASES: Mapping[str, Mode] = {"on": "learn", "read": "frozen"}


@dataclass(frozen=True, slots=True)
class Use:
    """What memory does for an episode."""

    asks: bool
    """Recall and constitution are asked, and what they said is kept with the episode."""
    shows: bool
    """The model is shown what they said."""
    tosses: bool
    """Coins hold things out and things on trial are drawn for."""
    records: bool
    """A chat leaves an episode. A task always does: it is what the task has to show for itself."""
    learns: bool
    """The episode is reflected on and its lessons are remembered."""
    credits: bool
    """Its outcome counts for what was in view."""


USES: Mapping[Mode, Use] = {
    "learn": Use(asks=True, shows=True, tosses=True, records=True, learns=True, credits=True),
    "frozen": Use(asks=True, shows=True, tosses=False, records=True, learns=False, credits=False),
    "shadow": Use(asks=True, shows=False, tosses=False, records=True, learns=True, credits=False),
    "off": Use(asks=False, shows=False, tosses=False, records=False, learns=False, credits=False),
}


def mode_of(name: str) -> Mode:
    """The mode of a name. Raises BadInput.

    >>> mode_of("read"), mode_of("shadow")
    ('frozen', 'shadow')
    """
    mode = _ALIASES.get(name, name)
    for known in USES:
        if mode == known:
            return known
    raise BadInput(f"memory mode {name!r} must be one of {', '.join(get_args(ModeName))}")


def settled(asked: str | None, dial: Mode | None, default: Mode) -> Mode:
    """The mode of a request: its own, else the namespace's dial, else the server's; a dial at `off` wins.

    >>> settled("on", "frozen", "learn"), settled(None, "frozen", "learn"), settled("learn", "off", "learn")
    ('learn', 'frozen', 'off')
    """
    if dial == "off":
        return "off"
    return mode_of(asked) if asked is not None else dial or default
