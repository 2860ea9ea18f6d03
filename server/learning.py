"""Learning as the server sees it: which mode holds for a request. No HTTP here."""

from __future__ import annotations

import asyncio

from memory.modes import settled
from memory.types import Mode
from server.services import Core
from server.settings import Settings


async def mode_for(core: Core, settings: Settings, namespace: str, asked: str | None) -> Mode:
    """The mode of a request, see `memory.modes.settled`."""
    dials = await asyncio.to_thread(core.memory.dials, namespace)
    return settled(asked, dials.mode, settings.memory_mode)
