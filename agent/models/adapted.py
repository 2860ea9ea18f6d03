"""An adapter as it serves: asked the way it was trained to be asked, and only as long as it may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from agent.prompt import conditioned
from agent.types import Delta, Model, Reply, Request, Style
from agent.window import Window


class Adapted:
    """A model with an adapter on. Before every call it is asked whether it still may answer."""

    def __init__(
        self,
        model: Model,
        *,
        prefix: str | None = None,
        check: Callable[[], None] = lambda: None,
        name: str | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """`prefix` goes before the task of each prompt; `check` raises when the adapter may serve no more."""
        self._model, self._prefix, self._check, self._name = model, prefix or "", check, name
        self._on_close = on_close

    @property
    def name(self) -> str:
        """As episodes and the API call it."""
        return self._name or self._model.name

    @property
    def style(self) -> Style:
        """The model's own."""
        return self._model.style

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        """As the model answers. Raises what `check` and the model raise."""
        self._check()
        return await self._model.complete(self._asked(request))

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """As the model streams. Raises what `check` and the model raise."""
        self._check()
        async for delta in self._model.stream(self._asked(request)):
            yield delta

    def count_tokens(self, text: str) -> int:
        """The model's own."""
        return self._model.count_tokens(text)

    def overflow(self, request: Request) -> int:
        """The model's own, the prefix included; 0 where it does not know."""
        return self._model.overflow(self._asked(request)) if isinstance(self._model, Window) else 0

    def close(self) -> None:
        """Close the model, where it can be."""
        close: Callable[[], None] | None = getattr(self._model, "close", None)
        if close is not None:
            close()
        self._on_close()

    def _asked(self, request: Request) -> Request:
        if not self._prefix:
            return request
        return replace(request, messages=conditioned(request.messages, self._prefix))
