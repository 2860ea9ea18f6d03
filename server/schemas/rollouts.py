"""Rollouts as clients see them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from agent.builders.facts import FEEDBACK
from memory.types import Episode, Mode, Outcome
from server.schemas.completion import UsageOut
from server.strands import OURS


class RolloutOut(BaseModel):
    """An agent's work so far."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["rollout"] = "rollout"
    episode: str
    """Its episode, see `GET /v1/episodes/{id}`."""
    ended: bool
    """Feedback said how it went: it takes no more calls."""
    outcome: Outcome
    reward: float | None
    feedback: dict[str, JsonValue]
    mode: Mode
    """What memory does for it, since its first call."""
    model: str
    calls: int
    """Model calls."""
    steps: int
    """Tool calls that the model made."""
    lines: int
    """Conversations in it: the agent's own, and those that ran beside it or branched off."""
    usage: UsageOut
    started_at: float
    last_call_at: float

    @classmethod
    def of(cls, rollout: str, episode: Episode) -> RolloutOut:
        """A rollout by its episode."""
        lines = {one.agent for one in episode.messages} - {OURS, FEEDBACK}
        return cls(
            id=rollout,
            episode=episode.id,
            ended=episode.outcome != "unknown",
            outcome=episode.outcome,
            reward=episode.reward,
            feedback=episode.feedback,
            mode=episode.mode,
            model=episode.model,
            calls=sum(one.role == "assistant" for one in episode.messages if one.kind in {"act", "answer"}),
            steps=episode.steps,
            lines=len(lines),
            usage=UsageOut.of(episode.usage),
            started_at=episode.started_at,
            last_call_at=episode.ended_at,
        )
