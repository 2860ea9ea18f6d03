"""One request to a chat, between what was asked and what is recorded of it. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.opening import Told
from agent.types import Reply, Request
from memory.types import Episode, Message, Mode, RecallRecord
from server.schemas.completion import Recollection
from server.services import new_id
from server.strands import Strand

_OUR_CALL = re.compile(r"call_([0-9a-f]+)_\d+")


@dataclass(frozen=True, slots=True)
class Turn:
    """One request, ready for the model."""

    episode: str | None
    """None when nothing is recorded."""
    mode: Mode
    request: Request
    asked: tuple[Message, ...]
    """The conversation as the client sent it."""
    strand: Strand
    """Where it stands in its episode."""
    before: Episode | None
    """The episode that this turn continues; its recall still holds."""
    told: Told
    started_at: float
    is_rollout: bool = False

    @property
    def record(self) -> RecallRecord | None:
        """What was recalled, now or at the episode's beginning."""
        return self.told.record if self.before is None or self.strand.is_new else self.before.recall

    @property
    def constitution_version(self) -> str | None:
        """The constitution that was shown."""
        if self.before is None or self.strand.is_new:
            return self.told.version
        return self.before.constitution_version

    def recollection(self, stages: Mapping[str, float]) -> Recollection:
        """What memory did, for the client."""
        record = self.record
        return Recollection(
            episode=self.episode,
            mode=self.mode,
            items=[recalled.item for recalled in record.items if recalled.shown] if record else [],
            constitution=self.constitution_version,
            timing={stage: round(seconds * 1000, 1) for stage, seconds in stages.items()},
        )


def lot_of(asked: Sequence[Message]) -> str | None:
    """The episode that a conversation goes on from, by the calls it answers; None: it is a new one."""
    found = [match for m in asked if (match := _OUR_CALL.fullmatch(m.tool_call_id or ""))]
    return f"ep_{found[-1][1]}" if found else None


def named(turn: Turn, reply: Reply) -> Reply:
    """Calls carry the episode in their ids, so that their results lead back to it."""
    name = (turn.episode or new_id("ep")).removeprefix("ep_")
    first = sum(len(m.tool_calls) for m in turn.asked)
    if turn.is_rollout:
        # Calls of requests at the same time must not be called the same.
        first = secrets.randbelow(10**9) * 100
    calls = tuple(
        replace(call, id=f"call_{name}_{first + i}") for i, call in enumerate(reply.message.tool_calls)
    )
    return replace(reply, message=replace(reply.message, tool_calls=calls))
