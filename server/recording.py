"""What a chat leaves: its episode, and what goes on with it. No HTTP here."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from agent.prompt import CHAT, PROMPT_VERSION
from agent.types import Model, Reply
from memory.types import Episode, Message, ToolSpec, Usage
from memory.writing.credit import More
from server.auth import Identity
from server.metrics import Metrics
from server.services import Core
from server.strands import strand_of, told
from server.turns import Turn

LEFT = "the client left before the end of the answer"
"""`Episode.error` of a conversation whose last answer is cut off where its reader went away."""


class Recorder:
    """Keeps the turns of one caller with one model."""

    def __init__(self, core: Core, metrics: Metrics, identity: Identity, model: Model) -> None:
        self._core = core
        self._metrics = metrics
        self._identity = identity
        self._model = model

    async def record(self, turn: Turn, replies: Sequence[Reply], error: str | None = None) -> int | None:
        """Keep the first answer; its place in the episode, None where nothing is kept."""
        usage = sum((reply.usage for reply in replies), Usage())
        self._metrics.spent(self._model.name, usage)
        await self._core.quotas.spend(self._identity.namespace, usage)
        if turn.episode is None:
            return None
        message = replies[0].message
        # Ids as the client knows them, so that its next request can be matched.
        answer = replace(message, kind="act" if message.tool_calls else "answer")
        first = None if turn.before else self._episode(turn, turn.episode, answer, usage, error)

        def say(kept: Episode) -> More:
            strand = turn.strand
            if turn.is_rollout:
                # Others may have spoken since.
                strand = replace(strand_of(kept, turn.asked), ours=strand.ours)
            reminder = turn.told.record if strand.is_new else None
            return More(
                told(strand, answer), usage, len(answer.tool_calls), reminder, error, self._shown(turn)
            )

        extend = partial(self._core.memory.extend, principal=self._identity.principal, first=first)
        kept = await asyncio.to_thread(extend, self._identity.namespace, turn.episode, say)
        return len(kept.messages) - 1 if kept.forgotten is None else None

    async def cut_off(self, turn: Turn, said: str) -> None:
        """Keep an answer as far as it was given; its tokens are counted here, for nobody told them."""
        texts = (m.text for m in turn.request.messages)
        prompt, completion = await asyncio.to_thread(
            lambda: (sum(map(self._model.count_tokens, texts)), self._model.count_tokens(said))
        )
        cut = Reply(Message("assistant", said, weight=0.0), Usage(prompt, completion, calls=1))
        await self.record(turn, (cut,), error=LEFT)

    def _episode(
        self, turn: Turn, episode_id: str, answer: Message, usage: Usage, error: str | None
    ) -> Episode:
        task = next((m.text for m in turn.asked if m.role == "user"), "")
        task_id = f"{CHAT}-{hashlib.sha256(f'{CHAT}/{task}'.encode()).hexdigest()[:16]}"
        name, _, adapter = self._model.name.partition("+")
        return Episode(
            id=episode_id,
            namespace=self._identity.namespace,
            task_id=task_id,
            task=task,
            world=CHAT,
            family=(turn.record.query.family if turn.record else None) or CHAT,
            group=task_id,
            messages=told(turn.strand, answer),
            outcome="unknown",
            recall=turn.record,
            model=name,
            adapter=adapter or None,
            prompt_version=PROMPT_VERSION,
            constitution_version=turn.constitution_version,
            seed=turn.request.seed or 0,
            usage=usage,
            steps=len(answer.tool_calls),
            error=error,
            started_at=turn.started_at,
            ended_at=time.time(),
            principal=self._identity.principal,
            mode=turn.mode,
            tools=self._shown(turn),
        )

    def _shown(self, turn: Turn) -> tuple[ToolSpec, ...]:
        """The client's tools, as far as the model is told of any."""
        return turn.request.tools if self._model.style == "full" else ()
