"""A chat that remembers: recall before the model, an episode after it. No HTTP here."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from agent.models import calling
from agent.opening import Told, consult, question
from agent.prompt import PROMPT_VERSION, compose_chat
from agent.types import Delta, Model, Reply, Request
from memory.errors import NotFound
from memory.modes import USES
from memory.types import Episode, Image, Message, Mode, RecallRecord, Usage
from server.agents import settings_for
from server.auth import Identity
from server.metrics import Metrics
from server.schemas.chat import ChatRequest
from server.schemas.completion import Recollection
from server.services import Core, new_id

WORLD = "chat"
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
    unseen: tuple[Message, ...]
    """What the episode does not hold yet: of a continued one, what came after its last answer."""
    before: Episode | None
    """The episode that this turn continues; its recall still holds."""
    told: Told
    started_at: float

    @property
    def record(self) -> RecallRecord | None:
        """What was recalled, now or at the episode's beginning."""
        return self.told.record if self.before is None else self.before.recall

    @property
    def constitution_version(self) -> str | None:
        """The constitution that was shown."""
        return self.told.version if self.before is None else self.before.constitution_version

    def recollection(self) -> Recollection:
        """What memory did, for the client."""
        record = self.record
        return Recollection(
            episode=self.episode,
            mode=self.mode,
            items=[recalled.item for recalled in record.items if recalled.shown] if record else [],
            constitution=self.constitution_version,
        )


class Chat:
    """Chats of one caller with one model."""

    def __init__(self, core: Core, metrics: Metrics, identity: Identity, model: Model) -> None:
        self._core = core
        self._metrics = metrics
        self._identity = identity
        self._model = model

    async def prepare(self, body: ChatRequest, mode: Mode, family: str | None, fresh: str) -> Turn:
        """Recall for the last user message and put it before the conversation. Raises BadInput.

        `fresh` is the id of the episode, unless the conversation goes on from one.
        """
        use = USES[mode]
        started_at = time.time()
        asked = tuple(message.to_message() for message in body.messages)
        before = await self._continued(asked, mode) if use.records else None
        text = next((m.text for m in reversed(asked) if m.role == "user"), "")
        told = Told(None, None, None)
        if before is None:
            told = await self._consult(text, family, fresh, mode)
            unseen = compose_chat(asked, told.recall, told.constitution, self._model.style)
        else:
            unseen = _news(asked)
        shown = _short_ids((*(_with_pictures(before.messages, asked) if before else ()), *unseen))
        request = Request(
            shown,
            tools=body.tool_specs(),
            must_call=body.must_call(),
            parallel=body.parallel_tool_calls,
            n=body.n,
            stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
            schema=body.answer_schema(),
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            seed=body.seed,
        )
        episode = before.id if before else fresh if use.records else None
        self._metrics.chat_stage_seconds.labels("recall").observe(time.time() - started_at)
        return Turn(episode, mode, request, asked, unseen, before, told, started_at)

    async def complete(self, turn: Turn) -> tuple[Reply, ...]:
        """All answers; the first is recorded before they are returned. Raises ModelError, BadInput."""
        started = time.perf_counter()
        replies = await calling.complete(self._model, turn.request)
        self._metrics.chat_stage_seconds.labels("model").observe(time.perf_counter() - started)
        replies = tuple(_named(turn, reply) for reply in replies)
        await self._record(turn, replies)
        return replies

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        """One answer piece by piece; recorded before the last piece is given."""
        async for delta in calling.stream(self._model, turn.request):
            if delta.reply is None:
                yield delta
                continue
            reply = _named(turn, delta.reply)
            await self._record(turn, (reply,))
            yield replace(delta, reply=reply)

    async def _consult(self, text: str, family: str | None, episode: str, mode: Mode) -> Told:
        namespace = self._identity.namespace
        settings = await settings_for(self._core, namespace)
        if settings.procedures == "index":
            # Who calls the tools of a chat is its client, which knows nothing of ours.
            settings = replace(settings, procedures="inline")
        query = question(text, namespace, episode, family, settings)
        return await consult(
            self._core.memory,
            query if text.strip() else None,
            family,
            mode,
            namespace=namespace,
            model=self._model,
            settings=settings,
        )

    async def _record(self, turn: Turn, replies: Sequence[Reply]) -> None:
        usage = sum((reply.usage for reply in replies), Usage())
        self._metrics.tokens.labels(self._model.name, "prompt").inc(usage.prompt_tokens)
        self._metrics.tokens.labels(self._model.name, "completion").inc(usage.completion_tokens)
        if turn.episode is None:
            return
        episode = self._episode(turn, turn.episode, replies[0], usage)
        await asyncio.to_thread(self._core.memory.record, episode, principal=self._identity.principal)

    def _episode(self, turn: Turn, episode_id: str, reply: Reply, usage: Usage) -> Episode:
        answer = replace(reply.message, kind="act" if reply.message.tool_calls else "answer")
        # Ids as the client knows them, so that its next request can be matched.
        messages = (*(turn.before.messages if turn.before else ()), *turn.unseen, answer)
        n_calls = len(reply.message.tool_calls)
        if turn.before is not None:
            return replace(
                turn.before,
                messages=messages,
                usage=turn.before.usage + usage,
                steps=turn.before.steps + n_calls,
                ended_at=time.time(),
            )
        task = next((m.text for m in turn.asked if m.role == "user"), "")
        task_id = f"{WORLD}-{hashlib.sha256(f'{WORLD}/{task}'.encode()).hexdigest()[:16]}"
        name, _, adapter = self._model.name.partition("+")
        return Episode(
            id=episode_id,
            namespace=self._identity.namespace,
            task_id=task_id,
            task=task,
            world=WORLD,
            family=(turn.record.query.family if turn.record else None) or WORLD,
            group=task_id,
            messages=messages,
            outcome="unknown",
            recall=turn.record,
            model=name,
            adapter=adapter or None,
            prompt_version=PROMPT_VERSION,
            constitution_version=turn.constitution_version,
            seed=turn.request.seed or 0,
            usage=usage,
            steps=n_calls,
            started_at=turn.started_at,
            ended_at=time.time(),
            principal=self._identity.principal,
            mode=turn.mode,
        )

    async def _continued(self, asked: Sequence[Message], mode: Mode) -> Episode | None:
        """The episode whose tool calls these messages answer, if conversation and mode are still the same."""
        named = lot_of(asked)
        if named is None:
            return None
        try:
            kept = await asyncio.to_thread(self._core.memory.episode, self._identity.namespace, named)
        except NotFound:
            return None
        calls = {call.id for call in kept.messages[-1].tool_calls}
        answered = {m.tool_call_id for m in _news(asked)}
        return kept if calls and calls <= answered and kept.mode == mode else None


