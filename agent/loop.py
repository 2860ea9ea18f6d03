"""The loop: recall, then model and world in turn until it is done. Every run leaves an episode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from agent.dispatch import Approve, Dispatched, Dispatcher
from agent.effects import Effects, Sources
from agent.ending import Ending, ruled
from agent.guards.advantage import Advantage
from agent.guards.principles import Forbidden
from agent.journal import MemoryJournal
from agent.learning.learn import LearnReport, learn
from agent.learning.midway import look_back
from agent.opening import AgentSettings, Run, open_episode, situation
from agent.parts import Verified
from agent.prompt import command_of, parse_action
from agent.reminding import remind
from agent.shelf import Shelf, shelved
from agent.trail import Trail
from agent.types import ANSWER_TOOL, Guard, Journal, Model, Reply, Request, Task, World
from agent.verification.verify import Verifier
from memory.core import Memory
from memory.errors import ApprenticeError, BudgetExceeded
from memory.modes import USES
from memory.types import Episode, Json, Message, ToolCall
from memory.value.steps import StepSettings

Save = Callable[[Episode], Awaitable[None]]
"""Keeps the episode of a run that was cancelled or broke for a reason outside of it."""


class Agent:
    """A model with a memory, guards and a budget. Serves any number of runs at once."""

    def __init__(
        self,
        model: Model,
        memory: Memory | None,
        *,
        guards: Sequence[Guard] = (),
        settings: AgentSettings | None = None,
        approve: Approve | None = None,
        clock: Callable[[], float] = time.time,
        advantage: StepSettings | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """`approve` is asked where a guard says `ask`; without it the answer is no.

        With `advantage`, actions that were credibly bad near the same state are refused once; None leaves
        that out. With `verifier`, runs whose world does not say how they went are looked at by it.
        """
        self._model, self._memory, self._guards = model, memory, tuple(guards)
        self._settings = settings or AgentSettings()
        self._approve, self._clock = approve, clock
        self._advantage, self._verifier = advantage, verifier

    async def run(
        self,
        task: Task,
        world: World,
        run: Run,
        journal: Journal | None = None,
        *,
        save: Save | None = None,
    ) -> Episode:
        """One attempt at a task. A model, world or memory that breaks makes the outcome `infra`.

        Running again with the same journal replays what was done and goes on from there. A
        cancellation, or a journal that fails, is raised after `save` was given the episode so far.
        """
        journal = journal or MemoryJournal()
        guards = await self._guards_for(task, run)
        world = self._with_shelf(world, run)
        dispatcher = Dispatcher(world, guards, approve=self._approve, timeout_s=self._settings.tool_timeout_s)
        effects = Effects(Sources(task, world, self._model, dispatcher, journal, self._clock))
        trail = Trail(task, run, self._model, effects)
        try:
            ending = await self._attempt(task, world, effects, trail)
        except BudgetExceeded as error:
            ending = Ending("unknown", error=str(error))
        except ApprenticeError as error:
            ending = Ending("infra", error=f"{type(error).__name__}: {error}")
        except BaseException as error:
            if save is not None:
                ending = Ending("infra", error=f"{type(error).__name__}: {error}")
                await asyncio.shield(save(trail.episode(ending)))
            raise
        episode, ending = await self._verified(world, effects, trail, ending)
        await self._look_back(effects, trail, is_over=True)
        await effects.event("end", trail.summary(ending))
        return episode

    async def _verified(
        self, world: World, effects: Effects, trail: Trail, ending: Ending
    ) -> tuple[Episode, Ending]:
        """The episode as a verifier rules it, where it came to its end and nobody said how it went."""
        episode, verifier = trail.episode(ending), self._verifier
        if verifier is None or not ending.is_open:
            return episode, ending
        try:
            ruling = await self._looked_at(world, effects, trail, verifier).ruling(ending, trail.task)
        except ApprenticeError as error:
            return replace(episode, feedback={"verification": f"{type(error).__name__}: {error}"}), ending
        ending = ruled(ending, ruling)
        said: Json = {"model": ruling.model, "findings": [one.reason for one in ruling.findings]}
        return replace(
            trail.episode(ending), learning=episode.learning + ruling.usage, feedback={"verification": said}
        ), ending

    async def learn(self, episode: Episode, journal: Journal | None = None) -> LearnReport:
        """Reflect on a finished episode and remember what it teaches. Nothing without a memory."""
        return await learn(
            episode,
            model=self._model,
            memory=self._memory,
            settings=self._settings,
            journal=journal or MemoryJournal(),
        )

    async def _guards_for(self, task: Task, run: Run) -> tuple[Guard, ...]:
        """Those of the agent, what the constitution forbids, and what the family's steps say."""
        own = (*self._guards, Forbidden()) if self._settings.enforces_principles else self._guards
        if self._advantage is None or self._memory is None or not USES[run.memory].shows:
            return own
        try:
            walked = await asyncio.to_thread(self._memory.walked, run.namespace, task.family)
        except ApprenticeError:
            # The opening asks the same memory, and says in the episode that it is broken.
            return own
        return (*own, Advantage(walked, self._advantage))

    def _with_shelf(self, world: World, run: Run) -> World:
        """The world with a tool to read procedures, where the prompt holds their titles alone."""
        memory = self._memory
        if memory is None or not USES[run.memory].shows or not self._settings.is_indexed(self._model):
            return world
        # What is frozen keeps its counters too.
        counts = USES[run.memory].credits
        read = partial(memory.fetched, run.namespace, principal=run.principal, counts=counts)

        async def fetch(name: str) -> str | None:
            item = await asyncio.to_thread(read, name)
            return None if item is None else item.text

        return shelved(world, fetch)

    async def _attempt(self, task: Task, world: World, effects: Effects, trail: Trail) -> Ending:
        observation = await effects.reset()
        opening = await effects.opening(
            lambda: open_episode(
                task,
                observation,
                trail.run,
                model=self._model,
                memory=self._memory,
                settings=self._settings,
            )
        )
        trail.open(opening)
        _offer(world, opening.procedures)
        await effects.event("start", trail.beginning())
        ending, verifier = Ending.of(observation), self._verifier
        if ending is not None:
            return ending
        if verifier is not None and verifier.in_parts and self._model.style == "full":
            return await self._looked_at(world, effects, trail, verifier).run()
        return await self._work(world, effects, trail)

    async def _work(self, world: World, effects: Effects, trail: Trail) -> Ending:
        while (ending := trail.spent_up() or await self._turn(world, effects, trail)) is None:
            pass
        return ending

    def _looked_at(self, world: World, effects: Effects, trail: Trail, verifier: Verifier) -> Verified:
        work = partial(self._work, world, effects, trail)
        # Who verifies looks at what was done, not at what was recalled.
        site = world.world if isinstance(world, Shelf) else world
        return Verified(work, site, effects, trail, verifier, self._guards)

    async def _turn(self, world: World, effects: Effects, trail: Trail) -> Ending | None:
        tools = world.tools()
        request = Request(
            trail.prompt(),
            tools=tools if self._model.style == "full" else (),
            max_tokens=trail.reply_limit(self._settings.max_reply_tokens),
            temperature=self._settings.temperature if trail.exploring is None else trail.exploring,
            seed=trail.run.seed,
        )
        reply = await effects.complete(request, limit_s=trail.seconds_left())
        message, calls = self._hear(reply, world, trail)
        trail.heard(message, reply.usage)
        if not calls:
            trail.nudge(self._model.style)
        thought, _ = parse_action(message.text, world.tools())
        for index, call in enumerate(calls):
            ending = trail.spent_up() if index else None
            if ending is not None:
                trail.skip(calls[index:])
                return ending
            ending = await self._act(call, thought, world, effects, trail)
            if ending is not None:
                trail.skip(calls[index + 1 :])
                return ending
        await self._look_back(effects, trail)
        return None

    async def _look_back(self, effects: Effects, trail: Trail, *, is_over: bool = False) -> None:
        """What the run has to tell itself so far."""
        if self._memory is not None:
            await look_back(effects, trail, self._model, self._settings, is_over=is_over)

    def _hear(self, reply: Reply, world: World, trail: Trail) -> tuple[Message, tuple[ToolCall, ...]]:
        """The message to keep and its calls: native ones, one in the text, or words as the final answer."""
        message, tools = replace(reply.message, role="assistant"), world.tools()
        calls = message.tool_calls
        if not calls:
            _, call = parse_action(message.text, tools)
            calls = (call,) if call else ()
        if calls:
            calls = tuple(replace(call, id=trail.new_call_id()) for call in calls)
            return replace(message, kind="act", tool_calls=calls), calls
        if message.text.strip() and any(tool.name == ANSWER_TOOL for tool in tools):
            answer = ToolCall(trail.new_call_id(), ANSWER_TOOL, {"answer": message.text})
            return replace(message, kind="answer"), (answer,)
        return replace(message, kind="act", ok=False), ()

    async def _act(
        self, call: ToolCall, thought: str, world: World, effects: Effects, trail: Trail
    ) -> Ending | None:
        if trail.answers_part(call):
            return Ending("unknown")
        done: Dispatched = await effects.dispatch(call, trail.context(), limit_s=trail.seconds_left())
        trail.acted(call, done)
        await effects.event("step", trail.latest(call, thought, done))
        if done.verdict.action == "stop":
            return Ending("failure", 0.0, f"{done.verdict.guard}: {done.verdict.reason}", "rule")
        ending = Ending.of(done.observation)
        if ending is None and done.observation.ok is False:
            await self._ask_again(call, done.observation.text, world, effects, trail)
        return ending

    async def _ask_again(
        self, call: ToolCall, failure: str, world: World, effects: Effects, trail: Trail
    ) -> None:
        """What memory says of the step that failed, if it is to be asked in the middle."""
        memory, settings = self._memory, self._settings
        mode = trail.run.memory
        if memory is None or not USES[mode].asks or not (settings.recall_on_failure and settings.k):
            return
        query = situation(trail.task, trail.run, settings, step=command_of(call), failure=failure)
        known = trail.known_items()
        ask = partial(remind, query, known, mode, model=self._model, memory=memory, settings=settings)
        found = await effects.reminder(ask)
        if found is not None:
            trail.reminded(found)
            _offer(world, found.procedures)


def _offer(world: World, procedures: Sequence[str]) -> None:
    if isinstance(world, Shelf):
        world.offer(procedures)
