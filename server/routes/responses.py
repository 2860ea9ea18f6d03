"""OpenAI's responses, over the same conversation as chat completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse

from server.deps import CoreDep, Reader, Writer
from server.errors import DropIn
from server.responding import Responses
from server.routes.asking import Asker, AskerDep
from server.routes.response_events import ResponseStream
from server.schemas.responded import ResponseDeleted, ResponseOut
from server.schemas.responses import ResponseRequest
from server.services import new_id

router = APIRouter(prefix="/v1/responses", tags=["chat"], route_class=DropIn)
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.post("", summary="Respond, as in OpenAI's API", response_model=ResponseOut, responses=STREAMED)
async def respond(
    body: ResponseRequest, asker: AskerDep, response: Response
) -> ResponseOut | StreamingResponse:
    """Memory, modes, episodes and tools are those of `/v1/chat/completions`.

    What `previous_response_id` names goes before the input; results of calls then continue its episode, other
    input begins one. `store: false` keeps nothing to retrieve, yet an episode; memory `off` keeps neither.
    """
    return await answered(body, asker, response)


@router.get("/{response_id}", summary="A stored response")
async def get_response(response_id: str, core: CoreDep, caller: Reader) -> ResponseOut:
    """As it was given; 404 once it is deleted, its episode erased, or after 30 days."""
    return await Responses(core, caller.namespace).get(response_id)


@router.delete("/{response_id}", summary="Delete a stored response")
async def delete_response(response_id: str, core: CoreDep, caller: Writer) -> ResponseDeleted:
    """It can be gone on from no more; what was said stays in its episode, which has its own way to go."""
    await Responses(core, caller.namespace).delete(response_id)
    return ResponseDeleted(id=response_id)


async def answered(
    body: ResponseRequest, asker: Asker, response: Response, rollout: str | None = None
) -> ResponseOut | StreamingResponse:
    """The response to a request, whole or as a stream; of a rollout where one is named."""
    responses = Responses(asker.core, asker.caller.namespace)
    asked = body.to_request(await responses.before(body.previous_response_id))
    added = len(body.added())
    async with AsyncExitStack() as held:
        begun = await asker.begin(held, body.model, asked, rollout)
        seen = begun.turn.recollection(begun.chat.stages)
        out = ResponseOut.begun(new_id("resp"), body, begun.model, time.time(), seen)
        if body.stream:
            stream = ResponseStream(begun, out, responses, added)
            # The first piece is awaited here, so that a call that fails is answered with a status.
            first = await stream.first()
            keep = held.pop_all()
            lines: AsyncIterator[str] = stream.lines(first, keep)
            return StreamingResponse(lines, media_type="text/event-stream", headers=begun.headers())
        (reply,) = await begun.chat.complete(begun.turn)
        out = out.ended(reply, reply.usage, begun.turn.recollection(begun.chat.stages))
        await responses.keep(out, begun.chat.place, added)
    response.headers.update(begun.headers())
    return out
