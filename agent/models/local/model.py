"""`local:` models: a Hugging Face causal language model in this process, batched across its callers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from agent.models.local.chat import Chat
from agent.models.local.engine import Engine
from agent.models.local.forms import acts_of, in_form, options_of
from agent.models.local.identity import CANARIES, CANARY_TOKENS, Fingerprint
from agent.models.local.jobs import Generated, Generation, Scoring
from agent.models.local.weights import context_length, load_model
from agent.types import Delta, Reply, Request, Style
from memory.errors import BadInput, ContextExceeded
from memory.types import Message, Usage


class LocalModel:
    """A `Model` whose answers do not depend on which other requests share its batch (up to rounding)."""

    def __init__(self, chat: Chat, engine: Engine, *, name: str, context: int) -> None:
        self._chat = chat
        self._engine = engine
        self._name = name
        self._context = min(context, chat.settings.context or context)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        adapter: Path | None = None,
        max_batch: int = 32,
        device: str = "cpu",
    ) -> Self:
        """Read a model folder, merge the adapter, start the thread. Raises ModelError, AdapterRefused."""
        chat = Chat.open(folder)
        return cls.wrap(load_model(folder, adapter, device), chat, name=name, max_batch=max_batch)

    @classmethod
    def wrap(cls, model: Any, chat: Chat, *, name: str, max_batch: int = 32) -> Self:
        """Serve a model already in memory (frozen, in evaluation mode)."""
        context = context_length(model.config)
        return cls(chat, Engine(model, max_batch=max_batch), name=name, context=context)

    @property
    def name(self) -> str:
        """How episodes and the API call it."""
        return self._name

    @property
    def style(self) -> Style:
        """As in the folder's `apprentice.json`."""
        return self._chat.settings.style

    @property
    def context(self) -> int:
        """Longest prompt plus answer, in tokens."""
        return self._context

    def count_tokens(self, text: str) -> int:
        """Length in this model's tokens."""
        return len(self._chat.encode(text))

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """`request.n` answers. Raises BadInput when the prompt does not fit, ModelError on failure.

        `choices` answers the option with the highest log-probability per token, its end mark included; a
        schema is answered as `agent.models.local.forms` has it.
        """
        request = self._acting(request)
        if request.choices:
            return (await self._choose(self._prompt(request), request.choices),)
        if request.schema is not None:
            n = 1 if options_of(request.schema) else request.n
            formed = (in_form(request, partial(self._one, index=index)) for index in range(n))
            return tuple(await asyncio.gather(*formed))
        return tuple(await asyncio.gather(*(self._one(request, index) for index in range(request.n))))

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """One answer as it is written; the last piece carries the whole reply. Raises as `complete`."""
        request = self._acting(request)
        if request.choices or request.schema is not None:
            reply = (await self.complete(replace(request, n=1)))[0]
            yield Delta(reply.message.text, reply)
            return
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[int | None] = asyncio.Queue()

        def tell(token: int | None) -> None:
            loop.call_soon_threadsafe(arrived.put_nowait, token)

        job = self._generation(request, self._prompt(request), 0, on_token=tell)
        future = self._engine.generate(job)
        future.add_done_callback(lambda _: tell(None))
        try:
            sent = ""
            tokens: list[int] = []
            while (token := await arrived.get()) is not None:
                tokens.append(token)
                text = self._safe_text(tokens, request.stop)
                if len(text) > len(sent) and text.startswith(sent):
                    yield Delta(text[len(sent) :])
                    sent = text
            reply = self._reply(request, job, future.result())
            yield Delta(reply.message.text[len(sent) :], reply)
        finally:
            future.cancel()

    def fingerprint(self) -> Fingerprint:
        """Greedy continuations of the canaries and their log-probabilities. Blocks for a few dozen tokens."""
        futures: list[Future[Generated]] = []
        for canary in CANARIES:
            prompt = self._chat.prompt((Message("user", canary),))
            futures.append(self._engine.generate(Generation(prompt, CANARY_TOKENS, frozenset())))
        written = [future.result() for future in futures]
        return Fingerprint(
            tuple(done.tokens for done in written), tuple(round(done.logprob, 4) for done in written)
        )

    def close(self) -> None:
        """Stop the worker thread; requests in flight fail with ModelError."""
        self._engine.close()

    async def _one(self, request: Request, index: int) -> Reply:
        prompt = self._prompt(request)
        if request.choices:
            return await self._choose(prompt, request.choices)
        job = self._generation(request, prompt, index)
        return self._reply(request, job, await asyncio.wrap_future(self._engine.generate(job)))

    def overflow(self, request: Request) -> int:
        """Tokens that a request is too long by to be answered with one."""
        request = self._acting(request)
        longest = max((len(self._chat.encode(choice)) + 1 for choice in request.choices), default=1)
        return len(self._chat.prompt(request.messages, request.tools)) + longest - self._context

    def _acting(self, request: Request) -> Request:
        """The request as a model that chooses is asked: its tools are its choices."""
        if not self._chat.settings.chooses or request.choices or not request.tools:
            return request
        return replace(request, tools=(), choices=acts_of(request.tools))

    def _prompt(self, request: Request) -> list[int]:
        prompt = self._chat.prompt(request.messages, request.tools)
        if not prompt:
            raise BadInput("there are no messages to answer")
        if len(prompt) >= self._context:
            raise ContextExceeded(
                f"the prompt is {len(prompt)} tokens and {self._name!r} reads {self._context}, the answer"
                " included; show fewer or shorter messages"
            )
        return prompt

    def _generation(
        self,
        request: Request,
        prompt: Sequence[int],
        index: int,
        on_token: Callable[[int], None] | None = None,
    ) -> Generation:
        limit = request.max_tokens or self._chat.settings.max_tokens
        generator = None
        if request.temperature > 0:
            seed = secrets.randbits(62) if request.seed is None else request.seed
            generator = torch.Generator().manual_seed((seed * 1_000_003 + index) % (1 << 63))
        stops = (*self._chat.stop_texts, *request.stop)
        return Generation(
            prompt,
            min(limit, self._context - len(prompt)),
            self._chat.stop_ids,
            is_complete=partial(self._has_stopped, stops) if stops else None,
            on_token=on_token,
            temperature=request.temperature,
            generator=generator,
        )

    def _has_stopped(self, stops: Sequence[str], tokens: Sequence[int]) -> bool:
        return self._chat.cut(self._chat.decode(tokens), stops) is not None

    def _reply(self, request: Request, job: Generation, done: Generated) -> Reply:
        text = self._chat.decode(done.tokens)
        cut = self._chat.cut(text, (*self._chat.stop_texts, *request.stop))
        message = Message("assistant", (text if cut is None else cut).strip(), logprob=done.logprob)
        usage = Usage(len(job.prompt), len(done.tokens), calls=1)
        return Reply(message, usage, done.finish, self._name)

    def _safe_text(self, tokens: Sequence[int], request_stops: Sequence[str]) -> str:
        """What may be shown already: nothing that could turn out to be half a letter or half a stop text."""
        text = self._chat.decode(tokens).strip().rstrip("\ufffd")
        stops = (*self._chat.stop_texts, *request_stops)
        cut = self._chat.cut(text, stops)
        if cut is not None:
            return cut.rstrip()
        held = max((len(stop) - 1 for stop in stops), default=0)
        return text[: len(text) - held].rstrip() if held else text

    async def _choose(self, prompt: Sequence[int], choices: Sequence[str]) -> Reply:
        ends = () if self._chat.end_id is None else (self._chat.end_id,)
        options = tuple((*self._chat.encode(choice), *ends) for choice in choices)
        longest = max(map(len, options))
        if not min(map(len, options)):
            raise BadInput("a choice is empty")
        if len(prompt) + longest > self._context:
            raise ContextExceeded(
                f"the prompt is {len(prompt)} tokens, the longest choice {longest}; {self._name!r} reads"
                f" {self._context}"
            )
        scores = await asyncio.wrap_future(self._engine.score(Scoring(prompt, options)))
        per_token = [score / len(option) for score, option in zip(scores, options, strict=True)]
        best = max(range(len(options)), key=per_token.__getitem__)
        message = Message("assistant", choices[best], logprob=scores[best])
        usage = Usage(len(prompt), len(options[best]), calls=1)
        return Reply(message, usage, "stop", self._name, choice=best)
