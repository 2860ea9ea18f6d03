"""A chat that remembers: recall before the model, an episode after it. No HTTP here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace

from agent.builders.facts import FEEDBACK
from agent.models import calling
from agent.opening import Told, consult, question
from agent.prompt import CHAT, compose_chat
from agent.settings import AgentSettings
from agent.types import Delta, Model, Reply, Request
from memory.errors import Conflict, NotFound
from memory.modes import USES
from memory.types import Episode, Message, Mode
from server.auth import Identity
from server.genai import of_call, of_replies
from server.metrics import Metrics
from server.recording import Recorder
from server.services import Core
from server.strands import MAIN, Strand, news_of, short_ids, strand_of, with_pictures
from server.tracing import Span
from server.turns import Turn, lot_of, named


class Chat:
    """One request of one caller to one model."""

    def __init__(
        self, core: Core, metrics: Metrics, identity: Identity, model: Model, settings: AgentSettings
    ) -> None:
        """`settings` are those of the caller's namespace."""
        self._core = core
        self._metrics = metrics
        self._identity = identity
        self._model = model
        self._settings = settings
        self._recorder = Recorder(core, metrics, identity, model)
        self.stages: dict[str, float] = {}
        """Seconds that each stage took so far, by its name."""
        self.place: int | None = None
        """Of the answer in its episode, once it is recorded."""

    async def prepare(self, asked: Request, mode: Mode, family: str | None, fresh: str) -> Turn:
        """Recall for the last user message and put it before the conversation. Raises BadInput.

        `fresh` is the id of the episode, unless the conversation goes on from one.
        """
        started_at = time.time()
        with self._timed("recall"):
            before = await self._continued(asked.messages, mode) if USES[mode].records else None
            news = asked.messages if before is None else _unheard(before, asked.messages)
            strand = Strand(MAIN, (), news, is_new=before is None)
            known = Told(None, None, None)
            if before is None:
                strand, known = await self._opened(strand, asked, mode, family, fresh)
                shown = (*strand.ours, *asked.messages)
            else:
                shown = (*with_pictures(_said(before), asked.messages), *news)
        episode = before.id if before else fresh if USES[mode].records else None
        request = replace(asked, messages=short_ids(shown))
        return Turn(episode, mode, request, asked.messages, strand, before, known, started_at)

    async def join(
        self, asked: Request, mode: Mode, family: str | None, rollout: str, *, is_said: bool
    ) -> Turn:
        """The same for a request of a rollout, by the id of its episode; `is_said`: the mode was asked for.

        Raises BadInput, and Conflict where the rollout has ended or began in another mode.
        """
        started_at = time.time()
        with self._timed("recall"):
            before = await self._kept(rollout)
            if before is not None:
                mode = _still_open(before, mode, is_said=is_said)
            strand, known = strand_of(before, asked.messages), Told(None, None, None)
            if strand.is_new:
                strand, known = await self._opened(strand, asked, mode, family, rollout)
        episode = rollout if USES[mode].records else None
        request = replace(asked, messages=short_ids((*strand.ours, *asked.messages)))
        turn = Turn(episode, mode, request, asked.messages, strand, before, known, started_at)
        return replace(turn, is_rollout=True)

    async def _kept(self, episode: str) -> Episode | None:
        with suppress(NotFound):
            return await asyncio.to_thread(self._core.memory.episode, self._identity.namespace, episode)
        return None

    async def complete(self, turn: Turn) -> tuple[Reply, ...]:
        """All answers; the first is recorded before they are returned. Raises ModelError, BadInput."""
        with self._timed("model") as span:
            replies = await calling.complete(self._model, turn.request)
            self._answered(span, replies)
        replies = tuple(named(turn, reply) for reply in replies)
        with self._timed("record"):
            self.place = await self._recorder.record(turn, replies)
        return replies

    async def stream(self, turn: Turn) -> AsyncGenerator[Delta, None]:
        """One answer piece by piece; recorded before the last piece is given.

        Whoever stops listening stops the model; what was said until then is recorded as cut off.
        """
        said, last = "", None
        try:
            with self._timed("model") as span:
                async with aclosing(calling.stream(self._model, turn.request)) as deltas:
                    async for delta in deltas:
                        if delta.reply is not None:
                            last = delta
                            self._answered(span, (delta.reply,))
                            break
                        said += delta.text
                        yield delta
        except (asyncio.CancelledError, GeneratorExit):
            # On its own: whoever was cancelled may not wait.
            leaving = asyncio.create_task(self._recorder.cut_off(turn, said))
            with suppress(asyncio.CancelledError):
                await asyncio.shield(leaving)
            raise
        if last is not None and last.reply is not None:
            reply = named(turn, last.reply)
            with self._timed("record"):
                self.place = await self._recorder.record(turn, (reply,))
            yield replace(last, reply=reply)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[Span]:
        started = time.perf_counter()
        try:
            # It holds nothing below it: a stream is left and entered in the middle of a stage.
            with self._core.tracer.span(
                stage, "client" if stage == "model" else "internal", holds=False
            ) as span:
                yield span
        finally:
            self.stages[stage] = time.perf_counter() - started
            self._metrics.chat_stage_seconds.labels(stage).observe(self.stages[stage])

    def _answered(self, span: Span, replies: Sequence[Reply]) -> None:
        tracer = self._core.tracer
        if tracer.is_on:
            span.rename(f"chat {self._model.name}")
            span.note(of_call(self._model.name) | of_replies(replies, shows_content=tracer.shows_content))

    async def _opened(
        self, strand: Strand, asked: Request, mode: Mode, family: str | None, episode: str
    ) -> tuple[Strand, Told]:
        """A line of conversation with what memory says at its beginning."""
        text = next((m.text for m in reversed(asked.messages) if m.role == "user"), "")
        # What chats taught holds for chats, unless a request names another family.
        known = await self._consult(text, family or CHAT, episode, mode)
        ours = compose_chat((), known.recall, known.constitution, self._model.style)
        return replace(strand, ours=ours), known

    async def _consult(self, text: str, family: str, episode: str, mode: Mode) -> Told:
        namespace, settings = self._identity.namespace, self._settings
        if settings.procedures == "index":
            # Who calls the tools of a chat is its client, which knows nothing of ours.
            settings = replace(settings, procedures="inline")
        query = question(text, namespace, episode, family, settings)
        return await consult(
            self._core.memory,
            query if text.strip() else None,
            family,
            mode,
            namespace=namespace,
            model=self._model,
            settings=settings,
        )

    async def _continued(self, asked: Sequence[Message], mode: Mode) -> Episode | None:
        """The episode whose tool calls these messages answer, if conversation and mode are still the same."""
        lot = lot_of(asked)
        kept = None if lot is None else await self._kept(lot)
        if kept is None:
            return None
        calls = {call.id for call in _said(kept)[-1].tool_calls}
        answered = {m.tool_call_id for m in news_of(asked)}
        return kept if calls and calls <= answered and kept.mode == mode else None


def _said(kept: Episode) -> tuple[Message, ...]:
    """The conversation itself, without what was said of it since."""
    return tuple(one for one in kept.messages if one.agent != FEEDBACK)


def _unheard(before: Episode, asked: Sequence[Message]) -> tuple[Message, ...]:
    """What a client says for the first time; instructions may be others than at the beginning."""
    known = {one.text for one in before.messages if one.role == "system"}
    other = (one for one in asked if one.role == "system" and one.text not in known)
    return (*other, *news_of([one for one in asked if one.role != "system"]))


def _still_open(before: Episode, mode: Mode, *, is_said: bool) -> Mode:
    """The mode of a rollout's next call. Raises Conflict."""
    if before.outcome != "unknown":
        raise Conflict("this rollout has ended, feedback said how it went: begin another under another id")
    if mode == "off" or mode == before.mode:
        return mode
    if is_said:
        raise Conflict(f"this rollout began with memory {before.mode!r}, which cannot be {mode!r} now")
    return before.mode
