"""A client's own agent learns by its base URL: all calls under one id of its choice are one episode."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from starlette.responses import StreamingResponse

from server.deps import CoreDep, Reader, Worker, Writer
from server.errors import DropIn
from server.rollouts import conclude, rolled
from server.routes.asking import AskerDep
from server.routes.chat import STREAMED, answered, list_models
from server.routes.responses import STREAMED as EVENTS
from server.routes.responses import answered as responded
from server.routes.responses import delete_response, get_response
from server.schemas.chat import ChatRequest
from server.schemas.completion import Completion, ModelList
from server.schemas.responded import ResponseDeleted, ResponseOut
from server.schemas.responses import ResponseRequest
from server.schemas.rollouts import RolloutOut
from server.schemas.tasks import FeedbackIn

router = APIRouter(prefix="/v1/rollout/{rollout}", tags=["rollouts"], route_class=DropIn)
RolloutId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
        description="Chosen by the client, one for each attempt at something; every namespace has its own.",
    ),
]


@router.post(
    "/chat/completions", summary="Chat within a rollout", response_model=Completion, responses=STREAMED
)
async def complete_in(
    rollout: RolloutId, body: ChatRequest, asker: AskerDep, response: Response
) -> Completion | StreamingResponse:
    """As `/v1/chat/completions`, for agents that can only be told a base URL: `…/v1/rollout/my-run-7`.

    Of what the agent sends again only what is new is kept. Calls at the same time, helpers with
    conversations of their own, and histories that were cut short or gone on from twice become lines of the
    same episode. Memory is asked once for each conversation that begins. 409 once feedback has ended it.
    """
    return await answered(body, asker, response, rollout)


@router.post("/responses", summary="Respond within a rollout", response_model=ResponseOut, responses=EVENTS)
async def respond_in(
    rollout: RolloutId, body: ResponseRequest, asker: AskerDep, response: Response
) -> ResponseOut | StreamingResponse:
    """As `/v1/responses`; what is stored can be retrieved there and here."""
    return await responded(body, asker, response, rollout)


@router.get("/responses/{response_id}", summary="A stored response")
async def get_response_in(
    rollout: RolloutId,  # noqa: ARG001 - of the path
    response_id: str,
    core: CoreDep,
    caller: Reader,
) -> ResponseOut:
    """As `/v1/responses/{response_id}`."""
    return await get_response(response_id, core, caller)


@router.delete("/responses/{response_id}", summary="Delete a stored response")
async def delete_response_in(
    rollout: RolloutId,  # noqa: ARG001 - of the path
    response_id: str,
    core: CoreDep,
    caller: Writer,
) -> ResponseDeleted:
    """As `/v1/responses/{response_id}`."""
    return await delete_response(response_id, core, caller)


@router.get("/models", summary="Models that can be named, for clients that look for them here")
async def list_models_in(
    rollout: RolloutId,  # noqa: ARG001 - of the path
    core: CoreDep,
    caller: Reader,
) -> ModelList:
    """As `/v1/models`."""
    return await list_models(core, caller)


@router.get("", summary="How a rollout stands")
async def get_rollout(rollout: RolloutId, core: CoreDep, caller: Reader) -> RolloutOut:
    """404 until its first call is recorded."""
    return RolloutOut.of(rollout, await rolled(core, caller.namespace, rollout))


@router.post("/feedback", summary="Say how a rollout went")
async def feedback_on(rollout: RolloutId, body: FeedbackIn, core: CoreDep, caller: Worker) -> RolloutOut:
    """A reward, an outcome, named booleans, numbers or texts; late is fine, and what it taught is re-valued.

    An outcome ends the rollout and it is learned from; without one a reward of 0.5 or more is a success.
    Named values alone leave it open. Texts are learned as they are said.
    """
    return RolloutOut.of(rollout, await conclude(core, caller, rollout, body))
