"""Webhooks and their deliveries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.hooks import HookEvent
from server.jobs import JobState


class WebhookIn(BaseModel):
    """Where to send, and of what."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, Field(max_length=2000)]
    """A public https address, or one that the operator allows."""
    events: Annotated[list[HookEvent], Field(min_length=1)]
    """What to be told of."""
    label: Annotated[str, Field(max_length=200)] = ""


class WebhookOut(BaseModel):
    """A webhook as it stands."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    events: list[str]
    label: str
    created_at: float
    created_by: str
    failures: int
    """Attempts in a row that failed."""
    disabled: str | None
    """Why nothing is sent any more; null while it is on."""


class NewWebhook(WebhookOut):
    """A webhook with its secret, which is shown this once."""

    secret: str
    """Verifies signatures by the Standard Webhooks scheme."""


class WebhookList(BaseModel):
    """A namespace's webhooks, oldest first."""

    object: Literal["list"] = "list"
    data: list[WebhookOut]


class AttemptOut(BaseModel):
    """One attempt at a delivery."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    n: int
    """Counts from 1."""
    at: float
    status: int | None = None
    """The receiver's; null where there was no answer."""
    error: str | None = None
    """Why it does not count as delivered."""


class DeliveryOut(BaseModel):
    """An event on its way to a webhook."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The event's, sent as `webhook-id`: the same at every attempt."""
    object: Literal["delivery"] = "delivery"
    webhook: str
    type: str
    state: JobState
    """`running` until it has arrived (`done`) or the attempts are used up (`failed`)."""
    created_at: float
    ended_at: float | None
    last: AttemptOut | None
    """The newest attempt that is recorded; of one that failed for good, `error` tells."""
    error: str | None


class DeliveryList(BaseModel):
    """A page of deliveries, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[DeliveryOut]
    next: str | None = None
    """Pass as `after` for the next page; null on the last one."""