def lot_of(asked: Sequence[Message]) -> str | None:
    """The episode that a conversation goes on from, by the calls it answers; None: it is a new one."""
    found = [match for m in asked if (match := _OUR_CALL.fullmatch(m.tool_call_id or ""))]
    return f"ep_{found[-1][1]}" if found else None


def _named(turn: Turn, reply: Reply) -> Reply:
    """Calls carry the episode in their ids, so that their results lead back to it."""
    name = (turn.episode or new_id("ep")).removeprefix("ep_")
    first = sum(len(m.tool_calls) for m in turn.asked)
    calls = tuple(
        replace(call, id=f"call_{name}_{first + i}") for i, call in enumerate(reply.message.tool_calls)
    )
    return replace(reply, message=replace(reply.message, tool_calls=calls))


def _news(asked: Sequence[Message]) -> tuple[Message, ...]:
    """What the client adds after the last answer it was given."""
    last = max((i for i, message in enumerate(asked) if message.role == "assistant"), default=-1)
    return tuple(asked[last + 1 :])


def _with_pictures(kept: Sequence[Message], asked: Sequence[Message]) -> tuple[Message, ...]:
    """What an episode holds, with the pictures that it only names and the client sends again."""
    sent = {part.kept: part for message in asked for part in message.content if isinstance(part, Image)}

    def whole(message: Message) -> Message:
        if isinstance(message.content, str):
            return message
        parts = (sent.get(part, part) if isinstance(part, Image) else part for part in message.content)
        return replace(message, content=tuple(parts))

    return tuple(map(whole, kept))


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
