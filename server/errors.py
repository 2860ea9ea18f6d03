"""One table from exceptions to HTTP statuses, and the error body every client of OpenAI's API knows.

{"error": {"message": "…", "type": "not_found_error", "param": null, "code": "not_found"}}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from memory import errors
from memory.types import Json

log = logging.getLogger("apprentice.server")


@dataclass(frozen=True, slots=True)
class Shape:
    """How an error looks from outside."""

    status: int
    type: str
    code: str


class Unauthenticated(errors.ApprenticeError):
    """No key, or one that opens nothing."""


class UnknownModel(errors.NotFound):
    """No model has this name."""


class NotReady(errors.ApprenticeError):
    """The server is still warming up."""


class Busy(errors.ApprenticeError):
    """Too much work of this namespace is waiting."""


class Limited(errors.ApprenticeError):
    """Too many requests; the next one has room after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaReached(Limited):
    """A namespace has, or has spent, as much as it may; the message names the quota and the setting."""


class IssuerDown(errors.ApprenticeError):
    """The issuer of bearer tokens cannot be asked for its keys."""


class Unreachable(errors.ApprenticeError):
    """An address that a caller named gave no usable answer."""


SHAPES: Mapping[type[errors.ApprenticeError], Shape] = {
    Unauthenticated: Shape(401, "authentication_error", "invalid_api_key"),
    UnknownModel: Shape(404, "invalid_request_error", "model_not_found"),
    NotReady: Shape(503, "server_error", "not_ready"),
    Busy: Shape(429, "rate_limit_error", "learning_backlog"),
    Limited: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    QuotaReached: Shape(429, "rate_limit_error", "quota_reached"),
    IssuerDown: Shape(503, "server_error", "issuer_unreachable"),
    Unreachable: Shape(502, "server_error", "unreachable"),
    errors.ContextExceeded: Shape(400, "invalid_request_error", "context_length_exceeded"),
    errors.TooLarge: Shape(413, "invalid_request_error", "too_large"),
    errors.BadInput: Shape(422, "invalid_request_error", "bad_input"),
    errors.NotFound: Shape(404, "invalid_request_error", "not_found"),
    errors.Conflict: Shape(409, "invalid_request_error", "conflict"),
    errors.Denied: Shape(403, "permission_error", "denied"),
    errors.OverQuota: Shape(429, "rate_limit_error", "over_quota"),
    errors.DiskFull: Shape(507, "server_error", "disk_full"),
    errors.StoreLocked: Shape(503, "server_error", "store_locked"),
    errors.StoreError: Shape(500, "server_error", "store_error"),
    errors.EncoderError: Shape(503, "server_error", "encoder_error"),
    errors.BudgetExceeded: Shape(429, "rate_limit_error", "budget_exceeded"),
    errors.Throttled: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.ModelError: Shape(502, "server_error", "model_error"),
    errors.AdapterRefused: Shape(409, "invalid_request_error", "adapter_refused"),
    errors.DistillError: Shape(422, "invalid_request_error", "distillation_refused"),
    errors.ApprenticeError: Shape(500, "server_error", "internal_error"),
}
_HTTP_CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class DropIn(APIRoute):
    """A route of OpenAI's API: what the caller has to mend is a 400 here, as its clients expect."""


class ErrorDetail(BaseModel, use_attribute_docstrings=True):
    """What went wrong."""

    message: str
    """In words, with the value and the remedy."""
    type: str
    """Family of the error, as in OpenAI's API."""
    param: str | None = None
    """The field at fault, where there is one."""
    code: str
    """A fixed name to branch on."""


class ErrorBody(BaseModel):
    """Body of every answer with status 400 or higher."""

    error: ErrorDetail


def shape_of(error: Exception) -> Shape:
    """The table's row for an exception: its own class's, else its nearest ancestor's."""
    for kind in type(error).__mro__:
        if shape := SHAPES.get(kind):
            return shape
    return SHAPES[errors.ApprenticeError]


def error_body(message: str, shape: Shape, param: str | None = None) -> dict[str, Json]:
    """The body as a JSON value."""
    detail = ErrorDetail(message=message, type=shape.type, param=param, code=shape.code)
    body: dict[str, Json] = ErrorBody(error=detail).model_dump(mode="json")
    return body


def install(app: FastAPI) -> None:
    """Answer every exception with the table's status and body."""
    app.add_exception_handler(errors.ApprenticeError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, on_unexpected)


def respond(
    message: str, shape: Shape, param: str | None = None, *, retry_after_s: float = 1.0
) -> JSONResponse:
    """An error answer."""
    headers = {"WWW-Authenticate": "Bearer"} if shape.status == 401 else {}
    headers |= {"Retry-After": str(ceil(retry_after_s))} if shape.status in {429, 503} else {}
    return JSONResponse(error_body(message, shape, param), shape.status, headers)


def _on_ours(request: Request, error: Exception) -> JSONResponse:
    shape = shape_of(error)
    if shape.status >= 500 and not isinstance(error, NotReady):
        # What has a name is known: only what has none needs its whole way here.
        log.error("%s: %s", type(error).__name__, error, exc_info=error if shape.status == 500 else None)
    return answer_to(error, _as_asked(request, shape))


def answer_to(error: Exception, shape: Shape | None = None) -> JSONResponse:
    """The answer that tells an exception."""
    wait = error.retry_after_s if isinstance(error, Limited) else 1.0
    return respond(str(error), shape or shape_of(error), retry_after_s=wait)


def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return respond(
            f"the body is not valid JSON: {reason}", Shape(400, "invalid_request_error", "invalid_json")
        )
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return respond(
        f"{place or 'body'}: {first['msg']}",
        _as_asked(request, Shape(422, "invalid_request_error", "invalid_value")),
        place or None,
    )


def _as_asked(request: Request, shape: Shape) -> Shape:
    is_drop_in = isinstance(request.scope.get("route"), DropIn)
    return replace(shape, status=400) if is_drop_in and shape.status == 422 else shape


def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "http_error")
    return respond(str(error.detail), Shape(error.status_code, "invalid_request_error", code))


def on_unexpected(request: Request, error: Exception) -> JSONResponse:
    """The answer that gives nothing away; the log has it all."""
    log.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    return respond(
        "unexpected error; the server's log has the details", Shape(500, "server_error", "internal_error")
    )
