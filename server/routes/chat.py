"""OpenAI's chat completions and model list, with memory behind them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse

from agent.types import Delta, Reply
from memory.errors import ApprenticeError, BadInput
from memory.types import Usage
from server.deps import CoreDep, Reader
from server.errors import DropIn, error_body, shape_of
from server.routes.asking import Asker, AskerDep, Begun
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

router = APIRouter(prefix="/v1", tags=["chat"], route_class=DropIn)
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Chunk"}}}}
}


@router.post(
    "/chat/completions", summary="Chat, as in OpenAI's API", response_model=Completion, responses=STREAMED
)
async def complete(body: ChatRequest, asker: AskerDep, response: Response) -> Completion | StreamingResponse:
    """Memory is recalled for the last user message and put before the conversation.

    The answer names its episode in `X-Apprentice-Episode` and `apprentice.episode`: give feedback there.
    Results of tool calls sent in a next request continue the same episode. `Server-Timing` says what recall,
    model and recording took; a stream, which cannot know yet, says it in `apprentice.timing` at its end.
    """
    return await answered(body, asker, response)


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


@router.get("/models/{model:path}", summary="One model")
async def get_model(model: str, core: CoreDep, caller: Reader) -> ModelOut:
    """By the name it is asked for in requests; 404 where a request would not be answered either."""
    name = await asyncio.to_thread(core.models.resolve, model, caller.namespace)
    listed = {one.id: one for one in (await list_models(core, caller)).data}
    hosted = ModelOut(
        id=name, owned_by=name.partition("/")[0], loaded=False, default=name == core.models.default
    )
    return listed.get(name, hosted)


async def answered(
    body: ChatRequest, asker: Asker, response: Response, rollout: str | None = None
) -> Completion | StreamingResponse:
    """The completion of a request, whole or as a stream; of a rollout where one is named."""
    if body.stream and body.n != 1:
        raise BadInput("n must be 1 in a stream")
    async with AsyncExitStack() as held:
        begun = await asker.begin(held, body.model, body.to_request(), rollout)
        if body.stream:
            answer = _Stream(begun, with_usage=body.stream_options.include_usage)
            # The first piece is awaited here, so that a call that fails is answered with a status.
            first = await answer.first()
            keep = held.pop_all()
            return StreamingResponse(
                answer.lines(first, keep), media_type="text/event-stream", headers=begun.headers()
            )
        replies = await begun.chat.complete(begun.turn)
    response.headers.update(begun.headers())
    return _completion(begun, replies)


def _completion(begun: Begun, replies: tuple[Reply, ...]) -> Completion:
    usage = sum((reply.usage for reply in replies), Usage())
    return Completion(
        id=new_id("chatcmpl"),
        created=int(time.time()),
        model=begun.model,
        choices=choices_out(replies),
        usage=UsageOut.of(usage),
        apprentice=begun.turn.recollection(begun.chat.stages),
    )


class _Stream:
    """One answer as OpenAI's server-sent events."""

    def __init__(self, begun: Begun, *, with_usage: bool) -> None:
        self._begun = begun
        self._deltas = begun.chat.stream(begun.turn)
        self._with_usage = with_usage
        self._id = new_id("chatcmpl")
        self._created = int(time.time())

    async def first(self) -> Delta:
        """Wait for the first piece. Raises whatever the model raises before it."""
        return await anext(self._deltas)

    async def lines(self, first: Delta, held: AsyncExitStack) -> AsyncIterator[str]:
        """The events; the model is stopped and let go at the end, also when the client leaves."""
        async with held, aclosing(self._deltas):
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
        last.apprentice = self._begun.turn.recollection(self._begun.chat.stages)
        lines = _event(last)
        if self._with_usage:
            usage = self._chunk([])
            usage.usage = UsageOut.of(reply.usage)
            lines += _event(usage)
        return lines

    def _line(self, delta: MessageOut) -> str:
        return _event(self._chunk([ChunkChoice(index=0, delta=delta)]))

    def _chunk(self, choices: list[ChunkChoice]) -> Chunk:
        return Chunk(id=self._id, created=self._created, model=self._begun.model, choices=choices)


def _event(chunk: Chunk) -> str:
    return f"data: {chunk.model_dump_json(exclude_none=True)}\n\n"
