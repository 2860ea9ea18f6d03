"""What one run is worked at: turns of the model, calls, side questions, and what has been said so far.

A planner orders these verbs; each goes through the journal, so a planner that decides by what they return and
by the messages is replayed by running it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from agent.dispatch import Dispatched
from agent.effects import Effects
from agent.ending import Ending
from agent.learning.midway import look_back
from agent.opening import AgentSettings, Opening, Run, situation
from agent.prompt import command_of, parse_action
from agent.reminding import remind
from agent.shelf import Shelf
from agent.toolbox import Do, Toolbox
from agent.trail import Trail, View
from agent.types import ANSWER_TOOL, Model, Observation, Reply, Request, Task, ToolSpec, Verdict
from agent.views.sight import seen_in
from agent.window import Window, fitted, halved
from memory.core import Memory
from memory.errors import BudgetExceeded, TooLarge
from memory.modes import USES
from memory.types import Json, Kind, Message, ToolCall, Usage, shown_too

Watch = Callable[[ToolCall, Dispatched], Awaitable[None]]
"""Sees a call that did not end the run, and what became of it; what it does goes through the journal."""


@dataclass(slots=True)
class Desk:
    """One run, and everything it is done with."""

    model: Model
    memory: Memory | None
    settings: AgentSettings
    box: Toolbox
    effects: Effects
    trail: Trail
    shelf: Shelf | None = None
    """Where the prompt holds procedures by their titles alone."""
    nudges: list[View] = field(default_factory=list)
    """Each is asked after a turn what is to be said to the model."""

    watches: list[Watch] = field(default_factory=list)
    """Each sees every call once it was answered."""

    def __post_init__(self) -> None:
        self.show(None)

    @property
    def task(self) -> Task:
        """What is to be done."""
        return self.trail.task

    @property
    def run(self) -> Run:
        """Whose attempt this is, and how far it may go."""
        return self.trail.run

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that was said so far."""
        return tuple(self.trail.messages)

    def prompt(self) -> tuple[Message, ...]:
        """What of it the model is shown."""
        return self.trail.prompt()

    def tools(self) -> tuple[ToolSpec, ...]:
        """What can be called now."""
        return self.box.tools()

    def offer(self, spec: ToolSpec, do: Do) -> None:
        """A tool of ours beside the world's, see `agent.toolbox`. Raises BadInput when its name is taken."""
        self.box.offer(spec, do)

    def show(self, view: View | None) -> None:
        """What of the messages the model is shown from now on, None is all; a world's own view is on top."""
        self.trail.view = seen_in(self.box.world, view)

    def say(self, text: str, *, kind: Kind = "plan", agent: str = "planner") -> None:
        """Tell the model something."""
        self.trail.say(Message("user", text, kind=kind, agent=agent))

    def note(self, name: str, value: Json) -> None:
        """Keep a value with the episode, in its feedback; the model does not see it during the run."""
        self.trail.notes[name] = value

    def nudge(self, remark: View) -> None:
        """From now on, tell the model after each turn what `remark` makes of the messages; pure."""
        self.nudges.append(remark)

    def spent_up(self) -> Ending | None:
        """The ending when a limit is reached."""
        return self.trail.spent_up()

    async def ask(self, request: Request, *, is_turn: bool = False) -> tuple[Reply, ...]:
        """Ask the model beside the turns; the journal counts it among them where it `is_turn`.

        Raises ModelError, BudgetExceeded when nothing is left.
        """
        ending = self.spent_up()
        if ending is not None and not ending.is_presumed:
            raise BudgetExceeded(ending.error or "nothing is left")
        self._offer(request.tools)
        limit_s = self.trail.seconds_left()
        if is_turn:
            replies: tuple[Reply, ...] = (await self.effects.complete(request, limit_s=limit_s),)
        else:
            replies = await self.effects.ask(request, limit_s=limit_s)
        self.trail.paid(sum((reply.usage for reply in replies), Usage()))
        return replies

    async def turn(self) -> Ending | None:
        """One turn of the model, with the calls it makes; the ending if the run is over."""
        trail, tools = self.trail, self.tools()
        request = Request(
            trail.prompt(),
            tools=tools if self.model.style == "full" else (),
            max_tokens=trail.reply_limit(self.settings.max_reply_tokens),
            temperature=self.settings.temperature if trail.exploring is None else trail.exploring,
            seed=trail.run.seed,
        )
        self._offer(request.tools)
        reply = await self._complete(request)
        message, calls = self._hear(reply, tools)
        trail.heard(message, reply.usage)
        if not calls:
            trail.nudge(self.model.style)
        thought, _ = parse_action(message.text, tools)
        for index, call in enumerate(calls):
            ending = trail.spent_up() if index else None
            if ending is not None:
                trail.skip(calls[index:])
                return ending
            _, ending = await self._run(call, thought)
            if ending is not None:
                trail.skip(calls[index + 1 :])
                return ending
        for remark in self.nudges:
            for said in remark(self.messages):
                trail.say(said)
        await self.look_back()
        return None

    async def act(self, call: ToolCall, thought: str = "") -> tuple[Observation, Ending | None]:
        """A call that a planner decides on, as if the model had made it; the ending if the run is over."""
        call = replace(call, id=self.trail.new_call_id())
        self._offer(self.tools())
        self.trail.heard(Message("assistant", thought, kind="act", tool_calls=(call,)), Usage())
        return await self._run(call, thought)

    async def inside(self, call: ToolCall) -> Dispatched:
        """A call from inside a tool that is running, see `agent.dispatch`; it belongs to the outer call."""
        return await self.effects.inside(call)

    def snapshot(self) -> Json:
        """The world as the last step left it; None where it cannot be put back."""
        return self.effects.snapshot

    async def restore(self, snapshot: Json) -> None:
        """Put the world back; what was said stays said. Raises WorldError where it cannot be."""
        await self.effects.restore(snapshot)

    async def look_back(self, *, is_over: bool = False) -> None:
        """What the run has to tell itself so far."""
        if self.memory is not None:
            await look_back(self.effects, self.trail, self.model, self.settings, is_over=is_over)

    def opened(self, opening: Opening) -> None:
        """Begin with these messages."""
        self.trail.open(opening)
        if self.shelf is not None:
            self.shelf.offer(opening.procedures, self.box)

    def _offer(self, tools: Sequence[ToolSpec]) -> None:
        """The model is told that it can call these, where it is told of tools by schema."""
        if self.model.style == "full":
            self.trail.tools = shown_too(self.trail.tools, tools)

    async def _complete(self, request: Request) -> Reply:
        """The model's reply to as much of the request as it can read."""
        if isinstance(self.model, Window):
            request = fitted(request, self.model.overflow)
        while True:
            try:
                return await self.effects.complete(request, limit_s=self.trail.seconds_left())
            except TooLarge:
                shorter = halved(request)
                if shorter is None:
                    raise
                request = shorter

    def _hear(self, reply: Reply, tools: Sequence[ToolSpec]) -> tuple[Message, tuple[ToolCall, ...]]:
        """The message to keep and its calls: native ones, one in the text, or words as the final answer."""
        message = replace(reply.message, role="assistant")
        calls = message.tool_calls
        if not calls:
            _, call = parse_action(message.text, tools)
            calls = (call,) if call else ()
        if calls:
            calls = tuple(replace(call, id=self.trail.new_call_id()) for call in calls)
            return replace(message, kind="act", tool_calls=calls), calls
        if message.text.strip() and any(tool.name == ANSWER_TOOL for tool in tools):
            answer = ToolCall(self.trail.new_call_id(), ANSWER_TOOL, {"answer": message.text})
            return replace(message, kind="answer"), (answer,)
        return replace(message, kind="act", ok=False), ()

    async def _run(self, call: ToolCall, thought: str) -> tuple[Observation, Ending | None]:
        trail = self.trail
        if trail.answers_part(call):
            return Observation(""), Ending("unknown")
        done = await self._dispatched(call)
        trail.acted(call, done)
        await self.effects.event("step", trail.latest(call, thought, done))
        seen = done.observation
        if done.verdict.action == "stop":
            return seen, Ending("failure", 0.0, f"{done.verdict.guard}: {done.verdict.reason}", "rule")
        ending = Ending.of(seen)
        for watch in () if ending is not None else tuple(self.watches):
            await watch(call, done)
        if ending is None and seen.ok is False:
            await self._ask_again(call, seen.text)
        return seen, ending

    async def _dispatched(self, call: ToolCall) -> Dispatched:
        """A call as guards have it, and where they ask a human, as that one does."""
        effects, context, limit_s = self.effects, self.trail.context(), self.trail.seconds_left()
        done = await effects.dispatch(call, context, limit_s=limit_s)
        question = done.verdict
        if question.action != "ask":
            return done
        if await effects.approved(call, question, wait_s=self.settings.approval_s):
            return await effects.dispatch(call, context, limit_s=limit_s, is_approved=True)
        return replace(done, verdict=Verdict("block", f"not approved: {question.reason}", question.guard))

    async def _ask_again(self, call: ToolCall, failure: str) -> None:
        """What memory says of the step that failed, if it is to be asked in the middle."""
        memory, settings, trail = self.memory, self.settings, self.trail
        mode = trail.run.memory
        if memory is None or not USES[mode].asks or not (settings.recall_on_failure and settings.k):
            return
        query = situation(trail.task, trail.run, settings, step=command_of(call), failure=failure)
        known = trail.known_items()
        ask = partial(remind, query, known, mode, model=self.model, memory=memory, settings=settings)
        found = await self.effects.reminder(ask)
        if found is not None:
            trail.reminded(found)
            if self.shelf is not None:
                self.shelf.offer(found.procedures, self.box)


class Planner(Protocol):
    """In which order a run is worked on. Shared by runs: what a run is at stands in its messages."""

    @property
    def name(self) -> str:
        """As in settings."""
        ...

    async def run(self, desk: Desk) -> Ending:
        """Work until the run is over. Raises what its effects raise."""
        ...


class Kit(Protocol):
    """What is put on the desk of every run: tools, remarks, a view."""

    def equip(self, desk: Desk) -> None:
        """Offer it. Raises BadInput where a name is taken."""
        ...
