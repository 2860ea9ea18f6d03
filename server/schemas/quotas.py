"""Quotas of namespaces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class QuotaIn(BaseModel):
    """Bounds of one namespace, in the place of the server's settings; what is left out is as these say."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    running: Annotated[int | None, Field(ge=1)] = None
    """Tasks that act at the same time in one process; more wait their turn."""
    tasks: Annotated[int | None, Field(ge=1)] = None
    """Tasks that wait or run; more get 429."""
    tokens_day: Annotated[int | None, Field(ge=0)] = None
    """Tokens that its tasks and chats may use in a day (UTC)."""
    usd_day: Annotated[float | None, Field(ge=0)] = None
    """What those may cost."""


class QuotaOut(QuotaIn):
    """What holds for a namespace, and what it has used; a bound that is null is none."""

    object: Literal["quota"] = "quota"
    namespace: str
    living_tasks: int
    """Tasks that wait or run."""
    spent_tokens: int
    """Today, as far as a quota of tokens or money makes them count."""
    spent_usd: float
