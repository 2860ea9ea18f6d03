"""The loop: recall, then model and world in turn until it is done. Every run leaves an episode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from agent.desk import Desk, Kit, Planner
from agent.dispatch import Dispatcher
from agent.effects import Effects, Sources
from agent.ending import Ending, ruled
from agent.guards.advantage import Advantage
from agent.guards.principles import Forbidden
from agent.holding import Holding
from agent.journal import MemoryJournal
from agent.learning.learn import LearnReport, learn
from agent.opening import AgentSettings, Run, open_episode
from agent.parts import Verified
from agent.planners.react import React
from agent.shelf import Shelf
from agent.toolbox import boxed
from agent.trail import Trail
from agent.types import Approve, Guard, Journal, Model, Task, World
from agent.verification.verify import Verifier
from memory.codec import to_json
from memory.core import Memory
from memory.errors import ApprenticeError, BudgetExceeded
from memory.modes import USES
from memory.types import Episode, Json
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
        planner: Planner | None = None,
        kits: Sequence[Kit] = (),
        holding: Holding | None = None,
    ) -> None:
        """`approve` is asked where a guard says `ask`; without it whoever answers the run's journal, and
        where nobody can, the answer is no.

        With `advantage`, actions that were credibly bad near the same state are refused once; None leaves
        that out. With `verifier`, runs whose world does not say how they went are looked at by it. `planner`
        orders the turns, `React` where none is given; `kits` are put on the desk of every run. With
        `holding`, calls keep what the task's words imply.
        """
        self._model, self._memory, self._guards = model, memory, tuple(guards)
        self._settings = settings or AgentSettings()
        self._approve, self._clock = approve, clock
        self._advantage, self._verifier = advantage, verifier
        self._planner, self._kits = planner or React(), tuple(kits)
        self._holding = holding or Holding()

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
        desk = self._desk(task, world, run, journal, await self._guards_for(task, run))
        trail = desk.trail
        try:
            ending = await self._attempt(desk)
        except BudgetExceeded as error:
            ending = Ending("unknown", error=str(error))
        except ApprenticeError as error:
            ending = Ending("infra", error=f"{type(error).__name__}: {error}")
        except BaseException as error:
            if save is not None:
                ending = Ending("infra", error=f"{type(error).__name__}: {error}")
                await asyncio.shield(save(trail.episode(ending)))
            raise
        episode, ending = await self._verified(desk, ending)
        await desk.look_back(is_over=True)
        await desk.effects.event("end", trail.summary(ending))
        return episode

    async def _verified(self, desk: Desk, ending: Ending) -> tuple[Episode, Ending]:
        """The episode as a verifier rules it, where it came to its end and nobody said how it went."""
        trail, verifier = desk.trail, self._verifier
        episode = trail.episode(ending)
        if verifier is None or not ending.is_open:
            return episode, ending
        try:
            ruling = await self._looked_at(desk, verifier).ruling(ending, desk.task)
        except ApprenticeError as error:
            told = f"{type(error).__name__}: {error}"
            return replace(episode, feedback={**episode.feedback, "verification": told}), ending
        ending = ruled(ending, ruling)
        said: dict[str, Json] = {"model": ruling.model, "findings": [one.reason for one in ruling.findings]}
        if ruling.features is not None:
            said["features"] = to_json(ruling.features)
        ended = trail.episode(ending)
        feedback = {**ended.feedback, "verification": said}
        return replace(ended, learning=episode.learning + ruling.usage, feedback=feedback), ending

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
        own: tuple[Guard, ...] = self._guards
        if self._settings.enforces_principles:
            own = (*own, Forbidden())
        if self._advantage is None or self._memory is None or not USES[run.memory].shows:
            return own
        try:
            walked = await asyncio.to_thread(self._memory.walked, run.namespace, task.family)
        except ApprenticeError:
            # The opening asks the same memory, and says in the episode that it is broken.
            return own
        return (*own, Advantage(walked, self._advantage))

    def _desk(self, task: Task, world: World, run: Run, journal: Journal, guards: Sequence[Guard]) -> Desk:
        box, settings = boxed(world), self._settings
        dispatcher = Dispatcher(box, guards, timeout_s=settings.tool_timeout_s)
        effects = Effects(Sources(task, box, self._model, dispatcher, journal, self._clock, self._approve))
        trail = Trail(task, run, self._model, effects)
        is_indexed = self._memory is not None and USES[run.memory].shows and settings.is_indexed(self._model)
        shelf = Shelf(self._memory, run) if is_indexed and self._memory is not None else None
        return Desk(self._model, self._memory, settings, box, effects, trail, shelf)

    async def _attempt(self, desk: Desk) -> Ending:
        observation = await desk.effects.reset()
        for kit in self._kits:
            kit.equip(desk)
        # Before memory is asked, and before a tool has said anything.
        await self._holding.begin(desk)
        opening = await desk.effects.opening(
            lambda: open_episode(
                desk.task,
                observation,
                desk.run,
                model=self._model,
                memory=self._memory,
                settings=self._settings,
            )
        )
        desk.opened(opening)
        await desk.effects.event("start", desk.trail.beginning())
        ending, verifier = Ending.of(observation), self._verifier
        if ending is not None:
            return ending
        if verifier is not None and verifier.in_parts and self._model.style == "full":
            return await self._looked_at(desk, verifier).run()
        return await self._planner.run(desk)

    def _looked_at(self, desk: Desk, verifier: Verifier) -> Verified:
        work = partial(self._planner.run, desk)
        # Who verifies looks at what was done, not at what was recalled.
        return Verified(work, desk, verifier, self._guards)
