"""What comes back from an OpenAI-like service: whole responses, stream chunks, errors. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agent.models.retry import Transient
from agent.types import Finish
from memory.errors import ApprenticeError, BadInput, BudgetExceeded, ContextExceeded, ModelError, Throttled


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice of a response, its form not yet checked."""

    text: str
    calls: Sequence[Mapping[str, object]]
    finish: Finish
    tokens: tuple[int, int] | None
    """Of prompt and completion; None when the service does not say."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    target: type[ApprenticeError]
    transient: bool = False


_ERRORS: Mapping[str, _Meaning] = {
    "ContextWindowExceededError": _Meaning(ContextExceeded),
    "BudgetExceededError": _Meaning(BudgetExceeded),
    "AuthenticationError": _Meaning(ModelError),
    "PermissionDeniedError": _Meaning(ModelError),
    "NotFoundError": _Meaning(BadInput),
    "UnprocessableEntityError": _Meaning(BadInput),
    "BadRequestError": _Meaning(BadInput),
    "RateLimitError": _Meaning(Throttled, transient=True),
    "APITimeoutError": _Meaning(ModelError, transient=True),
    "APIConnectionError": _Meaning(ModelError, transient=True),
    "APIResponseValidationError": _Meaning(ModelError, transient=True),
    "InternalServerError": _Meaning(ModelError, transient=True),
    "ServiceUnavailableError": _Meaning(ModelError, transient=True),
    "BadGatewayError": _Meaning(ModelError, transient=True),
}
"""Foreign exceptions by the name of their class or nearest base; others are ModelError for good."""
_TRANSIENT = frozenset({408, 409, 425, 429})
_TOO_LONG = re.compile(
    r"context (length|window|limit|size)|longer than the model|too many (input )?tokens|prompt is too long",
    re.IGNORECASE,
)
"""How vLLM, llama.cpp, TGI, SGLang and OpenAI say that a prompt does not fit."""
_MOST_SAID = 2000


def translate(error: Exception, model: str) -> ApprenticeError | Transient:
    """Our error for a foreign one; raise it `from` the foreign one."""
    if isinstance(error, ApprenticeError | Transient):
        return error
    names = [base.__name__ for base in type(error).__mro__]
    meaning = next((_ERRORS[name] for name in names if name in _ERRORS), _Meaning(ModelError))
    said = f"{model!r}: {type(error).__name__}: {error}"
    if meaning.transient:
        return Transient(
            Throttled(said) if meaning.target is Throttled else ModelError(said), wait_s=_asked_wait(error)
        )
    return meaning.target(said)


def refusal(model: str, status: int, said: str, headers: Mapping[str, str]) -> ApprenticeError | Transient:
    """Our error for an answer that is none, by its status and what stands in it."""
    with suppress(ValueError, KeyError, TypeError):
        said = str(json.loads(said)["error"]["message"])
    words = f"{model!r}: {status}: {said[:_MOST_SAID]}"
    if status in _TRANSIENT or status >= 500:
        error = Throttled(words) if status == 429 else ModelError(words)
        return Transient(error, wait_s=_seconds(headers.get("retry-after")))
    if status in (400, 413) and _TOO_LONG.search(said):
        return ContextExceeded(words)
    return BadInput(words) if status in (400, 404, 413, 422) else ModelError(words)


def answers_of(response: Mapping[str, Any], model: str) -> list[Answer]:
    """The choices of a response; the first carries the tokens of all.

    Raises ModelError when there are none.
    """
    answers = []
    for index, choice in enumerate(response.get("choices") or []):
        message = choice.get("message") or {}
        calls = message.get("tool_calls") or []
        tokens = _tokens(response) if index == 0 else (0, 0)
        answers.append(Answer(message.get("content") or "", calls, _finish(choice, calls), tokens))
    if not answers:
        raise ModelError(f"{model!r} answered without any choice")
    return answers


@dataclass(slots=True)
class Gathered:
    """A stream as it comes in."""

    text: str = ""
    tokens: tuple[int, int] | None = None
    _finish: Finish = "stop"
    _calls: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Take in one chunk and return its text."""
        self.tokens = _tokens(chunk) or self.tokens
        pieces = ""
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") or {}
            for piece in delta.get("tool_calls") or []:
                self._add_call(piece)
            if choice.get("finish_reason"):
                self._finish = _finish(choice, list(self._calls))
            pieces += delta.get("content") or ""
        self.text += pieces
        return pieces

    def answer(self) -> Answer:
        """All of it."""
        calls = [self._calls[index] for index in sorted(self._calls)]
        return Answer(self.text, calls, self._finish, self.tokens)

    def _add_call(self, piece: Mapping[str, Any]) -> None:
        index = int(piece.get("index") or 0)
        call = self._calls.setdefault(index, {"id": None, "function": {"name": "", "arguments": ""}})
        function = piece.get("function") or {}
        call["id"] = call["id"] or piece.get("id")
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _tokens(body: Mapping[str, Any]) -> tuple[int, int] | None:
    usage = body.get("usage") or {}
    counts = (int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    return counts if any(counts) else None


def _finish(choice: Mapping[str, Any], calls: Sequence[object]) -> Finish:
    if calls:
        return "tool_calls"
    return "length" if choice.get("finish_reason") == "length" else "stop"


def _asked_wait(error: Exception) -> float | None:
    """Seconds a server asks for in `Retry-After`."""
    # litellm replaces the response by an empty one and keeps the headers beside it.
    headers = getattr(error, "litellm_response_headers", None) or {}
    return _seconds(headers.get("retry-after"))


def _seconds(said: object) -> float | None:
    try:
        return float(str(said))
    except ValueError:
        return None  # nothing, or a date
