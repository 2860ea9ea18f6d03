"""A chat that remembers: recall before the model, an episode after it. No HTTP here."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from agent.prompt import PROMPT_VERSION, compose_chat, parse_action
from agent.types import Delta, Model, Reply, Request
from memory.types import Constitution, Episode, Message, Query, Recall, Usage
from server.auth import Identity
from server.metrics import Metrics
from server.schemas.chat import ChatRequest, Recollection
from server.schemas.tasks import MemoryMode
from server.services import Core, new_id

WORLD = "chat"
_OUR_CALL = re.compile(r"call_([0-9a-f]+)_\d+")


@dataclass(frozen=True, slots=True)
class Turn:
    """One request, ready for the model."""

    episode: str | None
    """None when nothing is recorded."""
    mode: MemoryMode
    request: Request
    asked: tuple[Message, ...]
    """The conversation as the client sent it."""
    recall: Recall | None
    constitution: Constitution | None
    started_at: float

    def recollection(self) -> Recollection:
        """What memory did, for the client."""
        return Recollection(
            episode=self.episode,
            mode=self.mode,
            items=[hit.item.id for hit in self.recall.hits] if self.recall else [],
            constitution=self.constitution.version if self.constitution else None,
        )


class Chat:
    """Chats of one caller with one model."""

    def __init__(self, core: Core, metrics: Metrics, identity: Identity, model: Model) -> None:
        self._core = core
        self._metrics = metrics
        self._identity = identity
        self._model = model

    async def prepare(self, body: ChatRequest, mode: MemoryMode, family: str | None) -> Turn:
        """Recall for the last user message and put it before the conversation. Raises BadInput."""
        started_at = time.time()
        asked = tuple(message.to_message() for message in body.messages)
        question = next((m.text for m in reversed(asked) if m.role == "user"), "")
        recall = constitution = None
        if mode != "off":
            constitution = await self._constitution(family)
        if mode != "off" and question.strip():
            recall = await self._recall(question, family, body.seed or 0)
        shown = compose_chat(_short_ids(asked), recall, constitution, self._model.style)
        request = Request(
            shown,
            tools=body.tool_specs(),
            n=body.n,
            stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
            schema=body.answer_schema(),
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            seed=body.seed,
        )
        episode = (_continued(asked) or new_id("ep")) if mode == "on" else None
        self._metrics.chat_stage_seconds.labels("recall").observe(time.time() - started_at)
        return Turn(episode, mode, request, asked, recall, constitution, started_at)

    async def complete(self, turn: Turn) -> tuple[Reply, ...]:
        """All answers; the first is recorded before they are returned. Raises ModelError, BadInput."""
        started = time.perf_counter()
        replies = await self._model.complete(turn.request)
        self._metrics.chat_stage_seconds.labels("model").observe(time.perf_counter() - started)
        replies = tuple(self._with_calls(turn, reply) for reply in replies)
        await self._record(turn, replies)
        return replies

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        """One answer piece by piece; recorded before the last piece is given."""
        async for delta in self._model.stream(turn.request):
            if delta.reply is None:
                yield delta
                continue
            reply = self._with_calls(turn, delta.reply)
            await self._record(turn, (reply,))
            yield replace(delta, reply=reply)

    async def _recall(self, question: str, family: str | None, seed: int) -> Recall:
        settings = self._core.agent
        query = Query(
            self._identity.namespace,
            question,
            family=family,
            k=settings.k,
            token_budget=settings.token_budget,
            drop_rate=settings.drop_rate,
            seed=seed,
        )
        return await asyncio.to_thread(self._core.memory.recall, query, count_tokens=self._model.count_tokens)

    async def _constitution(self, family: str | None) -> Constitution:
        return await asyncio.to_thread(
            self._core.memory.constitution,
            self._identity.namespace,
            family,
            token_budget=self._core.agent.constitution_budget,
            count_tokens=self._model.count_tokens,
        )

    def _with_calls(self, turn: Turn, reply: Reply) -> Reply:
        """Calls carry the episode in their ids, so that their results lead back to it."""
        message = reply.message
        calls = message.tool_calls
        if turn.request.tools and not calls:
            thought, call = parse_action(message.text, turn.request.tools)
            if call is not None:
                message, calls = replace(message, content=thought), (call,)
        name = (turn.episode or new_id("ep")).removeprefix("ep_")
        first = sum(len(m.tool_calls) for m in turn.asked)
        calls = tuple(replace(call, id=f"call_{name}_{first + i}") for i, call in enumerate(calls))
        return replace(reply, message=replace(message, tool_calls=calls))

    async def _record(self, turn: Turn, replies: Sequence[Reply]) -> None:
        usage = sum((reply.usage for reply in replies), Usage())
        self._metrics.tokens.labels(self._model.name, "prompt").inc(usage.prompt_tokens)
        self._metrics.tokens.labels(self._model.name, "completion").inc(usage.completion_tokens)
        if turn.episode is None:
            return
        episode = self._episode(turn, turn.episode, replies[0], usage)
        await asyncio.to_thread(self._core.memory.record, episode, principal=self._identity.principal)

    def _episode(self, turn: Turn, episode_id: str, reply: Reply, usage: Usage) -> Episode:
        task = next((m.text for m in turn.asked if m.role == "user"), "")
        digest = hashlib.sha256(f"{WORLD}\0{task}".encode()).hexdigest()[:16]
        kind = "act" if reply.message.tool_calls else "answer"
        answer = replace(reply.message, kind=kind)
        base, _, adapter = self._model.name.partition("+")
        return Episode(
            id=episode_id,
            namespace=self._identity.namespace,
            task_id=f"{WORLD}-{digest}",
            task=task,
            world=WORLD,
            family=turn.recall.query.family or WORLD if turn.recall else WORLD,
            group=f"{WORLD}-{digest}",
            messages=(*turn.request.messages, answer),
            outcome="unknown",
            recall=turn.recall.record(turn.constitution) if turn.recall else None,
            model=base,
            adapter=adapter or None,
            prompt_version=PROMPT_VERSION,
            constitution_version=turn.constitution.version if turn.constitution else None,
            seed=turn.request.seed or 0,
            usage=usage,
            steps=len(reply.message.tool_calls),
            started_at=turn.started_at,
            ended_at=time.time(),
            principal=self._identity.principal,
        )


def _continued(asked: Sequence[Message]) -> str | None:
    """The episode whose tool calls these messages answer."""
    for message in reversed(asked):
        found = _OUR_CALL.fullmatch(message.tool_call_id or "")
        if found:
            return f"ep_{found[1]}"
    return None


def _short_ids(asked: Sequence[Message]) -> tuple[Message, ...]:
    """Call ids as models may see them: nine letters and digits, the one form every provider takes."""
    made = [call.id for message in asked for call in message.tool_calls]
    short = {call_id: f"call{number:05d}" for number, call_id in enumerate(dict.fromkeys(made))}
    return tuple(
        replace(
            message,
            tool_calls=tuple(replace(call, id=short[call.id]) for call in message.tool_calls),
            tool_call_id=short.get(message.tool_call_id or "", message.tool_call_id),
        )
        for message in asked
    )
