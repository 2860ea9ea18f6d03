"""Hosted and self-hosted models: what is asked, tried again, mended and paid."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.models.answers import Answer, Gathered, answers_of, translate
from agent.models.direct import Direct, speaks_plainly
from agent.models.lite import Lite
from agent.models.retry import Backoff, Transient
from agent.models.schema import (
    Unreadable,
    check_schema,
    checked_json,
    choice_schema,
    read_choice,
    repair_request,
)
from agent.models.wire import calls_from_wire, describe_tools, to_wire, tools_to_wire
from agent.types import Delta, Reply, Request, Style
from memory.errors import BadInput, BudgetExceeded, ModelError
from memory.types import Json, Message, Usage


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a hosted model is called."""

    timeout_s: float = 120.0
    """For one attempt."""
    backoff: Backoff = field(default_factory=Backoff)
    repairs: int = 2
    """Turns in which the model is shown why its answer has the wrong form."""
    max_tokens: int | None = 2048
    """Longest answer where the request names no limit."""
    max_cost_usd: float | None = None
    """For one `complete`, repairs included; checked before each attempt that follows the first."""
    native_tools: bool = True
    """False: tools are described in words and calls are written as text."""
    direct: bool = True
    """A service that speaks OpenAI's format is called without litellm between."""


class LiteModel:
    """Any model that litellm can call, e.g. `openai/gpt-4.1` or `hosted_vllm/name` with an `api_base`."""

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        settings: ModelSettings | None = None,
        allow_calls: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Calls that could cost money need `allow_calls`; a loopback `api_base` is always free to call."""
        self._name = name
        # A key from the environment must not travel to a server of somebody's choice.
        key = api_key or ("no-key" if api_base else None)
        self._settings = settings or ModelSettings()
        self._allowed = allow_calls or _is_loopback(api_base)
        self._sleep = sleep
        self._native_schema = self._native_choice = True
        self._lite = Lite(name, api_base, key, self._settings.timeout_s)
        self._service: Direct | Lite = self._lite
        if api_base and key and self._settings.direct and speaks_plainly(name):
            self._service = Direct(name, api_base, key, self._settings.timeout_s)

    @property
    def name(self) -> str:
        """As given, provider included."""
        return self._name

    @property
    def style(self) -> Style:
        """Always `full`."""
        return "full"

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """`request.n` answers, each of the form asked for; the usage of a call lies on its first reply.

        Raises ModelError when no answer can be had, BudgetExceeded on a limit, BadInput when the
        provider calls the request wrong, ContextExceeded when it does not fit the context.
        """
        self._check(request)
        replies: list[Reply] = []
        spent = Usage()
        while len(replies) < request.n:
            self._check_cost(spent)
            answers = await self._ask(request, request.messages, request.n - len(replies))
            for answer in answers:
                reply = await self._readable(request, answer, spent)
                spent += reply.usage
                replies.append(reply)
        return tuple(replies[: request.n])

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """One answer, piece by piece. Answers of a form come whole, since only whole ones can be checked.

        Raises as `complete` does; once the first piece is out, nothing is tried again.
        """
        if request.schema is not None or request.choices:
            (reply,) = await self.complete(replace(request, n=1))
            yield Delta(text=reply.message.text)
            yield Delta(reply=reply)
            return
        self._check(request)
        arguments = self._arguments(request, request.messages, 1)
        options = {"include_usage": True}
        asked = {**arguments, "stream": True, "stream_options": options}
        # Tried again as long as nothing has come.
        chunks = await self._settings.backoff.run(lambda: self._service.stream(asked), sleep=self._sleep)
        gathered = Gathered()
        try:
            async for chunk in chunks:
                text = gathered.add(chunk)
                if text:
                    yield Delta(text=text)
            yield Delta(reply=self._read(request, gathered.answer()))
        except Exception as error:
            translated = translate(error, self._name)
            raise translated.error if isinstance(translated, Transient) else translated from error
        finally:
            await chunks.aclose()  # whoever stops listening frees the connection

    def count_tokens(self, text: str) -> int:
        """Length in a common tokenizer: exact for OpenAI's models, near for others."""
        return self._lite.count_tokens(text)

    def close(self) -> None:
        """Let go of connections; a later call makes new ones."""
        self._service.close()

    def warm_up(self) -> None:
        """Import and prepare what the first call needs; takes seconds, safe in a thread."""
        self.count_tokens("ready")

    def _check(self, request: Request) -> None:
        if not self._allowed:
            raise ModelError(f"calls of {self._name!r} are not allowed here: pass allow_calls=True")
        if request.schema is not None:
            check_schema(request.schema)
        if request.n < 1:
            raise BadInput(f"n is {request.n}, at least 1 is needed")

    def _check_cost(self, spent: Usage) -> None:
        limit = self._settings.max_cost_usd
        if limit is not None and spent.calls and spent.cost_usd >= limit:
            raise BudgetExceeded(f"this call has cost {spent.cost_usd:.4f} of {limit:.4f} dollars")

    async def _readable(self, request: Request, answer: Answer, before: Usage) -> Reply:
        """The reply in an answer, after repair turns where it has the wrong form."""
        messages, usage, turn = request.messages, self._usage(answer), 0
        while True:
            try:
                return replace(self._read(request, answer), usage=usage)
            except Unreadable as error:
                if turn >= self._settings.repairs:
                    raise ModelError(f"{self._name!r} gave no usable answer: {error}") from error
                repair = repair_request(error, request.schema, request.choices)
            self._check_cost(before + usage)
            said = Message("assistant", answer.text or "(a tool call)")
            messages = (*messages, said, Message("user", repair))
            answer = (await self._ask(request, messages, 1))[0]
            usage, turn = usage + self._usage(answer), turn + 1

    def _read(self, request: Request, answer: Answer) -> Reply:
        text, choice = answer.text, None
        if request.choices:
            choice = read_choice(text, request.choices)
            text = request.choices[choice]
        calls = calls_from_wire(answer.calls)
        if request.schema is not None and not calls:
            text = json.dumps(checked_json(text, request.schema), ensure_ascii=False)
        message = Message("assistant", text, tool_calls=calls)
        return Reply(message, self._usage(answer), answer.finish, self._name, choice)

    async def _ask(self, request: Request, messages: Sequence[Message], n: int) -> list[Answer]:
        arguments = self._arguments(request, messages, n)
        try:
            response = await self._retried(arguments)
        except BadInput:
            # The server does not know it: ask in words from now on.
            if "tool_choice" in arguments:
                self._native_choice = False
            elif "response_format" in arguments:
                self._native_schema = False
            else:
                raise
            response = await self._retried(self._arguments(request, messages, n))
        return answers_of(response, self._name)

    def _arguments(self, request: Request, messages: Sequence[Message], n: int) -> dict[str, Any]:
        settings = self._settings
        form = request.schema or (choice_schema(request.choices) if request.choices else None)
        spoken = [*messages, *self._words(request, form)]
        wire = to_wire(spoken, native_tools=settings.native_tools and bool(request.tools))
        arguments: dict[str, Any] = {
            "messages": wire,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens or settings.max_tokens,
            "seed": request.seed,
            "stop": list(request.stop) or None,
            "n": n if n > 1 else None,
        }
        if form is not None and self._native_schema:
            schema = {"name": "answer", "schema": dict(form)}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        if settings.native_tools and request.tools:
            arguments |= self._calls(request)
        return {key: value for key, value in arguments.items() if value is not None}

    def _calls(self, request: Request) -> dict[str, Any]:
        calls: dict[str, Any] = {"tools": tools_to_wire(request.tools)}
        if request.must_call and self._native_choice:
            calls["tool_choice"] = "required"
        if not request.parallel:
            calls["parallel_tool_calls"] = False
        return calls

    def _words(self, request: Request, form: Mapping[str, Json] | None) -> list[Message]:
        """What has to be said because it cannot be sent as a parameter."""
        words = []
        if request.tools and not self._settings.native_tools:
            words.append(describe_tools(request.tools))
        if request.tools and request.must_call and not (self._settings.native_tools and self._native_choice):
            words.append("Answer with a call of one of the tools.")
        if request.choices:
            words.append("Answer with exactly one of: " + " | ".join(request.choices))
        elif form is not None and not self._native_schema:
            words.append(f"Answer with JSON alone that fits this schema: {json.dumps(dict(form))}")
        return [Message("user", "\n\n".join(words))] if words else []

    async def _retried(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._settings.backoff.run(lambda: self._service.complete(arguments), sleep=self._sleep)

    def _usage(self, answer: Answer) -> Usage:
        """Tokens and their price; a model of no known price is free, e.g. a self-hosted one."""
        prompt, completion = answer.tokens or (0, self.count_tokens(answer.text))
        if answer.tokens == (0, 0):
            return Usage()  # counted with its sibling
        return Usage(prompt, completion, self._lite.cost_usd(prompt, completion), 1)


def _is_loopback(url: str | None) -> bool:
    host = urllib.parse.urlsplit(url or "").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
