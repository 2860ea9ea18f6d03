"""OpenAI's chat completions and model list, with memory behind them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.responses import StreamingResponse

from agent.deliberate.named import deliberating, preset_of
from agent.types import Delta, Reply
from memory.errors import ApprenticeError, BadInput
from memory.modes import ModeName
from memory.types import Usage
from server.chat import Chat, Turn, lot_of
from server.deps import CoreDep, Reader, ServicesDep, Worker
from server.errors import error_body, shape_of
from server.learning import mode_for
from server.schemas.chat import ChatRequest
from server.schemas.completion import (
    Chunk,
    ChunkChoice,
    Completion,
    MessageOut,
    ModelList,
    ModelOut,
    UsageOut,
    calls_out,
    choices_out,
)
from server.services import new_id

router = APIRouter(prefix="/v1", tags=["chat"])
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


@router.post(
    "/chat/completions",
    summary="Chat, as in OpenAI's API",
    response_model=Completion,
    responses={200: {"content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Chunk"}}}}},
)
async def complete(
    body: ChatRequest,
    core: CoreDep,
    services: ServicesDep,
    caller: Worker,
    response: Response,
    x_apprentice_memory: MemoryHeader = None,
    x_apprentice_family: FamilyHeader = None,
    x_apprentice_deliberate: DeliberateHeader = "off",
) -> Completion | StreamingResponse:
    """Memory is recalled for the last user message and put before the conversation.

    The answer names its episode in `X-Apprentice-Episode` and `apprentice.episode`: give feedback there.
    Results of tool calls sent in a next request continue the same episode.
    """
    if body.stream and body.n != 1:
        raise BadInput("n must be 1 in a stream")
    fresh = new_id("ep")
    # What goes on with a conversation is answered by whoever began it, also while an adapter is tried out.
    lot = lot_of([message.to_message() for message in body.messages]) or fresh
    name = core.models.resolve(body.model, caller.namespace, lot)
    preset = preset_of(x_apprentice_deliberate)
    async with AsyncExitStack() as held:
        model = deliberating(await held.enter_async_context(core.models.use(name)), preset, scope="words")
        chat = Chat(core, services.metrics, caller, model)
        mode = await mode_for(core, services.settings, caller.namespace, x_apprentice_memory)
        turn = await chat.prepare(body, mode, x_apprentice_family, fresh)
        headers = {"X-Apprentice-Episode": turn.episode} if turn.episode else {}
        if body.stream:
            answer = _Stream(chat, turn, name, with_usage=body.stream_options.include_usage)
            # The first piece is awaited here, so that a call that fails is answered with a status.
            first = await answer.first()
            keep = held.pop_all()
            return StreamingResponse(
                answer.lines(first, keep), media_type="text/event-stream", headers=headers
            )
        replies = await chat.complete(turn)
    response.headers.update(headers)
    return _completion(name, turn, replies)


@router.get("/models", summary="Models that can be named")
async def list_models(core: CoreDep, caller: Reader) -> ModelList:
    """Local models and this namespace's adapters; hosted models need no listing."""
    cards = await asyncio.to_thread(core.models.list, caller.namespace)
    return ModelList(
        data=[
            ModelOut(id=card.name, owned_by=card.owner, loaded=card.is_loaded, default=card.is_default)
            for card in cards
        ]
    )


def _completion(model: str, turn: Turn, replies: tuple[Reply, ...]) -> Completion:
    usage = sum((reply.usage for reply in replies), Usage())
    return Completion(
        id=new_id("chatcmpl"),
        created=int(time.time()),
        model=model,
        choices=choices_out(replies),
        usage=UsageOut.of(usage),
        apprentice=turn.recollection(),
    )


class _Stream:
    """One answer as OpenAI's server-sent events."""

    def __init__(self, chat: Chat, turn: Turn, model: str, *, with_usage: bool) -> None:
        self._deltas = chat.stream(turn)
        self._turn = turn
        self._model = model
        self._with_usage = with_usage
        self._id = new_id("chatcmpl")
        self._created = int(time.time())

    async def first(self) -> Delta:
        """Wait for the first piece. Raises whatever the model raises before it."""
        return await anext(self._deltas)

    async def lines(self, first: Delta, held: AsyncExitStack) -> AsyncIterator[str]:
        """The events; the model is let go at the end, also when the client leaves."""
        async with held:
            try:
                yield self._line(MessageOut(role="assistant", content=""))
                yield self._piece(first)
                async for delta in self._deltas:
                    yield self._piece(delta)
                yield "data: [DONE]\n\n"
            except ApprenticeError as error:
                body = error_body(str(error), shape_of(error))
                yield f"data: {json.dumps(body)}\n\n"

    def _piece(self, delta: Delta) -> str:
        lines = self._line(MessageOut(content=delta.text)) if delta.text else ""
        if delta.reply is not None:
            calls = calls_out(delta.reply.message.tool_calls, numbered=True)
            lines += self._line(MessageOut(tool_calls=calls)) if calls else ""
            lines += self._end(delta.reply)
        return lines

    def _end(self, reply: Reply) -> str:
        finish = "tool_calls" if reply.message.tool_calls else reply.finish
        last = self._chunk([ChunkChoice(index=0, delta=MessageOut(), finish_reason=finish)])
        last.apprentice = self._turn.recollection()
        lines = _event(last)
        if self._with_usage:
            usage = self._chunk([])
            usage.usage = UsageOut.of(reply.usage)
            lines += _event(usage)
        return lines

    def _line(self, delta: MessageOut) -> str:
        return _event(self._chunk([ChunkChoice(index=0, delta=delta)]))

    def _chunk(self, choices: list[ChunkChoice]) -> Chunk:
        return Chunk(id=self._id, created=self._created, model=self._model, choices=choices)


def _event(chunk: Chunk) -> str:
    return f"data: {chunk.model_dump_json(exclude_none=True)}\n\n"
