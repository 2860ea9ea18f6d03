"""Tasks that nothing may be learned from: what a gate asks must not be known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Set

from memory.errors import Denied
from memory.modes import USES
from memory.types import Episode, Mode

HeldOut = Callable[[str], Set[str]]
"""Ids of the tasks of a namespace that are held out; asked inside transactions, so it must be quick."""


def nothing(_namespace: str) -> frozenset[str]:
    """No task is held out."""
    return frozenset()


def check_task(held: Set[str], task_id: str, mode: Mode) -> None:
    """Raises Denied when an attempt at this task would be learned from and must not be."""
    if task_id in held and USES[mode].learns:
        raise Denied(
            f"task {task_id!r} is one of the gate's: nothing may be learned from it. Work on it with memory"
            " 'frozen' or 'off', or take its suite out of the declared ones"
        )


def check_evidence(held: Set[str], item: str, episode: Episode | None) -> None:
    """Raises Denied when an item rests on an attempt at such a task."""
    if episode is not None and episode.task_id in held:
        raise Denied(
            f"item {item!r} rests on episode {episode.id!r} of task {episode.task_id!r}, which is one of the"
            " gate's: memory must not hold what the gate asks"
        )
