"""Bundled worlds lived again: what would have been answered to other calls from a known state. Pure.

Bundled worlds are functions of their task and the calls so far, so that an episode can be gone through once
more, and gone on from where it stood. What they answer must be what was answered then; otherwise the world
has changed and nothing is made of it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agent.types import Observation, Task, World
from agent.worlds.catalogue import catalogue
from memory.errors import BadInput, WorldError
from memory.types import Episode, Message, ToolCall

T = TypeVar("T")
_PATIENCE = 2
"""A way that begins with a mistake may take so many times the steps of its task."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """The bundled tasks that episodes are attempts at, by their ids."""

    found: Mapping[str, Task]

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> Tasks:
        """Those of the sites and cities that the episodes were lived at."""
        places = sorted({(episode.world, episode.family) for episode in episodes})
        return cls({task.id: task for world, site in places for task in _tasks(world, site)})

    def relived(
        self, episode: Episode, end: int, ahead: Sequence[ToolCall]
    ) -> tuple[Observation, ...] | None:
        """What the world answers to `ahead`, from where the episode stood before message `end`.

        None where the world is not bundled or answers the episode's calls otherwise than it did.
        """
        task = self.found.get(episode.task_id)
        if task is None:
            return None
        world = catalogue(task.world).make()
        try:
            opening = now(world.reset(replace(task, max_steps=_PATIENCE * task.max_steps)))
            if not _is_told(opening, episode) or not _walked(world, episode, end):
                return None
            return tuple(now(world.step(call)) for call in ahead)
        except (BadInput, WorldError):
            return None


def world_calls(messages: Sequence[Message]) -> tuple[tuple[ToolCall, Message], ...]:
    """Calls with their answers, in order; reading what memory holds is none."""
    answers = {one.tool_call_id: one for one in messages if one.role == "tool" and one.tool_call_id}
    calls = (call for one in messages for call in one.tool_calls)
    return tuple(
        (call, answers[call.id]) for call in calls if call.id in answers and answers[call.id].kind != "memory"
    )


def now(awaited: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing, as those of bundled worlds do. Raises WorldError."""
    try:
        awaited.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what the coroutine returns
    awaited.close()
    raise WorldError("the world waits for something outside of it; only bundled worlds can be lived again")


def _tasks(world: str, site: str) -> tuple[Task, ...]:
    try:
        return catalogue(world).all(site)
    except BadInput:
        return ()


def _is_told(opening: Observation, episode: Episode) -> bool:
    return any(one.kind == "task" and opening.text in one.text for one in episode.messages)


def _walked(world: World, episode: Episode, end: int) -> bool:
    """Go through the episode's calls before a message; did the world answer as it did?"""
    made = [pair for pair in world_calls(episode.messages) if _place(episode, pair[0]) < end]
    return all(now(world.step(call)).text == answer.text for call, answer in made)


def _place(episode: Episode, call: ToolCall) -> int:
    return next(n for n, one in enumerate(episode.messages) if call in one.tool_calls)
