"""Learning as the server sees it: which mode holds for a request. No HTTP here."""

from __future__ import annotations

from memory.modes import settled
from memory.types import Mode
from server.services import Core
from server.settings import Settings


async def mode_for(_core: Core, settings: Settings, _namespace: str, asked: str | None) -> Mode:
    """The mode of a request, see `memory.modes.settled`."""
    return settled(asked, None, settings.memory_mode)
