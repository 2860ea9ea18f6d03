"""One response as OpenAI's typed server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing

from pydantic import BaseModel

from agent.types import Delta, Reply
from memory.errors import ApprenticeError
from server.errors import shape_of
from server.responding import Responses
from server.routes.asking import Begun
from server.schemas.responded import CallItemOut, ResponseOut, TextOut, words_of


class ResponseStream:
    """The events of one response; it is stored before the last of them."""

    def __init__(self, begun: Begun, out: ResponseOut, responses: Responses, added: int) -> None:
        self._begun = begun
        self._deltas = begun.chat.stream(begun.turn)
        self._out = out
        self._responses = responses
        self._added = added
        self._number = 0
        self._text: str | None = None
        """What has been said; None before the first word."""

    async def first(self) -> Delta:
        """Wait for the first piece. Raises whatever the model raises before it."""
        return await anext(self._deltas)

    async def lines(self, first: Delta, held: AsyncExitStack) -> AsyncIterator[str]:
        """The events; the model is stopped and let go at the end, also when the client leaves."""
        async with held, aclosing(self._deltas):
            try:
                yield self._event("response.created", response=self._out)
                yield self._event("response.in_progress", response=self._out)
                for line in self._said(first):
                    yield line
                reply = first.reply
                async for delta in self._deltas:
                    reply = delta.reply or reply
                    for line in self._said(delta):
                        yield line
                assert reply is not None
                for line in self._rest(reply):
                    yield line
                recollection = self._begun.turn.recollection(self._begun.chat.stages)
                out = self._out.ended(reply, reply.usage, recollection)
                await self._responses.keep(out, self._begun.chat.place, self._added)
                yield self._event(f"response.{out.status}", response=out)
            except ApprenticeError as error:
                yield self._event("error", code=shape_of(error).code, message=str(error), param=None)

    def _said(self, delta: Delta) -> Iterator[str]:
        """A piece of the words."""
        if not delta.text:
            return
        if self._text is None:
            yield from self._begin_words()
        self._text = (self._text or "") + delta.text
        yield self._event("response.output_text.delta", **self._place(), delta=delta.text, logprobs=[])

    def _rest(self, reply: Reply) -> Iterator[str]:
        """The end of the words, then the calls."""
        items = self._out.ended(reply, reply.usage, self._out.apprentice).output
        if self._text is None and not isinstance(items[0], CallItemOut):
            yield from self._begin_words()
        if self._text is not None:
            yield from self._end_words(reply.message.text)
        calls = [item for item in items if isinstance(item, CallItemOut)]
        for index, call in enumerate(calls, len(items) - len(calls)):
            yield from self._call(index, call)

    def _begin_words(self) -> Iterator[str]:
        self._text = ""
        item = words_of(self._out.id, "").model_copy(update={"status": "in_progress", "content": []})
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._event("response.content_part.added", **self._place(), part=TextOut(text=""))

    def _end_words(self, text: str) -> Iterator[str]:
        item = words_of(self._out.id, text)
        yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._place(), part=item.content[0])
        yield self._event("response.output_item.done", output_index=0, item=item)

    def _call(self, index: int, call: CallItemOut) -> Iterator[str]:
        begun = call.model_copy(update={"status": "in_progress", "arguments": ""})
        of = {"item_id": call.id, "output_index": index}
        arguments = "response.function_call_arguments"
        yield self._event("response.output_item.added", output_index=index, item=begun)
        yield self._event(f"{arguments}.delta", **of, delta=call.arguments)
        yield self._event(f"{arguments}.done", **of, name=call.name, arguments=call.arguments)
        yield self._event("response.output_item.done", output_index=index, item=call)

    def _place(self) -> dict[str, object]:
        return {"item_id": words_of(self._out.id, "").id, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: object) -> str:
        shown = {
            name: one.model_dump(mode="json") if isinstance(one, BaseModel) else one
            for name, one in fields.items()
        }
        data = json.dumps({"type": kind, "sequence_number": self._number, **shown})
        self._number += 1
        return f"event: {kind}\ndata: {data}\n\n"
