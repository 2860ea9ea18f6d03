"""What every shape of a chat asks of a request: who calls, with which model, and what memory is to do."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

from agent.deliberate.named import deliberating, preset_of
from agent.types import Request
from memory.modes import ModeName, settled
from server.agents import steered
from server.auth import Identity
from server.chat import Chat
from server.deps import CoreDep, ServicesDep, Worker
from server.rollouts import episode_of
from server.services import Core, Services, new_id
from server.turns import Turn, lot_of

MemoryHeader = Annotated[
    ModeName | None,
    Header(
        description="`learn` (or `on`) recalls and records an episode to learn from; `frozen` (or `read`) "
        "recalls and learns nothing; `shadow` shows nothing and learns; `off` does neither and records "
        "nothing. Left out, as the namespace's dial says."
    ),
]
DeliberateHeader = Annotated[
    str,
    Header(
        description="Think twice about an answer in words: `rewrite`, `choose`, `gvr`, `debate`, `tests`; "
        "what is streamed then comes in one piece."
    ),
]
FamilyHeader = Annotated[str | None, Header(description="Recall what holds for this site or family first.")]


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that is ready for its model."""

    chat: Chat
    turn: Turn
    model: str

    def headers(self) -> dict[str, str]:
        """What the answer says beside itself: its episode, and what each stage took so far."""
        stages = ((stage, seconds * 1000) for stage, seconds in self.chat.stages.items())
        timing = {"Server-Timing": ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in stages)}
        return timing | ({"X-Apprentice-Episode": self.turn.episode} if self.turn.episode else {})


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and how."""

    core: Core
    services: Services
    caller: Identity
    memory: ModeName | None
    family: str | None
    deliberate: str

    async def begin(
        self, held: AsyncExitStack, model: str | None, asked: Request, rollout: str | None = None
    ) -> Begun:
        """The model, kept loaded while `held` is open, and what memory says to the request.

        Raises UnknownModel, ModelError, BadInput, Conflict, QuotaReached.
        """
        core, namespace = self.core, self.caller.namespace
        await core.quotas.check_spending(namespace)
        fresh = new_id("ep") if rollout is None else episode_of(namespace, rollout)
        # Whoever began a conversation goes on with it, also while an adapter is tried out.
        lot = fresh if rollout is not None else lot_of(asked.messages) or fresh
        name = core.models.resolve(model, namespace, lot)
        preset = preset_of(self.deliberate)
        used = deliberating(await held.enter_async_context(core.models.use(name)), preset, scope="words")
        dials = await asyncio.to_thread(core.memory.dials, namespace)
        chat = Chat(core, self.services.metrics, self.caller, used, steered(core.agent, dials))
        mode = settled(self.memory, dials.mode, self.services.settings.memory_mode)
        if rollout is None:
            turn = await chat.prepare(asked, mode, self.family, fresh)
        else:
            turn = await chat.join(asked, mode, self.family, fresh, is_said=self.memory is not None)
        return Begun(chat, turn, name)


def get_asker(
    core: CoreDep,
    services: ServicesDep,
    caller: Worker,
    x_apprentice_memory: MemoryHeader = None,
    x_apprentice_family: FamilyHeader = None,
    x_apprentice_deliberate: DeliberateHeader = "off",
) -> Asker:
    """The request's caller and headers."""
    return Asker(core, services, caller, x_apprentice_memory, x_apprentice_family, x_apprentice_deliberate)


AskerDep = Annotated[Asker, Depends(get_asker)]
